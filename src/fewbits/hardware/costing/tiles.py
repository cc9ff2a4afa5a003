"""The accelerators that a network needs: that of its precision, and one for each that this one cannot compute.

A layer that stays float, or has formats of its own that the network's datapath does not hold, is computed by an
accelerator of its own, with neurons, control and buffers, on the same chip. One works at a time, at one clock, the
slowest's; the others leak, and are gated off otherwise. What converts values between integers and floats is not
characterized. Memory holds the values of a layer at the layer's own width, whatever computes it (`packing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fewbits.errors import HardwareError
from fewbits.hardware.costing.breakdown import DRAM_PJ_PER_BIT
from fewbits.hardware.costing.chip_parts import Part, chip_parts, composed
from fewbits.hardware.costing.clock import Clock, clock_of, logic_mhz
from fewbits.hardware.costing.packing import Narrow, with_packing
from fewbits.hardware.dataflow.base import AccessCosts, Dataflow, Memory
from fewbits.hardware.dataflow.plan import AnyAccelerator, Schedule, Widths
from fewbits.hardware.dataflow.registry import dataflow_of
from fewbits.hardware.datapath.estimates import find
from fewbits.hardware.datapath.neuron_design import NeuronDesign, design
from fewbits.hardware.multipliers.registry import multiplier_kind
from fewbits.hardware.process.corners import AT_CORNER
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER, DatapathKey
from fewbits.hardware.process.memory.sram import Buffer
from fewbits.hardware.process.technology import DatapathCost, Technology
from fewbits.hardware.rtl.pipelining import DEFAULT
from fewbits.hardware.workload.own_precision import computes
from fewbits.hardware.workload.workload import LayerShape, Workload

if TYPE_CHECKING:
    from fewbits.formats import Format, Precision


@dataclass(frozen=True, eq=False)
class Tile:
    """The accelerator of one precision, as a technology makes it."""

    name: str
    """Of the datapath: its precision's, and the multiplier's variant."""

    design: NeuronDesign
    datapath: DatapathCost
    is_interpolated: bool
    """Whether the datapath was not characterized itself."""

    estimates: tuple[str, ...]
    """What of datapath and control was not characterized, and how it was found."""

    accelerator: AnyAccelerator
    dataflow: Dataflow[Any]
    technology: Technology

    is_mode: bool = False
    """Whether it is another mode of a tile that is on the chip already: area and leakage are that one's."""

    @property
    def scheduled(self) -> AnyAccelerator:
        """The accelerator as layers are scheduled on it: with as many synapses as its lanes make products in a cycle.

        A composable neuron of 16 lanes takes 64 synapses a cycle in its mode of 4 bits. Rows of Bin and SB are then
        chunks of so many, and there are as many rows; words are wide enough for either mode (`memories`).
        """
        return self.dataflow.split(self.accelerator, self.design.products_per_lane)

    @property
    def products_per_cycle(self) -> int:
        """Most products that start in one cycle."""
        return self.dataflow.products_per_cycle(self.scheduled)

    @property
    def precision(self) -> Precision:
        """Whose numbers it multiplies."""
        return self.design.precision

    def schedule(self, workload: Workload, widths: Mapping[str, Widths]) -> Schedule:
        """A network's layers on it, mapped by its own energies where its dataflow has a choice.

        widths: of values as they are stored, by the layer's name.
        """
        return self.dataflow.mapped(workload, self.scheduled, self.design, self._costs(widths))

    def _costs(self, widths: Mapping[str, Widths]) -> AccessCosts:
        """Energies of its products and accesses, and the middle of those that transfers may take."""
        parts, memories = self.parts, self.buffers
        logic = self.dataflow.logic(self.datapath, self.accelerator).values()
        return AccessCosts(
            product_pj=sum(one.energy_pj for one in logic) / self.products_per_cycle,
            reads_pj={name: parts[name].read_pj for name in memories},
            writes_pj={name: parts[name].write_pj for name in memories},
            off_chip_pj_per_bit=sum(DRAM_PJ_PER_BIT) / len(DRAM_PJ_PER_BIT),
            widths=widths,
        )

    @property
    def widths(self) -> Widths:
        """Bits of its weights, inputs and accumulators."""
        return Widths(self.precision.weights.bits, self.precision.inputs.bits, self.datapath.accumulator_bits)

    @property
    def memories(self) -> tuple[Memory, ...]:
        """Its dataflow's memories, of words as wide as the ports of the datapath's lanes.

        Those of a composable datapath hold four codes of 4 bits for each lane; in its mode of 8 bits half of a word of
        inputs and of weights is empty, and is read and written all the same. Outputs have a code each.
        """
        made = self.design
        ports = Widths(made.weight_lane_bits, made.input_lane_bits, made.accumulator_bits, made.output_port_bits)
        return self.dataflow.memories(self.accelerator, ports)

    @cached_property
    def buffers(self) -> Mapping[str, Buffer]:
        """Its memories by name, composed of macros."""
        period_ns = 1000.0 / logic_mhz(self.datapath, self.accelerator.clock_mhz)
        return composed(self.memories, self.technology, period_ns)

    @property
    def clock(self) -> Clock:
        """The clock that it keeps."""
        return clock_of(self.datapath, self.buffers, self.technology, self.accelerator.clock_mhz)

    @property
    def parts(self) -> dict[str, Part]:
        """Every part of it, all datapaths together."""
        logic = self.dataflow.logic(self.datapath, self.accelerator)
        instances = {memory.name: memory.instances for memory in self.memories}
        parts = chip_parts(logic, self.datapath.control, self.buffers, instances)
        if self.is_mode:
            return {name: replace(part, area_um2=0.0, leakage_uw=0.0) for name, part in parts.items()}
        return parts


