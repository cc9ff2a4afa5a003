"""Memories of flip-flops where there are no SRAM macros: register files of a few sizes, synthesized from the library.

The banking rule (`sram.compose`) makes every other size of them, as it does of SRAM macros; `sram_rule` has its error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.activity.sequential_simulation import SequentialSimulation
from fewbits.hardware.energy.clock_tree import estimate_clock_tree
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.energy.power import power_of
from fewbits.hardware.mapping.clocked_synthesis import synthesize_for_clock
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.mapping.timing import Conditions, Timing
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.memory.sram_rule import leave_one_out, rule_errors
from fewbits.hardware.process.technology import FLIP_FLOPS, MacroCost, Technology, rounded

SIZES = ((16, 16), (64, 16), (64, 64))
"""Rows and bits of the register files that are synthesized. 64 rows are the default accelerator's; 64 bits, since a
wider one is hardly cheaper by the bit: on IHP's 130 nm cells 78 um2 against 81 with 16 bits. They take 5 to 10 s."""

ATTEMPTS = (("balanced", 0.5), ("balanced", 0.3))
"""As of the control, whose nets of many sinks need buffers from the start, too."""

NOTE = (
    "buffers are flip-flops of the library, since no SRAM macro has two ports: no clock is gated, so that they take "
    "energy in every cycle (clock pins and an estimated clock tree), to which reads and writes of random rows and data "
    "add"
)

PORTS = 2
IDLE, READ, WRITE = 0, 1, 2
"""Kinds of cycles that are told apart."""

_KEY = "register_files_sha256"
"""In a table's provenance."""

_CYCLES = 256
"""Simulated of each kind: every row of the largest is accessed four times on average."""


@dataclass(frozen=True)
class RegisterFileDesign:
    """One of the register files: its size and its RTLIL."""

    rows: int
    bits: int
    rtlil: str

    @property
    def name(self) -> str:
        """As a macro of the table."""
        return f"{FLIP_FLOPS} {self.rows}x{self.bits}"

    @property
    def row_bits(self) -> int:
        """Width of an address."""
        return (self.rows - 1).bit_length()


def register_files(sizes: Sequence[tuple[int, int]] = SIZES) -> tuple[RegisterFileDesign, ...]:
    """The register files of these rows and bits. Raises HardwareError for a size of less than two rows or one bit."""
    from fewbits.hardware.rtl.register_file import register_file_rtlil

    return tuple(RegisterFileDesign(rows, bits, register_file_rtlil(rows, bits)) for rows, bits in sizes)


def hash_of(designs: Sequence[RegisterFileDesign]) -> str:
    """Of the RTLIL of all of them."""
    return hashlib.sha256("".join(design.rtlil for design in designs).encode()).hexdigest()


def with_register_files(
    macros: Sequence[MacroCost],
    earlier: Technology | None,
    library: Library,
    conditions: Conditions,
    target_mhz: float,
    say: Progress,
) -> tuple[tuple[MacroCost, ...], dict[str, str]]:
    """A table's memories, register files among them if none has two ports, and what its provenance says of these.

    earlier: the table made before of the same library, whose register files are kept if they are the same.
    Raises HardwareError if yosys fails.
    """
    if any(macro.ports >= PORTS for macro in macros):
        return tuple(macros), {}
    designs = register_files()
    made_of = {_KEY: hash_of(designs)}
    if earlier is not None and earlier.provenance.get(_KEY) == made_of[_KEY]:
        say("register files: kept, nothing has changed")
        return (*macros, *(macro for macro in earlier.macros if macro.is_flip_flops)), made_of
    made = (register_file_cost(design, library, conditions, target_mhz, say) for design in designs)
    return (*macros, *made), made_of


def describe(macros: Sequence[MacroCost]) -> str:
    """That buffers are flip-flops, and how far off those are that are composed of smaller ones."""
    own = [macro for macro in macros if macro.is_flip_flops]
    composed = [one for one in leave_one_out(own) if one.composed.macros > 1]
    errors = "; ".join(map(str, rule_errors(composed)))
    return f"{NOTE}; larger ones are composed of smaller ones, whose error is, by those synthesized: {errors}"


