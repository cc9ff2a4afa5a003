"""How a machine for layers of several precisions is built, and which datapath computes which layer.

- `one`: one wide datapath, the smallest of the technology table that holds the numbers of all layers, where it has one.
- `each`: a datapath, with neurons, control and buffers, for each precision.
- `composable`: the datapath whose multipliers split (`datapath.composable`) for all layers of fixed formats that it
  holds, those of 4 bits and fewer in its mode of 4 bits, others in that of 8 bits; other layers on datapaths of theirs.

One datapath works at a time, at one clock, the slowest's; all of them leak (`tiles`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast, get_args

from fewbits.arguments import shown
from fewbits.errors import HardwareError
from fewbits.hardware.costing.tiles import Tile, Tiles, need_of, own_tile, tile_of, tiles_of
from fewbits.hardware.dataflow.plan import AnyAccelerator
from fewbits.hardware.dataflow.registry import dataflow_of
from fewbits.hardware.multipliers.composable import COMPOSABLE, COMPOSED_BITS, PART_BITS
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER
from fewbits.hardware.process.technology import Technology
from fewbits.hardware.workload.own_precision import computes
from fewbits.hardware.workload.workload import Workload

if TYPE_CHECKING:
    from fewbits.formats import Precision

Datapaths = Literal["one", "each", "composable"]
"""The ways to build a machine; see this file's docstring."""

DEFAULT_DATAPATHS: Datapaths = "one"


def datapaths_named(name: str) -> Datapaths:
    """A way to build a machine by its name. Raises HardwareError for another."""
    if name in get_args(Datapaths):
        return cast("Datapaths", name)
    *names, last = map(repr, get_args(Datapaths))
    raise HardwareError(f"datapaths must be {', '.join(names)} or {last}, not {shown(name)}")


@dataclass(frozen=True)
class Request:
    """What a machine is made of."""

    table: Technology
    accelerator: AnyAccelerator
    multiplier: str = DEFAULT_MULTIPLIER
    product_bits: int | None = None

    def tile(self, precision: Precision) -> Tile:
        """The tile of a precision."""
        return tile_of(
            precision, self.table, self.accelerator, multiplier=self.multiplier, product_bits=self.product_bits
        )


def machine_for(workload: Workload, precision: Precision, request: Request, datapaths: Datapaths) -> Tiles:
    """The tiles of a network's layers.

    workload: all layers with weights name their precision (`own_precision.named`). precision: the network's.
    Raises HardwareError for what cannot be built of the table or on the accelerator, naming the layer.
    """
    return _BUILT[datapaths](workload, precision, request)


def _one(workload: Workload, precision: Precision, request: Request) -> Tiles:
    asked = _precisions(workload, precision)
    holding = [one for one in dict.fromkeys((*asked, *request.table.precisions())) if _holds_all(one, asked)]
    tiles = [tile for one in holding if (tile := _tile_or_none(one, request)) is not None]
    main = min(tiles, key=_area_um2) if tiles else request.tile(precision)
    return tiles_of(workload, main)


def _holds_all(wide: Precision, asked: tuple[Precision, ...]) -> bool:
    return all(computes(wide, one) for one in asked)


def _tile_or_none(precision: Precision, request: Request) -> Tile | None:
    """The tile of a precision; None where the technology table has none."""
    try:
        return request.tile(precision)
    except HardwareError:
        return None


def _area_um2(tile: Tile) -> float:
    return sum(part.area_um2 for part in tile.parts.values())


def _each(workload: Workload, precision: Precision, request: Request) -> Tiles:
    from fewbits.formats import parse_precision  # loads torch: late, so that the package stays light

    if request.product_bits is not None:
        raise HardwareError(
            "products are truncated on one datapath alone: leave product_bits out, or take datapaths='one'"
        )

    def choose(name: str | None, multiplier: str | None, main: Tile) -> Tile:
        own = precision if name is None else parse_precision(name)
        return replace(request, multiplier=multiplier or request.multiplier).tile(own)

    asked = _precisions(workload, precision)
    return tiles_of(workload, request.tile(precision if precision in asked else asked[0]), choose)


def _composable(workload: Workload, precision: Precision, request: Request) -> Tiles:
    from fewbits.formats import FixedPoint, Precision, parse_precision  # loads torch: late

    if request.multiplier not in (DEFAULT_MULTIPLIER, COMPOSABLE.name) or request.product_bits is not None:
        raise HardwareError(
            "datapaths='composable' has a multiplier of its own and whole products: leave multiplier and product_bits "
            "out, or take datapaths='one' or 'each'"
        )
    modes = [Precision(FixedPoint(bits), FixedPoint(bits)) for bits in (PART_BITS, COMPOSED_BITS)]
    asked = _precisions(workload, precision)
    needed = [mode for one in asked if (mode := _mode(one, modes)) is not None]
    if not needed:
        names = ", ".join(one.name for one in asked)
        raise HardwareError(
            f"the composable datapath computes fixed formats of up to {COMPOSED_BITS} bits, and no layer has such: "
            f"{names}; take datapaths='one' or 'each'"
        )
    dataflow_of(request.accelerator).split(request.accelerator, COMPOSABLE.products_per_lane(modes[0]))  # or refuses
    first = tile_of(needed[0], request.table, request.accelerator, multiplier=COMPOSABLE.name)

    def choose(name: str | None, multiplier: str | None, main: Tile) -> Tile:
        own = precision if name is None else parse_precision(name)
        mode = _mode(own, modes)
        if multiplier is not None or mode is None:
            return own_tile(name or precision.name, multiplier, main)
        if mode == main.precision:
            return main
        made = tile_of(mode, request.table, request.accelerator, multiplier=COMPOSABLE.name)
        return replace(made, is_mode=True)

    return tiles_of(workload, first, choose)


def _mode(precision: Precision, modes: list[Precision]) -> Precision | None:
    """The narrowest mode that holds the numbers of a layer; None for formats that are computed elsewhere."""
    return next((mode for mode in modes if computes(mode, precision)), None)


def _precisions(workload: Workload, network: Precision) -> tuple[Precision, ...]:
    """Those of the layers with weights, each once, in the order of the layers."""
    from fewbits.formats import parse_precision  # loads torch: late, so that the package stays light

    names = dict.fromkeys(need_of(layer)[0] for layer in workload.layers if layer.has_weights)
    return tuple(dict.fromkeys(network if name is None else parse_precision(name) for name in names))


_BUILT: Mapping[Datapaths, Callable[[Workload, Precision, Request], Tiles]] = {
    "one": _one,
    "each": _each,
    "composable": _composable,
}
