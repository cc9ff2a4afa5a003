"""What-if variants of the accelerator, to explain differences from the published design: buffers and cut products.

A variant changes the technology table or the accelerator that the costs are computed with; nothing else differs, and no
default of the package is touched. Figures that need synthesis come from `silicon_measurements.json`, which
scripts/measure_silicon.py writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.hardware import Accelerator, cost
from fewbits.hardware.costing.chip_parts import BUFFERS
from fewbits.hardware.process.technology import (
    LOGIC_COMPONENTS,
    ComponentCost,
    DatapathCost,
    MacroCost,
    ReadPath,
    Technology,
)

if TYPE_CHECKING:
    from fewbits.hardware import Workload

CUT_TO_INPUTS = {"fixed4": 4, "fixed8": 8, "fixed16": 16, "fixed32": 32, "pow2-6/fixed16": 16}
"""Bits kept of a product, as many as an input has."""


@dataclass(frozen=True)
class Variant:
    """Area and power of the precisions, one change made."""

    name: str
    area_mm2: dict[str, float]
    power_mw: dict[str, float]
    buffer_area_mm2: dict[str, float]
    clock_mhz: dict[str, float]


@cache
def measurements() -> Mapping[str, Any]:
    """What scripts/measure_silicon.py wrote."""
    return json.loads(Path(__file__).with_name("silicon_measurements.json").read_text(encoding="utf-8"))


def variant(
    name: str, workload: Workload, precisions: tuple[str, ...], table: Technology, accelerator: Accelerator
) -> Variant:
    """Costs with this table and accelerator."""
    costs = {one: cost(workload, one, technology=table, accelerator=accelerator) for one in precisions}
    return Variant(
        name,
        {one: made.area_mm2 for one, made in costs.items()},
        {one: made.power_mw for one, made in costs.items()},
        {one: sum(made.breakdown.area_mm2[part] for part in BUFFERS) for one, made in costs.items()},
        {one: made.clock_mhz for one, made in costs.items()},
    )


def one_port_buffers(table: Technology) -> Technology:
    """The table with macros of one port in place of two: a row could not be written while another is read."""
    return replace(table, macros=tuple(replace(macro, ports=2) for macro in table.macros if macro.ports == 1))


def cut_products(table: Technology, kept_bits: Mapping[str, int]) -> Technology:
    """The table with neurons whose products keep only so many bits, as measured."""
    products = measurements()["products"]
    changed = {
        name: _with_figures(table.datapaths[name], products[name][str(bits)]) for name, bits in kept_bits.items()
    }
    return replace(table, datapaths={**table.datapaths, **changed})


def _with_figures(datapath: DatapathCost, measured: Mapping[str, float]) -> DatapathCost:
    """A datapath with the measured totals of its neuron; only the registers' energy is kept apart."""
    nothing = ComponentCost(0, 0.0, 0.0, 0.0)
    registers = replace(nothing, energy_pj=measured["registers_energy_pj"])
    rest = ComponentCost(
        0, measured["area_um2"], measured["leakage_uw"], measured["energy_pj"] - measured["registers_energy_pj"]
    )
    components = {**dict.fromkeys(LOGIC_COMPONENTS, nothing), "registers": registers, "rest": rest}
    return replace(datapath, components=components)


def flip_flop_buffers(table: Technology) -> Technology:
    """The table with memories of flip-flops instead of macros, as measured: 64 rows, one bit.

    They spend their energy on the clock, in each cycle, not by access: `flip_flop_variant` adds it. The path of a read
    ends in a register of their own, whose setup is in what was measured.
    """
    measured = measurements()["registers"]
    bits = measured["bits"]
    column = MacroCost(
        name="flip-flops",
        rows=measured["rows"],
        bits=1,
        ports=2,
        area_um2=measured["area_um2"] / bits,
        read_energy_pj=0.0,
        write_energy_pj=0.0,
        leakage_uw=measured["leakage_uw"] / bits,
        access_ns=measured["longest_path_ns"],
    )
    return replace(table, macros=(column,), read_path=ReadPath(0.0, 0.0))


def flip_flop_variant(name: str, workload: Workload, precisions: tuple[str, ...], table: Technology) -> Variant:
    """Costs with buffers of flip-flops whose clock is not gated; what reads and writes switch is left out."""
    made = variant(name, workload, precisions, flip_flop_buffers(table), Accelerator())
    measured = measurements()["registers"]
    area_um2, clock_pj = measured["area_um2"], measured["clock_energy_pj"]
    return replace(
        made,
        power_mw={
            # Memories of this area, times the energy of a clock cycle, times cycles in a microsecond: pJ MHz = uW.
            one: power + made.buffer_area_mm2[one] * 1e6 / area_um2 * clock_pj * made.clock_mhz[one] * 1e-3
            for one, power in made.power_mw.items()
        },
    )
