"""A chip of one or more datapaths, and what a network's layers cost on it, each by itself.

Once it is said what is on the chip (datapaths, and the circuits that pack and unpack formats), a layer's figures depend
on its own precision and on those of the layers that take its result, and on nothing else: area, leakage and clock are
the chip's. So the figures of a network are sums over its layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from fewbits.errors import HardwareError
from fewbits.hardware.costing.breakdown import Breakdown, break_down, joined
from fewbits.hardware.costing.chip_parts import Part, all_leaking
from fewbits.hardware.costing.clock import Clock
from fewbits.hardware.costing.layer_power import NetworkPower
from fewbits.hardware.costing.tiles import Tile, Tiles
from fewbits.hardware.dataflow.plan import Schedule, with_bandwidth
from fewbits.hardware.workload.own_precision import at_precisions
from fewbits.hardware.workload.workload import LayerShape, Workload


@dataclass(frozen=True, eq=False)
class Chip:
    """What is made: one at a time of the tiles works, the others leak."""

    tiles: Tiles
    used: tuple[Tile, ...]
    parts: tuple[dict[str, Part], ...]
    """Of each of `used`, with the packing of narrower formats and the leakage of all."""

    clock: Clock

    def run(self, workload: Workload, activity: NetworkPower | None = None) -> tuple[list[Schedule], Breakdown]:
        """Each tile's schedule of the layers that it computes, and the figures of all layers, for one image."""
        of_layer = {layer.name: self.tiles.of(layer) for layer in workload.layers}
        widths = {layer.name: self.tiles.widths(layer) for layer in workload.layers}
        main = self.tiles.main
        datapaths = main.dataflow.datapaths(main.accelerator)  # every tile is of the same sizes
        plans = [
            with_bandwidth(_share(tile.schedule(workload, widths), of_layer, tile), widths, self.clock.mhz)
            for tile in self.used
        ]
        mhz = self.clock.mhz
        found = [
            break_down(plan, parts, widths, mhz, activity, datapaths, tile.products_per_cycle, tile.memories)
            for tile, plan, parts in zip(self.used, plans, self.parts, strict=True)
        ]
        return plans, joined(found, [layer.name for layer in workload.layers])


def chip_of(tiles: Tiles, layers: Sequence[LayerShape]) -> Chip:
    """The chip that has what these layers need of the tiles."""
    used = tuple(dict.fromkeys(tiles.of(layer) for layer in layers))
    parts = all_leaking([tiles.parts(tile, layers) for tile in used])
    return Chip(tiles, used, tuple(parts), tiles.clock(used))


def family_of(workload: Workload, precisions: Sequence[str]) -> Workload:
    """Every layer at each precision with its result taken at each: what a machine for all of them has to do.

    precisions: as `Precision.name` prints them. Raises HardwareError for none.
    """
    if not precisions:
        raise HardwareError("a machine is built for one precision or more: none were given")
    names = list(dict.fromkeys(precisions))
    layers = [
        layer
        for precision, taken in product(names, names)
        for layer in taken_at(at_precisions(workload, {}, precision), frozenset([taken])).layers
    ]
    return replace(workload, layers=tuple(layers))


def taken_at(workload: Workload, precisions: frozenset[str | None]) -> Workload:
    """The workload with the results of all layers but those of the last ones taken at these precisions."""
    layers = [replace(layer, taken_at=precisions if layer.consumers else frozenset()) for layer in workload.layers]
    return replace(workload, layers=tuple(layers))


def check_built_for(workload: Workload, family: Workload) -> None:
    """Raise HardwareError for a layer at a precision that a machine is not built for."""
    built_for = dict.fromkeys(layer.precision for layer in family.layers if layer.has_weights)
    for layer in workload.layers:
        if layer.has_weights and layer.precision not in built_for:
            raise HardwareError(
                f"layer {layer.name!r} is at {layer.precision}, and the machine is built for "
                f"{', '.join(filter(None, built_for))}: add it to built_for"
            )
        if layer.multiplier is not None:
            raise HardwareError(
                f"layer {layer.name!r} has a multiplier of its own, {layer.multiplier}: leave built_for out"
            )


def check_sums(workload: Workload, tiles: Mapping[str, Tile]) -> None:
    """Raise HardwareError for a layer whose sums could overflow the accumulator of its tile. tiles: by name."""
    for layer in workload.layers:
        if not takes_sums(layer, tiles[layer.name]):
            design = tiles[layer.name].design
            raise HardwareError(
                f"layer {layer.name!r} sums {layer.synapses} products for one output, the accumulator of "
                f"{design.precision.name} takes up to {design.maximum_synapses}: split the layer, or use float32"
            )


def takes_sums(layer: LayerShape, tile: Tile) -> bool:
    """Whether no sum of a layer can overflow the accumulator of a tile."""
    return not layer.has_weights or tile.design.takes(layer.synapses)


def _share(plan: Schedule, tiles: Mapping[str, Tile], tile: Tile) -> Schedule:
    """The layers of a network's schedule that one tile computes."""
    return replace(plan, layers=tuple(layer for layer in plan.layers if tiles[layer.name] is tile))
