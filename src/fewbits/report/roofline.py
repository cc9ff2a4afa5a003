"""The roofline: how many operations a second each layer reaches, under what multipliers and memories allow.

A point is a layer with products: its operations for each byte that crosses the chip's border, against its operations a
second. Above it lie two ceilings: the multipliers, all busy in every cycle, and bandwidth times operations per byte.

Sources: S. Williams, A. Waterman and D. Patterson, "Roofline: an insightful visual performance model for multicore
architectures", CACM 52(4), 2009; C. Zhang et al., "Optimizing FPGA-based accelerator design for deep convolutional
neural networks", FPGA 2015, figure 8, which draws an accelerator's designs so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewbits.hardware.costing.breakdown import OPERATIONS_PER_PRODUCT
from fewbits.hardware.dataflow.accelerator import ASSUMED_BANDWIDTH, ASSUMED_MEMORY
from fewbits.report.layers import gops_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.hardware import Cost
    from fewbits.study.layer_record import LayerRecord


@dataclass(frozen=True)
class Point:
    """A layer, or several that lie in one place."""

    layers: tuple[str, ...]
    operations_per_byte: float
    gops: float
    limit: str
    """In words."""

    @property
    def label(self) -> str:
        """The first layer's name, and how many more."""
        return self.layers[0] + (f" +{len(self.layers) - 1}" if len(self.layers) > 1 else "")


@dataclass(frozen=True)
class MemoryRoof:
    """A memory on the chip as a ceiling of its own: its bandwidth, and each layer's operations per byte of it."""

    name: str
    gb_s: float
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Roofline:
    """The ceilings of one accelerator, and a network's layers under them."""

    label: str
    """What it is of: a precision, an accelerator."""

    peak_gops: float
    """All multipliers busy in every cycle."""

    bandwidth_gb_s: float
    """Between the chip and its memory."""

    is_assumed: bool
    """Whether that is an assumption (ASSUMED_MEMORY); else the accelerator states it."""

    points: tuple[Point, ...]
    narrowest: MemoryRoof | None
    """The memory on the chip whose ports the layers keep busiest; None if none is accessed."""

    names_points: bool = True
    """Whether a chart writes the layers' names beside their points."""

    @property
    def bandwidth_words(self) -> str:
        """The bandwidth and where it is from."""
        return f"{self.bandwidth_gb_s:g} GB/s" + (f", {ASSUMED_MEMORY}, assumed" if self.is_assumed else "")

    def attainable(self, operations_per_byte: float) -> float:
        """What both ceilings allow, in 10^9 operations a second."""
        return min(self.peak_gops, self.bandwidth_gb_s * operations_per_byte)


def roofline(
    label: str, layers: Sequence[LayerRecord], *, clock_mhz: float, products_per_cycle: int, bandwidth: float | None
) -> Roofline:
    """Of a network's layers; those without products are no points.

    bandwidth: GB/s; None assumes that of ASSUMED_MEMORY.
    """
    multiplying = [layer for layer in layers if layer.operations and layer.traffic_bits]
    return Roofline(
        label=label,
        peak_gops=OPERATIONS_PER_PRODUCT * products_per_cycle * clock_mhz / 1000,
        bandwidth_gb_s=ASSUMED_BANDWIDTH if bandwidth is None else bandwidth,
        is_assumed=bandwidth is None,
        points=_points(multiplying, [layer.traffic_bits for layer in multiplying], clock_mhz),
        narrowest=_narrowest(multiplying, clock_mhz),
    )


def cost_roofline(label: str, cost: Cost) -> Roofline:
    """Of a network's cost."""
    from fewbits.study.layer_record import layer_records

    return roofline(
        label,
        layer_records(cost),
        clock_mhz=cost.clock_mhz,
        products_per_cycle=cost.products_per_cycle,
        bandwidth=cost.bandwidth_gb_s,
    )


def _points(layers: Sequence[LayerRecord], bits: Sequence[float], clock_mhz: float) -> tuple[Point, ...]:
    """Layers at one place are one point. bits: that each moves."""
    found: dict[tuple[float, float, str], list[str]] = {}
    for layer, moved in zip(layers, bits, strict=True):
        place = (layer.operations / (moved / 8), gops_of(layer, clock_mhz), layer.limit)
        found.setdefault(place, []).append(layer.name)
    return tuple(Point(tuple(names), *place) for place, names in found.items())


def _narrowest(layers: Sequence[LayerRecord], clock_mhz: float) -> MemoryRoof | None:
    names = dict.fromkeys(one.name for layer in layers for one in layer.memories)
    shares = {name: _port_share(layers, name) for name in names}
    name = max(shares, key=lambda one: shares[one], default=None)
    if name is None or not shares[name]:
        return None
    using = [(layer, one) for layer in layers for one in layer.memories if one.name == name and one.reads + one.writes]
    memory = using[0][1]
    return MemoryRoof(
        name=name,
        gb_s=memory.rows_per_cycle * memory.row_bits / 8 * clock_mhz / 1000,
        points=_points(
            [layer for layer, _ in using], [(one.reads + one.writes) * one.row_bits for _, one in using], clock_mhz
        ),
    )


def _port_share(layers: Sequence[LayerRecord], name: str) -> float:
    """The part of the accesses that a memory could take in all cycles, which it takes."""
    used = available = 0
    for layer in layers:
        for one in layer.memories:
            if one.name == name:
                used += one.reads + one.writes
                available += one.rows_per_cycle * layer.cycles
    return used / available if available else 0.0
