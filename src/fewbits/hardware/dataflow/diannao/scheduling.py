"""The schedule: how each layer is tiled onto the neurons, its cycles, its accesses to the buffers and to memory.

Order (Chen et al., "DianNao", ASPLOS 2014, section 5): for each group of `neurons` output channels, for each output
position, for each chunk of `synapses` inputs, one cycle. The chunks of an output are consecutive synapses in the order
(input channel, kernel row, kernel column), the last one filled with zeros; each group of a grouped convolution is tiled
by itself.

Where a group's chunks do not fit into SB, its weights would be loaded anew for each position; where a position's do not
fit into Bin, its inputs anew for each group. Such a layer falls into
*pieces* of its chunks that fit (`tiling`): the loops above run over one piece, then over the next. A sum that is not
complete leaves as the last layer's sums do, at full width, and the next piece starts from it where the first one starts
from the bias. So each weight is loaded once, and each sum's additions keep their order. Of the ways to cut (not at all,
what SB holds, what Bin holds for all positions) the one is taken that moves the fewest bits between chip and memory.

A datapath whose accumulator takes more than one cycle (float32) interleaves that many independent outputs, a *block*:
positions of one group of neurons, and whole groups of neurons where a layer has fewer positions. A block that is not
full stalls between its chunks, but not after its last one, since the next block is independent.

Everything is closed-form arithmetic on the layer's shape, so that no cycle is walked through. The RTL in `rtl/`
takes the same cycles and makes the same accesses; tests hold the two together.

A layer's cycles: its descriptor is fetched (set-up), its slots are issued (busy ones and stalls), its last output is
computed and stored (fill). The next layer, or piece, starts then, since it reads what this one stored.

Buffers:
- Every busy cycle reads a row of Bin; of a layer with weights and of an addition, a row of SB too.
- A row of Bin is one chunk as the neurons take it. All rows of a pass over the positions are written once for all
  groups of neurons if they fit into Bin together, else once for each pass. A pass serves a group of neurons, or as
  many as a block holds.
- A row of SB is one chunk of one group of neurons. Rows are replaced as they are used for the last time, so a group may
  fill the whole of SB. One that does not fit, and is not cut to pieces, is written anew for each block of positions.
- A finished position of a group writes a row of Bout, and is read once on its way to memory. The network's last layer,
  and a piece that another one follows, hand out their accumulators at full width, past Bout.
- Pooling has a stage of its own beside the neurons: a row of Bin is one place of a window, in as many channels as a row
  holds, so that each busy cycle takes one place; each result is a row of Bout. Windows at the border count in full.
  An average goes through one divider, channel after channel, so that outputs lie at least as many cycles apart as a
  row has channels. A float datapath sums a window in its neurons, by weights of one, in the order of the window; the
  next place then waits for the adder.
- An addition is done by the neurons, a channel each, by weights that are powers of two: a chunk of each operand, whose
  lanes are channels. A concatenation only says where its parts are stored: no cycle, no access.

Memory (off chip): a layer's inputs come from there and its outputs go there.
- A weight is loaded as often as its row of SB is written, an input as often as it is part of a row of Bin that is
  written (places in the padding count, though nothing is read there). An output is stored once. A partial sum is
  stored and loaded once between two pieces.
Transfers overlap with computation and never stall it; `with_bandwidth` says what they do to it where the memory gives
less than that takes. While a row is used, others are loaded and stored (double buffering at the grain of a row), so
that a layer takes as long as its cycles or as its transfers, whichever is longer; layers do not overlap. That is a
lower bound: a layer whose weights come in bursts, faster than its mean, may wait more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fewbits.errors import HardwareError
from fewbits.formats.scale import CHANNEL_SHIFT_BITS
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.tiling import Tiling, ceil_div
from fewbits.hardware.workload.workload import Kind, LayerShape, Workload


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
class Pipeline:
    """What a schedule depends on of a datapath; `rtl.latency.pipeline` gives that of the generated accelerator."""

    fill_cycles: int = 0
    """Cycles from the last slot of a layer with weights until its last output is stored."""

    accumulate_cycles: int = 1
    """Cycles until a sum can be added to: as many independent outputs are interleaved."""

    setup_cycles: int = 0
    """Cycles before a layer's first slot."""

    result_fill_cycles: int = 0
    """`fill_cycles` of the network's last layer, which hands out accumulators."""

    maximum_fill_cycles: int = 0
    average_fill_cycles: int = 0

    neurons_average: bool = False
    """Whether the neurons sum the windows of an average, as in float datapaths."""

    widths: Widths = Widths(1, 1, 1)
    """Of the datapath: they decide what moves fewer bits. By default all values count alike."""

    def __post_init__(self) -> None:
        cycles = (self.fill_cycles, self.setup_cycles, self.result_fill_cycles)
        if min(*cycles, self.maximum_fill_cycles, self.average_fill_cycles) < 0 or self.accumulate_cycles < 1:
            raise HardwareError(
                f"a pipeline takes 0 or more cycles to set up and to fill, and accumulates in 1 or more, not {self}"
            )


