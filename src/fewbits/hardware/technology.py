"""The technology table: what one neuron's datapath and the SRAM macros cost, as characterized from liberty files."""

from __future__ import annotations

from dataclasses import dataclass

LOGIC_COMPONENTS = ("multipliers", "adder_tree", "registers", "rest")
"""Parts of the datapath. `registers` are all flip-flops, wherever they lie; the other three are combinational:
`rest` is the accumulator's adder, the output rounding, ReLU and control."""


@dataclass(frozen=True)
class ComponentCost:
    """One logic component of one neuron."""

    cells: int
    """Standard cells."""

    area_um2: float
    leakage_uw: float

    energy_pj: float
    """Dynamic energy of a clock cycle (internal and switching) at the datapath's `activity`."""


@dataclass(frozen=True)
class DatapathCost:
    """One neuron (16 synapses) of one precision, synthesized on the technology."""

    precision: str
    components: dict[str, ComponentCost]
    """By name, those of LOGIC_COMPONENTS."""

    cell_counts: dict[str, int]
    """Number of cells by cell name."""

    accumulator_bits: int
    longest_path_ns: float
    """Longest register-to-register path with setup, from `timing`."""

    clock_mhz: float
    """The clock it is used at: the target if the longest path allows, else what it reaches."""

    meets_target: bool
    pipeline_stages: int
    """Cycles from operands at the inputs to the rounded output."""

    accumulate_cycles: int
    """Cycles from one addition's start until its sum can be added to (1 for integers). The schedule interleaves
    this many independent outputs."""

    multiplier: str
    """Architecture in words: `booth radix-4`, `shifter`, `sign selection`, `float32`."""

    activity: float
    """Mean toggles of a data net per cycle behind `energy_pj`."""


@dataclass(frozen=True)
class MacroCost:
    """One SRAM macro."""

    name: str
    rows: int
    bits: int
    ports: int
    area_um2: float
    read_energy_pj: float
    write_energy_pj: float
    leakage_uw: float
    access_ns: float


@dataclass(frozen=True)
class Technology:
    """Everything that a cost rests on: datapaths by precision, SRAM macros, and where both come from."""

    name: str
    process: str
    voltage_v: float
    temperature_c: float
    target_clock_mhz: float
    datapaths: dict[str, DatapathCost]
    macros: tuple[MacroCost, ...]
    provenance: dict[str, str]
    """What made the table, from what, with which versions and hashes."""