def tile_of(
    precision: Precision,
    table: Technology,
    accelerator: AnyAccelerator,
    *,
    multiplier: str = DEFAULT_MULTIPLIER,
    product_bits: int | None = None,
) -> Tile:
    """The tile of a precision, its datapath estimated from others where the table lacks it (`estimates`).

    Raises HardwareError if the table has nothing like such a datapath, or the accelerator cannot be made of them.
    """
    dataflow = dataflow_of(accelerator)
    dataflow.check(accelerator, table)
    key = dataflow.datapath_key(DatapathKey(precision, multiplier_kind(multiplier).name, product_bits), accelerator)
    if product_bits is not None:  # as many as the whole product has are the whole product
        key = replace(key, product_bits=_design(key, DEFAULT).kept_product_bits)
    found = find(table, key)
    if found is None:
        _design(key, DEFAULT)  # refuses what no circuit computes
        raise HardwareError(
            f"technology {table.name!r} has no precision {key.name!r}, only {table.told_datapaths}: "
            + (
                "corners hold neurons of 16 synapses"
                if AT_CORNER in table.provenance
                else f"add it with 'fewbits characterize --precision {key.arguments}'"
            )
        )
    made = _design(key, found.cost.pipelining)
    declared = _declared(found.cost, made, table)
    sized = replace(declared, control=dataflow.control(declared, made, accelerator))
    told = [found.control_note] if found.control_note and sized.control is not None else []
    return Tile(key.name, made, sized, found.is_estimate, (*found.notes, *told), accelerator, dataflow, table)


def _design(key: DatapathKey, stages: str) -> NeuronDesign:
    """The datapath's arithmetic; a processing element's is that of a neuron of one synapse."""
    return design(key.precision, key.synapses, multiplier=key.multiplier, product_bits=key.product_bits, stages=stages)


