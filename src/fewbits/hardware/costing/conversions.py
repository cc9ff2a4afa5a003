"""What converts values between layers of different precisions: which circuits a machine has, and what each layer takes.

A layer whose results are taken in another format than its datapath rounds to has its sums rounded to that one, once, as
the bit-exact network does: a converter for each of the sums that leave a datapath's tile in a cycle stands at them,
beside the output stages. Weights or inputs that are stored in a format which a datapath holds in its own, but not by
moving bits, are decoded on their way into the memory that holds them: a converter a word of its row. Bits that only
move, and fixed formats that saturate to narrower ones, are `packing`.

On a chip each tile has each of its conversions once, whatever the number of layers. Area and leakage are those of the
circuit for a value a cycle (`datapath.conversions`) and of the choice of a place a bit (`packing`), times the values of
a cycle. Energy is counted for each value that passes; in other cycles the registers' clock is taken to be off. A layer
whose sums are rounded so ends later by the circuit's latency. All of it is the part `conversions` of the chip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fewbits.hardware.costing.chip_parts import Part
from fewbits.hardware.costing.clock import Clock
from fewbits.hardware.costing.packing import SELECTION, Narrow
from fewbits.hardware.datapath.conversions import Conversion, decodes, rounds, source_named
from fewbits.hardware.process.technology import ConversionCost, PackingCost, Technology

if TYPE_CHECKING:
    from fewbits.hardware.costing.tiles import Stored, Tile
    from fewbits.hardware.dataflow.base import Holds
    from fewbits.hardware.dataflow.plan import LayerSchedule
    from fewbits.hardware.workload.workload import LayerShape

CONVERSIONS = "conversions"
"""The part of a chip."""

_NOTHING = PackingCost(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Passed:
    """Values of a layer that pass a conversion."""

    conversion: Conversion
    holds: Holds
    """What of the layer: outputs are rounded, weights and inputs decoded."""


@dataclass(frozen=True)
class Converters:
    """One conversion on a tile, as many side by side as values pass in a cycle."""

    passed: Passed
    lanes: int
    cost: ConversionCost | None
    """Of one, as the technology table has it, or of what stands for it; None where nothing does."""

    selection: PackingCost
    """Of the choice between its result and what passes beside it, for one value."""

    @property
    def priced_as(self) -> str:
        """The conversion whose figures stand for it: its own, or the smallest that takes and gives all its numbers."""
        return self.passed.conversion.name if self.cost is None else name_of(self.cost)

    @property
    def area_um2(self) -> float:
        """Of all."""
        return 0.0 if self.cost is None else self.lanes * (self.cost.area_um2 + self.selection.area_um2)

    @property
    def leakage_uw(self) -> float:
        """Of all."""
        return 0.0 if self.cost is None else self.lanes * (self.cost.leakage_uw + self.selection.leakage_uw)

    @property
    def value_pj(self) -> float:
        """Dynamic energy of a value."""
        return 0.0 if self.cost is None else self.cost.energy_pj + self.selection.energy_pj

    def values(self, layer: LayerSchedule) -> int:
        """Of a layer that has such: how many pass in an image."""
        return _VALUES[self.passed.holds](layer)

    def energy_pj(self, layer: LayerSchedule) -> float:
        """Of a layer that has such, in an image."""
        return self.values(layer) * self.value_pj

    @property
    def cycles(self) -> int:
        """By which a layer's last result comes later."""
        return self.cost.latency if self.cost is not None and self.passed.holds == "outputs" else 0


@dataclass(frozen=True)
class ConversionFigures:
    """One conversion of a network's cost."""

    conversion: str
    """Such as `integer31 to fp8-e4m3`: sums of 31 bits, rounded; `pow2-4 in fixed8`: decoded."""

    holds: str
    """What of the layers passes it: outputs, inputs or weights."""

    datapath: str
    """Of the tile that it stands at."""

    priced_as: str
    """The conversion that its figures are of; empty where the technology table has none, and nothing is counted."""

    values_per_cycle: int
    """Converters side by side."""

    area_mm2: float
    leakage_uw: float
    layers: tuple[str, ...]
    values: int
    """Of one image."""

    energy_uj: float
    """Dynamic energy of one image; leakage is in that of the chip's part."""