@dataclass(frozen=True)
class LayerSchedule:
    """One layer on the tile, for one image. Buffer accesses count rows, loads and stores count values."""

    name: str
    kind: Kind
    products: int
    """Multiplications that the layer needs."""

    busy_cycles: int
    """Cycles that start products (or, in pooling, read a row)."""

    stall_cycles: int
    """Cycles that wait: for the accumulators of a block that is not full, or for the divider of averages."""

    setup_cycles: int
    """Cycles in which the layer's descriptor is fetched."""

    fill_cycles: int
    """Cycles from the last slot until the layer's last results are stored."""

    utilization: float
    """Needed products as a part of those that the tile could do in the layer's cycles; 0 without products."""

    bin_reads: int
    bin_writes: int
    sb_reads: int
    sb_writes: int
    bout_reads: int
    bout_writes: int
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
    accelerator: Accelerator

    @property
    def cycles(self) -> int:
        """Cycles for one image."""
        return sum(layer.cycles for layer in self.layers)


def schedule(workload: Workload, accelerator: Accelerator, pipeline: Pipeline) -> Schedule:
    """Tile each layer onto the accelerator; see this file's docstring for the rules."""
    last = len(workload.layers) - 1
    return Schedule(
        tuple(
            _weighted(layer, accelerator, pipeline, is_last=number == last)
            if layer.has_weights
            else _added(layer, accelerator, pipeline, is_last=number == last)
            if layer.operands == 2
            else _windowed(layer, accelerator, pipeline)
            for number, layer in enumerate(workload.layers)
        ),
        accelerator,
    )


def with_bandwidth(plan: Schedule, widths: Mapping[str, Widths], clock_mhz: float) -> Schedule:
    """The schedule with the cycles that wait for the accelerator's memory; itself if that has any bandwidth.

    widths: by the layer's name.
    """
    if plan.accelerator.bandwidth is None:
        return plan
    bits_per_cycle = plan.accelerator.bandwidth * 8000 / clock_mhz  # GB/s are 8,000 bits/us
    return replace(plan, layers=tuple(_stalled(layer, widths[layer.name], bits_per_cycle) for layer in plan.layers))


def _stalled(layer: LayerSchedule, widths: Widths, bits_per_cycle: float) -> LayerSchedule:
    """A layer that takes as long as its transfers at least."""
    stalls = max(0, math.ceil(layer.traffic_bits(widths) / bits_per_cycle) - layer.cycles)
    utilization = layer.utilization * layer.cycles / (layer.cycles + stalls)
    return replace(layer, transfer_stall_cycles=stalls, utilization=utilization)


