"""Layers of narrower formats than their datapath's: what their values are stored as, and what unpacking them costs.

Memory off the chip holds every value at its own width, and transfers move it so. Between it and the accelerator's
memories of inputs and weights stands an unpacker for each narrower format, and behind that of outputs a packer
(`rtl.packing`): memories and datapaths see words of the datapath's width. Area, leakage and the energy of a row count
with the memory that they belong to; each row that is written (or, of outputs, read) passes all of them, also in layers
that are not narrow.

Both are made of two circuits, whose cost a bit is characterized for a library: a selection between the wide and the
narrow place of a bit, one for each bit that leaves, and before a packer's a saturation, one for each bit that comes.
Of formats of one family, and of those whose codes are two's complement, only bits move (a binary code is the sign over
constants). What needs a decoder is named in the cost's notes, and not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.process.technology import PackingCost, Technology, rounded

if TYPE_CHECKING:
    from fewbits.formats import Format
    from fewbits.hardware.costing.chip_parts import Part
    from fewbits.hardware.dataflow.base import Holds, Memory
    from fewbits.hardware.mapping.netlist import Netlist
    from fewbits.hardware.mapping.timing import Conditions
    from fewbits.hardware.process.library.liberty import Library

SELECTION, SATURATION = "selection", "saturation"

LANES, BITS, STORED = 16, 16, 8
"""What is characterized: a row of 16 inputs of fixed16 that holds fixed8. docs/results.md has the error on others."""


@dataclass(frozen=True)
class Narrow:
    """A narrower format in memory, and the datapath's format that it becomes or comes from."""

    holds: Holds
    """What of a layer; so do the memories that it is unpacked for, or packed behind."""

    stored: Format
    datapath: Format

    @property
    def is_wired(self) -> bool:
        """Whether one becomes the other without any selection: the codes are the same."""
        return self.stored.bits == self.datapath.bits and self.stored.is_uniform and self.datapath.is_uniform

    @property
    def is_priced(self) -> bool:
        """Whether the characterized circuit does it: bits move, signs are extended; results of integers saturate."""
        return (self.datapath.packs if self.holds == "outputs" else self.datapath.unpacks)(self.stored)


def is_packed(narrow: Narrow) -> bool:
    """Whether a circuit of the technology table stands for it."""
    return narrow.is_priced and not narrow.is_wired


def with_packing(
    parts: Mapping[str, Part], narrow: Sequence[Narrow], memories: Sequence[Memory], table: Technology
) -> dict[str, Part]:
    """The parts of an accelerator, its memories with the packing of narrower formats; itself without any.

    narrow: each once. memories: of the accelerator; their parts bear their names.
    """
    found = dict(parts)
    if table.packing is None:
        return found
    for one, memory in product(filter(is_packed, narrow), memories):
        if memory.holds != one.holds:
            continue
        part, wide_bits = found[memory.name], memory.row_bits
        stored_bits = wide_bits // one.datapath.bits * one.stored.bits
        packs = one.holds == "outputs"
        added = row_cost(table.packing, wide_bits, stored_bits, packs=packs)
        energy = "read_pj" if packs else "write_pj"
        found[memory.name] = replace(
            part,
            area_um2=part.area_um2 + added.area_um2,
            leakage_uw=part.leakage_uw + added.leakage_uw,
            **{energy: getattr(part, energy) + added.energy_pj},
        )
    return found


def row_cost(packing: Mapping[str, PackingCost], wide_bits: int, stored_bits: int, *, packs: bool) -> PackingCost:
    """A row's unpacker, or with `packs` its packer. wide_bits, stored_bits: of a row on the datapath and in memory."""
    selected, saturated = (stored_bits, wide_bits) if packs else (wide_bits, 0)

    def total(figure: str) -> float:
        selection, saturation = (getattr(packing[name], figure) for name in (SELECTION, SATURATION))
        return selected * selection + saturated * saturation

    return PackingCost(total("area_um2"), total("leakage_uw"), total("energy_pj"))


