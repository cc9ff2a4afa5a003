"""The accelerators that a network needs: that of its precision, and one for each that this one cannot compute.

A layer that stays float, or has formats of its own that the network's datapath does not hold, is computed by an
accelerator of its own, with neurons, control and buffers, on the same chip. One works at a time, at one clock, the
slowest's; the others leak, and are gated off otherwise. What converts values between integers and floats is not
characterized.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from fewbits.errors import HardwareError
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.chip_parts import Part, buffers, chip_parts
from fewbits.hardware.clock import Clock, clock_of, logic_mhz
from fewbits.hardware.interpolation import can_interpolate, interpolate
from fewbits.hardware.memory.sram import Buffer
from fewbits.hardware.rtl.design import NeuronDesign, design
from fewbits.hardware.rtl.latency import pipeline
from fewbits.hardware.schedule import Pipeline, Widths
from fewbits.hardware.technology import DatapathCost, Technology, datapath_name
from fewbits.hardware.workload.own_precision import computes
from fewbits.hardware.workload.workload import LayerShape, Workload

if TYPE_CHECKING:
    from fewbits.formats import Precision

_CHARACTERIZED_SYNAPSES = 16
"""Synapses of the neuron that technology tables hold (`DatapathCost`)."""


@dataclass(frozen=True, eq=False)
class Tile:
    """The accelerator of one precision, as a technology makes it."""

    name: str
    """Of the datapath: its precision's, and the multiplier's variant."""

    design: NeuronDesign
    datapath: DatapathCost
    is_interpolated: bool
    accelerator: Accelerator
    technology: Technology

    @property
    def precision(self) -> Precision:
        """Whose numbers it multiplies."""
        return self.design.precision

    @property
    def pipeline(self) -> Pipeline:
        """Its latencies, for the schedule."""
        return pipeline(self.design, self.accelerator)

    @property
    def widths(self) -> Widths:
        """Bits of its weights, inputs and accumulators."""
        return Widths(self.precision.weights.bits, self.precision.inputs.bits, self.datapath.accumulator_bits)

    @cached_property
    def buffers(self) -> Mapping[str, Buffer]:
        """Bin, SB and Bout, composed of macros."""
        period_ns = 1000.0 / logic_mhz(self.datapath, self.accelerator.clock_mhz)
        return buffers(self.widths, self.accelerator, self.technology, period_ns)

    @property
    def clock(self) -> Clock:
        """The clock that it keeps."""
        return clock_of(self.datapath, self.buffers, self.technology, self.accelerator.clock_mhz)

    @property
    def parts(self) -> dict[str, Part]:
        """Every part of it, all neurons together."""
        return chip_parts(self.datapath, self.buffers, self.accelerator.neurons)


def tile_of(
    precision: Precision,
    table: Technology,
    accelerator: Accelerator,
    *,
    multiplier: str = "booth",
    product_bits: int | None = None,
) -> Tile:
    """The tile of a precision, its datapath interpolated where the table lacks it but can.

    Raises HardwareError if the table has no such datapath, or neurons of another number of synapses.
    """
    if accelerator.synapses != _CHARACTERIZED_SYNAPSES:
        raise HardwareError(
            f"technology {table.name!r} holds neurons of {_CHARACTERIZED_SYNAPSES} synapses, not {accelerator.synapses}"
        )
    made = design(precision, _CHARACTERIZED_SYNAPSES, multiplier=multiplier, product_bits=product_bits)
    name = datapath_name(precision.name, multiplier, product_bits)
    if name in table.datapaths:
        return Tile(name, made, table.datapaths[name], False, accelerator, table)
    if name == precision.name and can_interpolate(table, precision):
        return Tile(name, made, interpolate(table, precision), True, accelerator, table)
    options = "".join(f" {option}" for option in _options(name.removeprefix(precision.name)))
    raise HardwareError(
        f"technology {table.name!r} has no precision {name!r}, only {', '.join(table.datapaths)}: "
        f"add it with 'fewbits characterize --precision {precision.name}{options}'"
    )


@dataclass(frozen=True, eq=False)
class Tiles:
    """The tiles of a network's layers."""

    main: Tile
    """Of the precision that the network is costed at."""

    own: Mapping[str, Tile]
    """By the name of a layer's own precision: the main one where that computes it."""

    def of(self, layer: LayerShape) -> Tile:
        """What computes a layer; pooling and additions belong to the widest of those that take their result."""
        if layer.has_weights:
            return self._at(layer.precision)
        return max(self._takers(layer), key=lambda tile: tile.widths.inputs, default=self.main)

    def widths(self, layer: LayerShape) -> Widths:
        """Of a layer's weights, inputs and accumulators, and of its outputs, for the widest that takes them."""
        outputs = max((tile.widths.inputs for tile in self._takers(layer)), default=None)
        return replace(self.of(layer).widths, outputs=outputs)

    def clock(self, used: Sequence[Tile]) -> Clock:
        """The clock of all that are used: the slowest's, with what is not known of any."""
        slowest = min(used, key=lambda tile: tile.clock.mhz)
        unknown = dict.fromkeys(note for tile in used for note in tile.clock.unknown)
        reason = slowest.clock.reason
        if reason and slowest is not self.main:
            reason = f"{slowest.name}: {reason}"
        return replace(slowest.clock, reason=reason, unknown=tuple(unknown))

    def _at(self, precision: str | None) -> Tile:
        return self.main if precision is None else self.own[precision]

    def _takers(self, layer: LayerShape) -> list[Tile]:
        return [self._at(precision) for precision in layer.taken_at]


def tiles_of(workload: Workload, main: Tile) -> Tiles:
    """The tiles that a network needs beside that of the precision it is costed at.

    Raises HardwareError, naming the layer, if the technology has none for one of them.
    """
    own: dict[str, Tile] = {}
    by_name = {main.name: main}
    for layer, name in workload.own_precisions.items():
        if name not in own:
            try:
                tile = _own_tile(name, main)
            except HardwareError as error:
                raise HardwareError(f"layer {layer!r} is at {name}, which {main.name} does not hold: {error}") from None
            own[name] = by_name.setdefault(tile.name, tile)
    return Tiles(main, own)


def _own_tile(name: str, main: Tile) -> Tile:
    """The tile for layers of a precision of their own: the main one if it computes them, else that of the precision, or
    the smallest that computes it.
    """
    from fewbits.formats import parse_precision  # loads torch: late, so that the package stays light

    precision, table = parse_precision(name), main.technology
    if computes(main.precision, precision):
        return main
    if name not in table.datapaths and not can_interpolate(table, precision):
        known = [parse_precision(other) for other in table.datapaths if " " not in other]  # no variant of a multiplier
        tiles = [tile_of(other, table, main.accelerator) for other in known if computes(other, precision)]
        if tiles:
            return min(tiles, key=lambda tile: sum(part.area_um2 for part in tile.parts.values()))
    return tile_of(precision, table, main.accelerator)


def _options(variant: str) -> list[str]:
    """Options of `fewbits characterize` for what follows the precision in a datapath's name."""
    return [
        f"--product-bits {word.removeprefix('product')}" if word.startswith("product") else f"--multiplier {word}"
        for word in variant.split()
    ]
