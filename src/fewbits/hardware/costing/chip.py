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
from fewbits.hardware.costing.conversions import CONVERSIONS, ConversionFigures, Converters, kept_clock, later
from fewbits.hardware.costing.layer_power import NetworkPower
from fewbits.hardware.costing.tiles import Tile, Tiles
from fewbits.hardware.dataflow.plan import LayerSchedule, Schedule, with_bandwidth
from fewbits.hardware.workload.own_precision import at_precisions
from fewbits.hardware.workload.workload import LayerShape, Workload


@dataclass(frozen=True, eq=False)
class Chip:
    """What is made: one at a time of the tiles works, the others leak."""

    tiles: Tiles
    used: tuple[Tile, ...]
    parts: tuple[dict[str, Part], ...]
    """Of each of `used`, with the packing and the conversions of other formats, and the leakage of all."""

    clock: Clock
    layers: tuple[LayerShape, ...]
    """That it is made for."""

    def run(self, workload: Workload, activity: NetworkPower | None = None) -> tuple[list[Schedule], Breakdown]:
        """Each tile's schedule of the layers that it computes, and the figures of all layers, for one image."""
        of_layer = {layer.name: self.tiles.of(layer) for layer in workload.layers}
        widths = {layer.name: self.tiles.widths(layer) for layer in workload.layers}
        main = self.tiles.main
        datapaths = main.dataflow.datapaths(main.accelerator)  # every tile is of the same sizes
        converters = {layer.name: self.tiles.converters(layer) for layer in workload.layers}
        plans = [
            with_bandwidth(_share(tile.schedule(workload, widths), of_layer, tile, converters), widths, self.clock.mhz)
            for tile in self.used
        ]
        mhz = self.clock.mhz
        values_pj = {layer.name: _converted(layer, converters[layer.name]) for plan in plans for layer in plan.layers}
        found = [
            break_down(plan, parts, widths, mhz, activity, datapaths, tile.products_per_cycle, tile.memories, values_pj)
            for tile, plan, parts in zip(self.used, plans, self.parts, strict=True)
        ]
        return plans, joined(found, [layer.name for layer in workload.layers])


def chip_of(tiles: Tiles, layers: Sequence[LayerShape]) -> Chip:
    """The chip that has what these layers need of the tiles."""
    used = tuple(dict.fromkeys(tiles.of(layer) for layer in layers))
    parts = all_leaking([tiles.parts(tile, layers) for tile in used])
    conversions = [one for tile in used for one in tiles.conversions(tile, layers)]
    return Chip(tiles, used, tuple(parts), kept_clock(tiles.clock(used), conversions), tuple(layers))


def conversion_figures(chip: Chip, workload: Workload, plans: Sequence[Schedule]) -> tuple[ConversionFigures, ...]:
    """The conversions on a chip, by tile, with what a network's layers take of each. plans: of `Chip.run`."""
    planned = {layer.name: layer for plan in plans for layer in plan.layers}
    taken: dict[tuple[Tile, Converters], list[LayerSchedule]] = {
        (tile, one): [] for tile in chip.used for one in chip.tiles.conversions(tile, chip.layers)
    }
    for layer in workload.layers:
        for one in chip.tiles.converters(layer):
            taken[chip.tiles.of(layer), one].append(planned[layer.name])
    return tuple(
        ConversionFigures(
            conversion=one.passed.conversion.name,
            holds=one.passed.holds,
            datapath=tile.name,
            priced_as="" if one.cost is None else one.priced_as,
            values_per_cycle=one.lanes,
            area_mm2=one.area_um2 * 1e-6,
            leakage_uw=one.leakage_uw,
            layers=tuple(layer.name for layer in layers),
            values=sum(one.values(layer) for layer in layers),
            energy_uj=sum(one.energy_pj(layer) for layer in layers) * 1e-6,
        )
        for (tile, one), layers in taken.items()
    )


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


def _share(
    plan: Schedule, tiles: Mapping[str, Tile], tile: Tile, converters: Mapping[str, Sequence[Converters]]
) -> Schedule:
    """The layers of a network's schedule that one tile computes, until their results are converted."""
    own = [layer for layer in plan.layers if tiles[layer.name] is tile]
    return replace(plan, layers=tuple(later(layer, converters[layer.name]) for layer in own))


def _converted(layer: LayerSchedule, converters: Sequence[Converters]) -> dict[str, float]:
    """Dynamic energy of a layer's conversions, pJ, by the part that they are; nothing without any."""
    return {CONVERSIONS: sum(one.energy_pj(layer) for one in converters)} if converters else {}