def register_file_cost(
    design: RegisterFileDesign, library: Library, conditions: Conditions, target_mhz: float, say: Progress
) -> MacroCost:
    """A register file, synthesized, timed and simulated, as a macro of two ports.

    Area and leakage are those of its cells. The access time is its longest path: from the clock's edge to the data of
    a read, or to a flip-flop that is written. Energies are counted gate by gate without glitches: those of a read and
    of a write are what such a cycle takes beyond an idle one, whose energy is every cycle's.
    Raises HardwareError if yosys fails.
    """
    netlist, timing = synthesize_for_clock(
        design.name, design.rtlil, "register_file", library, conditions, target_mhz, ATTEMPTS, say
    )
    energies, leakage_uw = _energies_pj(design, netlist, timing, conditions)
    tree_pj = estimate_clock_tree(netlist, conditions.clock_slew_ns).energy_pj
    return MacroCost(
        name=design.name,
        rows=design.rows,
        bits=design.bits,
        ports=PORTS,
        area_um2=rounded(sum(group.cell.area_um2 * len(group.cells) for group in netlist.groups)),
        read_energy_pj=rounded(max(energies[READ] - energies[IDLE], 0.0)),
        write_energy_pj=rounded(max(energies[WRITE] - energies[IDLE], 0.0)),
        leakage_uw=rounded(leakage_uw),
        access_ns=rounded(timing.longest_path_ns),
        cycle_energy_pj=rounded(energies[IDLE] + tree_pj),
        source=f"{FLIP_FLOPS} of {library.name}",
    )


def _energies_pj(
    design: RegisterFileDesign, netlist: Netlist, timing: Timing, conditions: Conditions
) -> tuple[list[float], float]:
    """Dynamic energy of a cycle by kind, pJ, and the mean leakage of idle cycles, uW."""
    simulation = simulate(design, netlist)
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(conditions.wire))
    powers = [power_of(model, simulation.activity(kind)) for kind in (IDLE, READ, WRITE)]
    energies = [float(power.dynamic_pj.sum() + power.input_switching_pj.sum()) for power in powers]
    return energies, float(powers[IDLE].leakage_uw.sum())


def simulate(design: RegisterFileDesign, netlist: Netlist) -> SequentialSimulation:
    """Fill a register file with random rows, then idle, read and write random rows, `_CYCLES` each (seed 0).

    Raises HardwareError if a row that is read is not the one that was written.
    """
    simulation = SequentialSimulation(netlist, kinds=3)
    random = np.random.default_rng(0)
    contents = random.integers(0, 2, (design.rows, design.bits), np.uint8)
    for row, data in enumerate(contents):
        _access(simulation, design, WRITE, row, data, counts=False)
    for _ in range(_CYCLES):
        _access(simulation, design, IDLE)
    for row in random.integers(0, design.rows, _CYCLES).tolist():
        _access(simulation, design, READ, row)
        simulation.settle()
        if not np.array_equal(simulation.get("read_data"), contents[row]):
            raise HardwareError(f"{design.name}: the synthesized netlist does not read what was written to row {row}")
    written = random.integers(0, 2, (_CYCLES, design.bits), np.uint8)
    for row, data in zip(random.integers(0, design.rows, _CYCLES).tolist(), written, strict=True):
        _access(simulation, design, WRITE, row, data)
    return simulation


def _access(
    simulation: SequentialSimulation,
    design: RegisterFileDesign,
    kind: int,
    row: int = 0,
    data: NDArray[np.uint8] | None = None,
    *,
    counts: bool = True,
) -> None:
    """One cycle of a kind; address and data of a port that does nothing stay as they are."""
    for access, port in ((WRITE, "write"), (READ, "read")):
        simulation.set(port, np.array([kind == access], np.uint8))
        if kind == access:
            address = [row >> bit & 1 for bit in range(design.row_bits)]
            simulation.set(f"{port}_row", np.array(address, np.uint8))
    if data is not None:
        simulation.set("write_data", data)
    simulation.settle()
    simulation.clock(kind, counts=counts)