def _declared(datapath: DatapathCost, made: NeuronDesign, table: Technology) -> DatapathCost:
    """The datapath with its components in the order that its strategy declares. Raises HardwareError for others."""
    if set(datapath.components) != set(made.components):
        raise HardwareError(
            f"technology {table.name!r} tells the figures of {made.name} by {', '.join(datapath.components)}, its "
            f"datapath has {', '.join(made.components)}: add it anew with 'fewbits characterize --precision "
            f"{made.key.arguments}'"
        )
    if tuple(datapath.components) == made.components:
        return datapath
    return replace(datapath, components={name: datapath.components[name] for name in made.components})


@dataclass(frozen=True)
class Stored:
    """The formats of a layer's values in memory."""

    weights: Format
    inputs: Format

    outputs: Format | None
    """None where no layer takes them."""


Need = tuple[str | None, str | None]
"""What a layer is computed with: the names of its own precision and multiplier, None for the network's."""


def need_of(layer: LayerShape) -> Need:
    """What a layer with weights is computed with."""
    return layer.precision, layer.multiplier


@dataclass(frozen=True, eq=False)
class Tiles:
    """The tiles of a network's layers."""

    main: Tile
    """Of the precision that the network is costed at."""

    own: Mapping[Need, Tile]
    """By what layers of another precision or multiplier need: the main one where that computes it."""

    taking: Mapping[str | None, Tile]
    """By a precision: what pools and adds for the layers that take values at it, their own multipliers last."""

    precisions: Mapping[str, Precision]
    """By their names, those that layers have of their own."""

    def of(self, layer: LayerShape) -> Tile:
        """What computes a layer; pooling and additions belong to the widest of those that take their result."""
        if layer.has_weights:
            return self.own.get(need_of(layer), self.main)
        tiles = [self.taking[precision] for precision in layer.taken_at]
        default = self.taking.get(None, self.main)
        return max(tiles, key=lambda tile: (tile.widths.inputs, tile.name), default=default)

    def stored(self, layer: LayerShape) -> Stored:
        """The formats of a layer's own precision; outputs, and what pooling and additions take, are in that of the
        layers that take the result.
        """
        outputs = self._format(layer.taken_at)
        if layer.has_weights:
            weights, inputs = (self._precision(one) for one in (layer.precision, layer.inputs_at))
            return Stored(weights.weights, inputs.inputs, outputs)
        return Stored(self.of(layer).precision.weights, outputs or self.main.precision.inputs, outputs)

    def widths(self, layer: LayerShape) -> Widths:
        """Of a layer's weights, inputs and outputs as they are stored; accumulators and biases are the tile's."""
        stored, outputs = self.stored(layer), None
        if stored.outputs is not None:
            outputs = stored.outputs.bits
        return Widths(stored.weights.bits, stored.inputs.bits, self.of(layer).datapath.accumulator_bits, outputs)

    def held_bits(self, layer: LayerShape) -> int:
        """Bits that wait in memory while a layer is computed."""
        usual = self.main.precision.inputs
        if not layer.held_at:
            return layer.held_values * usual.bits
        return sum(values * (self._format(consumers) or usual).bits for values, consumers in layer.held_at)

    def narrow(self, tile: Tile, layers: Sequence[LayerShape]) -> tuple[Narrow, ...]:
        """Formats that are narrower in memory than on a tile, of the layers that it computes; each once."""
        return tuple(dict.fromkeys(one for layer in layers if self.of(layer) is tile for one in self._narrow(layer)))

    def parts(self, tile: Tile, layers: Sequence[LayerShape]) -> dict[str, Part]:
        """Every part of a tile, what unpacks and packs the layers' narrower formats with its buffers."""
        return with_packing(tile.parts, self.narrow(tile, layers), tile.memories, tile.technology)

    def _narrow(self, layer: LayerShape) -> Iterator[Narrow]:
        stored, datapath = self.stored(layer), self.of(layer).precision
        if layer.has_weights and stored.weights != datapath.weights:
            yield Narrow("weights", stored.weights, datapath.weights)
        if stored.inputs != datapath.inputs and datapath.inputs.holds(stored.inputs):
            yield Narrow("inputs", stored.inputs, datapath.inputs)
        if stored.outputs not in (None, datapath.inputs) and datapath.inputs.holds(stored.outputs):
            yield Narrow("outputs", stored.outputs, datapath.inputs)

    def _precision(self, name: str | None) -> Precision:
        return self.main.precision if name is None else self.precisions[name]

    def _format(self, consumers: frozenset[str | None]) -> Format | None:
        """The format that layers of these precisions share as their input: the widest, where they differ."""
        formats = [self._precision(name).inputs for name in consumers]
        return max(formats, key=lambda one: (one.bits, one.name), default=None)

    def clock(self, used: Sequence[Tile]) -> Clock:
        """The clock of all that are used: the slowest's, with what is not known of any."""
        slowest = min(used, key=lambda tile: tile.clock.mhz)
        unknown = dict.fromkeys(note for tile in used for note in tile.clock.unknown)
        reason = slowest.clock.reason
        if reason and slowest is not self.main:
            reason = f"{slowest.name}: {reason}"
        return replace(slowest.clock, reason=reason, unknown=tuple(unknown))