def characterize_packing(
    library: Library, conditions: Conditions, target_mhz: float, toggles_per_cycle: float
) -> dict[str, PackingCost]:
    """Synthesize an unpacker and a packer: the cost of a selection and of a saturation, a bit, by their names.

    toggles_per_cycle: of the data in a row; which format it has, changes with the layer and does not count.
    Raises HardwareError if yosys fails.
    """
    unpacker, packer = (
        packing_cost(name, LANES, BITS, STORED, library, conditions, target_mhz, toggles_per_cycle)
        for name in ("unpacker", "packer")
    )
    return of_a_bit(unpacker, packer)


def of_a_bit(unpacker: PackingCost, packer: PackingCost) -> dict[str, PackingCost]:
    """The cost of a selection and of a saturation, a bit, from an unpacker and a packer of LANES, BITS, STORED."""
    wide_bits, stored_bits = LANES * BITS, LANES * STORED
    figures = [field.name for field in fields(PackingCost)]
    selection = {name: getattr(unpacker, name) / wide_bits for name in figures}
    saturation = {name: (getattr(packer, name) - stored_bits * selection[name]) / wide_bits for name in figures}
    return {
        name: PackingCost(**{figure: max(0.0, rounded(value)) for figure, value in values.items()})
        for name, values in ((SELECTION, selection), (SATURATION, saturation))
    }


def packing_cost(
    name: str,
    lanes: int,
    bits: int,
    stored: int,
    library: Library,
    conditions: Conditions,
    target_mhz: float,
    toggles_per_cycle: float,
) -> PackingCost:
    """`unpacker` or `packer` of a row of so many words, of so many bits and so many in memory, synthesized."""
    return packing_figures(
        packing_netlist(name, lanes, bits, stored, library, target_mhz), conditions, toggles_per_cycle
    )


def packing_netlist(name: str, lanes: int, bits: int, stored: int, library: Library, target_mhz: float) -> Netlist:
    """The netlist of one. Raises HardwareError if yosys fails."""
    from fewbits.hardware.mapping.synthesis import synthesize
    from fewbits.hardware.rtl.instances import component_rtlil
    from fewbits.hardware.rtl.packing import Packer, Unpacker

    made = {"unpacker": Unpacker, "packer": Packer}[name](lanes, bits, stored)
    period_ns = 1000.0 / target_mhz
    return synthesize(
        component_rtlil(made, name), library, delay_target_ns=period_ns / 2, top=name, mapping="balanced"
    ).netlist


def packing_figures(netlist: Netlist, conditions: Conditions, toggles_per_cycle: float) -> PackingCost:
    """Area, leakage and energy of a netlist of `packing_netlist`."""
    from fewbits.hardware.energy.energy_tables import energy_model
    from fewbits.hardware.energy.power import Activity, power_of, uniform_activity
    from fewbits.hardware.mapping.timing import analyze

    timing = analyze(netlist, conditions)
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(conditions.wire))
    uniform = uniform_activity(model, toggles_per_cycle)
    toggles = np.where(fixed_nets(netlist, netlist.ports["narrow"].nets), 0.0, uniform.toggles)
    power = power_of(model, Activity(toggles, uniform.duty))
    area = sum(group.cell.area_um2 * len(group.cells) for group in netlist.groups)
    return PackingCost(
        area_um2=rounded(area),
        leakage_uw=rounded(float(power.leakage_uw.sum())),
        energy_pj=rounded(float(power.dynamic_pj.sum() + power.input_switching_pj.sum())),
    )


def fixed_nets(netlist: Netlist, settings: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Nets that depend on nothing but settings and constants; shape (net_count,)."""
    fixed = np.zeros(netlist.net_count, dtype=bool)
    fixed[[0, 1, *settings]] = True
    before = 0
    while before != fixed.sum():
        before = int(fixed.sum())
        for group in netlist.groups:
            pins = list(group.cell.pins.values())
            ins, outs = ([k for k, pin in enumerate(pins) if pin.direction == way] for way in ("input", "output"))
            follows = fixed[group.nets[:, ins]].all(axis=1)
            outputs = group.nets[follows][:, outs]
            fixed[outputs[outputs >= 0]] = True
    return fixed