def _tiling(layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline) -> Tiling:
    """Tile a layer with weights."""
    return Tiling(
        groups=layer.groups,
        neuron_groups=ceil_div(layer.neurons // layer.groups, accelerator.neurons),
        positions=layer.positions,
        chunks=ceil_div(layer.synapses, accelerator.synapses),
        interleaved=pipeline.accumulate_cycles,
        buffer_rows=accelerator.buffer_rows,
    )


def _weighted(layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline, *, is_last: bool) -> LayerSchedule:
    """Schedule a convolution or a linear layer."""
    whole = _tiling(layer, accelerator, pipeline)
    return _in_pieces(layer, whole.pieces(accelerator, pipeline.widths), accelerator, pipeline, is_last=is_last)


def _in_pieces(
    layer: LayerShape, pieces: Sequence[Tiling], accelerator: Accelerator, pipeline: Pipeline, *, is_last: bool
) -> LayerSchedule:
    """Schedule what the neurons compute, one piece of the chunks after another."""
    spilled = len(pieces) - 1
    fill_cycles = spilled * pipeline.result_fill_cycles
    fill_cycles += pipeline.result_fill_cycles if is_last else pipeline.fill_cycles
    setup_cycles = len(pieces) * pipeline.setup_cycles
    busy_cycles, stall_cycles = sum(p.busy_cycles for p in pieces), sum(p.stall_cycles for p in pieces)
    cycles = setup_cycles + busy_cycles + stall_cycles + fill_cycles
    output_rows = 0 if is_last else pieces[0].output_rows
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=layer.products,
        busy_cycles=busy_cycles,
        stall_cycles=stall_cycles,
        setup_cycles=setup_cycles,
        fill_cycles=fill_cycles,
        utilization=layer.products / (cycles * accelerator.neurons * accelerator.synapses),
        bin_reads=busy_cycles,
        bin_writes=sum(piece.input_rows for piece in pieces),
        sb_reads=busy_cycles,
        sb_writes=sum(piece.weight_rows for piece in pieces),
        bout_reads=output_rows,
        bout_writes=output_rows,
        weights_loaded=sum(_loaded_synapses(layer, p, accelerator) * p.weight_passes for p in pieces) * layer.neurons,
        biases_loaded=layer.biases,
        channel_shifts_loaded=layer.channel_shifts,
        inputs_loaded=sum(_loaded_synapses(layer, p, accelerator) * p.input_passes for p in pieces)
        * (layer.groups * layer.positions),
        outputs_stored=layer.output_values,
        stores_accumulators=is_last,
        pieces=len(pieces),
        partial_sums=spilled * layer.output_values,
    )


def _loaded_synapses(layer: LayerShape, piece: Tiling, accelerator: Accelerator) -> int:
    """Synapses of one output in a piece: whole chunks, but for the layer's last one."""
    start = piece.first_chunk * accelerator.synapses
    return min(piece.chunks * accelerator.synapses, layer.synapses - start)


def _added(layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline, *, is_last: bool) -> LayerSchedule:
    """Schedule an addition, as the convolution that it is in the neurons: slices of channels are its groups."""
    lanes = min(accelerator.neurons, accelerator.synapses)
    slices = ceil_div(layer.input_channels, lanes)
    convolution = LayerShape(
        *(layer.name, "convolution", slices * layer.operands * accelerator.synapses, layer.input_size),
        *(slices * lanes, layer.output_size),
        groups=slices,
    )
    return replace(
        _in_pieces(convolution, [_tiling(convolution, accelerator, pipeline)], accelerator, pipeline, is_last=is_last),
        kind=layer.kind,
        products=0,
        utilization=0.0,
        biases_loaded=slices * accelerator.neurons,
        inputs_loaded=layer.input_values,
        outputs_stored=layer.output_values,
    )


def _windowed(layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline) -> LayerSchedule:
    """Schedule a pooling layer."""
    places = layer.synapses
    lanes = min(accelerator.neurons, accelerator.synapses)
    slices = ceil_div(layer.input_channels, lanes)
    outputs = slices * layer.positions
    reads = outputs * places
    averages = layer.averages
    in_neurons = averages and pipeline.neurons_average
    between = (pipeline.accumulate_cycles if in_neurons else 1) * (places - 1) + 1  # slots of one output
    gap = max(0, lanes - between) if averages else 0
    weight_rows = slices * places * (1 if places <= accelerator.buffer_rows else layer.positions)
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=0,
        busy_cycles=reads,
        stall_cycles=outputs * (between - places) + (outputs - 1) * gap,
        setup_cycles=pipeline.setup_cycles,
        fill_cycles=pipeline.average_fill_cycles if averages else pipeline.maximum_fill_cycles,
        utilization=0.0,
        bin_reads=reads,
        bin_writes=reads,
        sb_reads=reads if in_neurons else 0,
        sb_writes=weight_rows if in_neurons else 0,
        bout_reads=outputs,
        bout_writes=outputs,
        weights_loaded=weight_rows * accelerator.neurons * accelerator.synapses if in_neurons else 0,
        biases_loaded=slices * accelerator.neurons if in_neurons else 0,
        channel_shifts_loaded=0,
        inputs_loaded=layer.input_channels * layer.positions * places,
        outputs_stored=layer.output_values,
        stores_accumulators=False,
    )
