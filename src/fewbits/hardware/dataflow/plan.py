"""What a dataflow's schedule says: cycles, accesses of named memories and transfers of each layer, for one image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fewbits.formats.scale import CHANNEL_SHIFT_BITS
from fewbits.hardware.workload.workload import Kind


class AnyAccelerator(Protocol):
    """What an accelerator of any dataflow tells, beside the sizes that its dataflow asks for."""

    @property
    def dataflow(self) -> str:
        """The name of its dataflow, by which `registry.dataflow_of` finds it."""
        ...

    @property
    def clock_mhz(self) -> float:
        """The clock aimed at."""
        ...

    @property
    def bandwidth(self) -> float | None:
        """GB/s (10^9 bytes) between the chip and its memory; None for as much as the schedule needs."""
        ...

    def definition(self) -> dict[str, Any]:
        """What tells it from others, as JSON has it; `registry.accelerator_from` makes it again."""
        ...


@dataclass(frozen=True)
class Widths:
    """Bits of what crosses the border of the chip."""

    weights: int
    inputs: int
    accumulator: int
    """Also of biases, and of the network's outputs."""

    outputs: int | None = None
    """Of the values that a layer leaves for others; None for those of inputs."""


@dataclass(frozen=True)
class Accesses:
    """Of one memory: rows."""

    reads: int
    writes: int


@dataclass(frozen=True)
class LayerSchedule:
    """One layer on the accelerator, for one image. Accesses count rows of a memory, loads and stores count values."""

    name: str
    kind: Kind
    products: int
    """Multiplications that the layer needs."""

    busy_cycles: int
    """Cycles that start products (or, in pooling, read a row)."""

    stall_cycles: int
    """Cycles that wait: for the accumulators of a block that is not full, for the divider of averages, or for the one
    port of a buffer."""

    setup_cycles: int
    """Cycles in which the layer's descriptor is fetched."""

    fill_cycles: int
    """Cycles from the last slot until the layer's last results are stored."""

    utilization: float
    """Needed products as a part of those that the accelerator could do in the layer's cycles; 0 without products."""

    accesses: Mapping[str, Accesses]
    """By the name of each of the dataflow's memories."""

    weights_loaded: int
    biases_loaded: int
    channel_shifts_loaded: int
    inputs_loaded: int
    outputs_stored: int
    stores_accumulators: bool
    """Whether the outputs are accumulators (or sums) at full width: in the network's last layer."""

    pieces: int = 1
    """Into which the layer's chunks fall; each has a descriptor of its own."""

    partial_sums: int = 0
    """Accumulators that are stored at full width at the end of a piece; as many are loaded for the next."""

    transfer_stall_cycles: int = 0
    """Cycles in which nothing is computed because the memory is slower than the schedule."""

    transfers_overlap: bool = True
    """Whether values come and go while others are computed; else the layer waits for each transfer."""

    mapping: tuple[str, ...] = ()
    """The loops that were chosen, a line for each memory from the outermost; empty where there is no choice."""

    looked_at: int = 0
    """Mappings that the chosen one is the best of, where these are not all; 0 where none could be better."""

    limit: str = ""
    """What keeps the layer from fewer cycles, in words, as far as the dataflow says."""

    @property
    def cycles(self) -> int:
        """All cycles of the layer."""
        computing = self.setup_cycles + self.busy_cycles + self.stall_cycles + self.fill_cycles
        return computing + self.transfer_stall_cycles

    def traffic_bits(self, widths: Widths) -> int:
        """Bits between the chip and its memory."""
        stored = widths.accumulator if self.stores_accumulators else widths.outputs or widths.inputs
        return (
            self.weights_loaded * widths.weights
            + self.biases_loaded * widths.accumulator
            + self.channel_shifts_loaded * CHANNEL_SHIFT_BITS
            + self.inputs_loaded * widths.inputs
            + self.outputs_stored * stored
            + 2 * self.partial_sums * widths.accumulator
        )


@dataclass(frozen=True)
class Schedule:
    """All layers of a network, one after another, for one image."""

    layers: tuple[LayerSchedule, ...]
    accelerator: AnyAccelerator

    @property
    def cycles(self) -> int:
        """Cycles for one image."""
        return sum(layer.cycles for layer in self.layers)


def with_bandwidth(plan: Schedule, widths: Mapping[str, Widths], clock_mhz: float) -> Schedule:
    """The schedule with the cycles that wait for the accelerator's memory; itself if that has any bandwidth.

    widths: by the layer's name. A layer takes as long as its cycles or as its transfers, whichever is longer; one whose
    transfers do not overlap takes both.
    """
    if plan.accelerator.bandwidth is None:
        return plan
    bits_per_cycle = plan.accelerator.bandwidth * 8000 / clock_mhz  # GB/s are 8,000 bits/us
    return replace(plan, layers=tuple(_stalled(layer, widths[layer.name], bits_per_cycle) for layer in plan.layers))


def _stalled(layer: LayerSchedule, widths: Widths, bits_per_cycle: float) -> LayerSchedule:
    """A layer with the cycles that wait for its transfers."""
    transfers = math.ceil(layer.traffic_bits(widths) / bits_per_cycle)
    stalls = max(0, transfers - layer.cycles) if layer.transfers_overlap else transfers
    utilization = layer.utilization * layer.cycles / (layer.cycles + stalls)
    return replace(layer, transfer_stall_cycles=stalls, utilization=utilization)