Choose = Callable[[str | None, str | None, Tile], Tile]
"""The tile of a layer's own precision and multiplier, beside the main one."""


def tiles_of(workload: Workload, main: Tile, choose: Choose | None = None) -> Tiles:
    """The tiles that a network needs beside that of the precision it is costed at; by default as few as compute it.

    Raises HardwareError, naming the layer, if the technology has none for one of them.
    """
    from fewbits.formats import parse_precision  # loads torch: late, so that the package stays light

    own: dict[Need, Tile] = {}
    by_name = {main.name: main}
    for layer in workload.layers:
        if (need := need_of(layer)) not in own and need != (None, None):
            try:
                tile = (choose or own_tile)(*need, main)
            except HardwareError as error:
                at = (f"at {need[0]}" if need[0] else "", f"of multiplier {need[1]}" if need[1] else "")
                raise HardwareError(
                    f"layer {layer.name!r} is {' '.join(filter(None, at))}, which {main.name} does not hold: {error}"
                ) from None
            own[need] = by_name.setdefault(tile.name, tile)
    stored = (layer.whole_precision for layer in workload.layers)
    names = [name for name in dict.fromkeys((*(precision for precision, _ in own), *stored)) if name is not None]
    return Tiles(main, own, taking(workload, own, main), {name: parse_precision(name) for name in names})


def taking(workload: Workload, own: Mapping[Need, Tile], main: Tile) -> dict[str | None, Tile]:
    """`Tiles.taking`: at a precision the tile of layers without a multiplier of their own, where there are such."""
    needs = dict.fromkeys(need_of(layer) for layer in workload.layers if layer.has_weights)
    first = sorted(needs, key=lambda need: need[1] is not None)
    return {precision: own.get((precision, multiplier), main) for precision, multiplier in reversed(first)}


def own_tile(name: str | None, multiplier: str | None, main: Tile) -> Tile:
    """The tile for layers of a precision or a multiplier of their own: the main one if it computes them, else that of
    the precision, or the smallest that computes it; of another multiplier, that of the precision alone.
    """
    from fewbits.formats import parse_precision  # loads torch: late, so that the package stays light

    precision, table = main.precision if name is None else parse_precision(name), main.technology
    if multiplier is not None:
        return tile_of(precision, table, main.accelerator, multiplier=multiplier)
    if computes(main.precision, precision):
        return main
    if find(table, main.dataflow.datapath_key(DatapathKey(precision), main.accelerator)) is None:
        wider = [other for other in table.precisions() if computes(other, precision)]
        tiles = [tile_of(other, table, main.accelerator) for other in wider]
        if tiles:
            return min(tiles, key=lambda tile: sum(part.area_um2 for part in tile.parts.values()))
    return tile_of(precision, table, main.accelerator)