def passed(layer: LayerShape, stored: Stored, tile: Tile) -> Iterator[Passed]:
    """The conversions of a layer's values, as they are stored, on the tile that computes it."""
    datapath = tile.precision
    if layer.has_weights and _is_decoded(Narrow("weights", stored.weights, datapath.weights)):
        yield Passed(decodes(stored.weights, datapath.weights), "weights")
    if _is_decoded(Narrow("inputs", stored.inputs, datapath.inputs)):
        yield Passed(decodes(stored.inputs, datapath.inputs), "inputs")
    taken = stored.outputs
    if taken is None or tile.design.rounds_to(taken):
        return
    narrow = Narrow("outputs", taken, datapath.inputs)
    if not (datapath.inputs.holds(taken) and (narrow.is_priced or narrow.is_wired)):
        yield Passed(rounds(tile.design, taken), "outputs")


def _is_decoded(narrow: Narrow) -> bool:
    """Whether a datapath holds a format in its own, but by no moving of bits."""
    is_other = narrow.stored != narrow.datapath and narrow.datapath.holds(narrow.stored)
    return is_other and not narrow.is_priced and not narrow.is_wired


def converters(one: Passed, tile: Tile) -> Converters:
    """A conversion on a tile, priced by the tile's technology."""
    design, dataflow = tile.design, tile.dataflow
    word_bits = {"weights": design.weight_lane_bits, "inputs": design.input_lane_bits}.get(one.holds)
    lanes = dataflow.outputs_per_cycle(tile.accelerator)
    if word_bits is not None:
        rows = [memory.row_bits // word_bits for memory in tile.memories if memory.holds == one.holds]
        lanes = max(rows, default=lanes)
    selection = _NOTHING
    if tile.technology.packing is not None:
        bit, bits = tile.technology.packing[SELECTION], one.conversion.target.bits
        selection = PackingCost(bits * bit.area_um2, bits * bit.leakage_uw, bits * bit.energy_pj)
    return Converters(one, lanes, cost_of(one.conversion, tile.technology), selection)


def cost_of(conversion: Conversion, table: Technology) -> ConversionCost | None:
    """A conversion's figures in a technology table: its own; or else those of the smallest circuit that takes and gives
    all of its numbers, which it is no larger than; None where there is none.
    """
    if conversion.name in table.conversions:
        return table.conversions[conversion.name]
    from fewbits.formats import parse_format  # loads torch: late, so that the package stays light

    larger = [
        one
        for one in table.conversions.values()
        if Conversion(source_named(one.source), parse_format(one.target), one.is_exact).stands_for(conversion)
    ]
    return min(larger, key=lambda one: (one.area_um2, one.source, one.target), default=None)


def name_of(cost: ConversionCost) -> str:
    """Of a table's entry: as `Conversion.name`."""
    return f"{cost.source} {'in' if cost.is_exact else 'to'} {cost.target}"


def with_conversions(parts: Mapping[str, Part], conversions: Sequence[Converters]) -> dict[str, Part]:
    """The parts of a tile with its conversions as one; itself without any."""
    if not conversions:
        return dict(parts)
    area_um2 = sum(one.area_um2 for one in conversions)
    return {**parts, CONVERSIONS: Part(area_um2, sum(one.leakage_uw for one in conversions))}


def later(layer: LayerSchedule, conversions: Sequence[Converters]) -> LayerSchedule:
    """A layer that ends when its last result is converted."""
    cycles = max((one.cycles for one in conversions), default=0)
    if not cycles:
        return layer
    whole = layer.cycles + cycles
    return replace(layer, fill_cycles=layer.fill_cycles + cycles, utilization=layer.utilization * layer.cycles / whole)


def kept_clock(clock: Clock, conversions: Sequence[Converters]) -> Clock:
    """The clock that conversions keep, too; itself without any."""
    timed = [one.cost for one in conversions if one.cost is not None]
    if not timed:
        return clock
    slowest = max(timed, key=lambda one: one.longest_path_ns)
    paths = {**clock.paths_ns, CONVERSIONS: slowest.longest_path_ns}
    mhz = 1000.0 / slowest.longest_path_ns
    if mhz >= clock.mhz:
        return replace(clock, paths_ns=paths)
    reason = f"the converters' longest path ({name_of(slowest)}) takes {slowest.longest_path_ns:.3g} ns"
    return replace(clock, mhz=mhz, paths_ns=paths, limited_by=CONVERSIONS, reason=reason)


_VALUES: Mapping[Holds, Callable[[LayerSchedule], int]] = {
    "weights": lambda layer: layer.weights_loaded,
    "inputs": lambda layer: layer.inputs_loaded,
    "outputs": lambda layer: layer.outputs_stored,
}
