"""The schedule: how each layer is tiled onto the neurons, its cycles, its accesses to the buffers and to memory.

Order (Chen et al., "DianNao", ASPLOS 2014, section 5, without its blocking of the output positions): for each group of
`neurons` output channels, for each output position, for each chunk of `synapses` inputs, one cycle. The chunks of an
output are consecutive synapses in the order (input channel, kernel row, kernel column), the last one filled with zeros;
each group of a grouped convolution is tiled by itself.

A datapath whose accumulator takes more than one cycle (float32) interleaves that many independent outputs, a *block*:
positions of one group of neurons, and whole groups of neurons where a layer has fewer positions. A block that is not
full stalls between its chunks, but not after its last one, since the next block is independent.

Everything is closed-form arithmetic on the layer's shape, so that no cycle is walked through. The RTL in `rtl/`
takes the same cycles and makes the same accesses; tests hold the two together.

A layer's cycles: its descriptor is fetched (set-up), its slots are issued (busy ones and stalls), its last output is
computed and stored (fill). The next layer starts then, since it reads what this one stored.

Buffers:
- Every busy cycle reads a row of Bin; of a layer with weights and of an addition, a row of SB too.
- A row of Bin is one chunk as the neurons take it. All rows of a pass over the positions are written once for all
  groups of neurons if they fit into Bin together, else once for each pass. A pass serves a group of neurons, or as
  many as a block holds.
- A row of SB is one chunk of one group of neurons. Rows are replaced as they are used for the last time, so a group may
  fill the whole of SB. One that does not fit is written anew for each block of positions.
- A finished position of a group writes a row of Bout, and is read once on its way to memory. The network's last layer
  hands out its accumulators at full width, past Bout.
- Pooling has a stage of its own beside the neurons: a row of Bin is one place of a window, in as many channels as a row
  holds, so that each busy cycle takes one place; each result is a row of Bout. Windows at the border count in full.
  An average goes through one divider, channel after channel, so that outputs lie at least as many cycles apart as a
  row has channels. A float datapath sums a window in its neurons, by weights of one, in the order of the window; the
  next place then waits for the adder.
- An addition is done by the neurons, a channel each, by weights that are powers of two: a chunk of each operand, whose
  lanes are channels. A concatenation only says where its parts are stored: no cycle, no access.

Memory (off chip): a layer's inputs come from there and its outputs go there.
- A weight is loaded as often as its row of SB is written, an input as often as it is part of a row of Bin that is
  written (places in the padding count, though nothing is read there). An output is stored once.
Transfers overlap with computation and never stall it: the figures say what bandwidth that takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fewbits.errors import HardwareError
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.workload.workload import CHANNEL_SHIFT_BITS, Kind, LayerShape, Workload


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

    def __post_init__(self) -> None:
        cycles = (self.fill_cycles, self.setup_cycles, self.result_fill_cycles)
        if min(*cycles, self.maximum_fill_cycles, self.average_fill_cycles) < 0 or self.accumulate_cycles < 1:
            raise HardwareError(
                f"a pipeline takes 0 or more cycles to set up and to fill, and accumulates in 1 or more, not {self}"
            )


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

    @property
    def cycles(self) -> int:
        """All cycles of the layer."""
        return self.setup_cycles + self.busy_cycles + self.stall_cycles + self.fill_cycles

    def traffic_bits(self, widths: Widths) -> int:
        """Bits between the chip and its memory."""
        stored = widths.accumulator if self.stores_accumulators else widths.outputs or widths.inputs
        return (
            self.weights_loaded * widths.weights
            + self.biases_loaded * widths.accumulator
            + self.channel_shifts_loaded * CHANNEL_SHIFT_BITS
            + self.inputs_loaded * widths.inputs
            + self.outputs_stored * stored
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
            if layer.kind == "addition"
            else _windowed(layer, accelerator, pipeline)
            for number, layer in enumerate(workload.layers)
        ),
        accelerator,
    )


@dataclass(frozen=True)
class _Tiling:
    """How a layer with weights falls into pieces."""

    neuron_groups: int
    """Groups of up to `neurons` output channels, in one group of a grouped convolution."""

    chunks: int
    """Chunks of up to `synapses` inputs in one output."""

    passes: int
    """Passes over the positions, in one group of a grouped convolution."""

    position_blocks: int
    """Blocks that the positions of one pass fall into."""

    busy_cycles: int
    stall_cycles: int


def _tile(layer: LayerShape, accelerator: Accelerator, interleaved: int) -> _Tiling:
    """Tile a layer, `interleaved` outputs in a block."""
    neuron_groups = _ceil(layer.neurons // layer.groups, accelerator.neurons)
    chunks = _ceil(layer.synapses, accelerator.synapses)
    passes = _ceil(neuron_groups, max(1, interleaved // layer.positions))
    position_blocks = _ceil(layer.positions, interleaved)
    empty = passes * position_blocks * interleaved - neuron_groups * layer.positions
    return _Tiling(
        neuron_groups,
        chunks,
        passes,
        position_blocks,
        busy_cycles=layer.groups * neuron_groups * layer.positions * chunks,
        stall_cycles=layer.groups * empty * (chunks - 1),
    )


def _weighted(layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline, *, is_last: bool) -> LayerSchedule:
    """Schedule a convolution or a linear layer."""
    tiling = _tile(layer, accelerator, pipeline.accumulate_cycles)
    fill_cycles = pipeline.result_fill_cycles if is_last else pipeline.fill_cycles
    cycles = pipeline.setup_cycles + tiling.busy_cycles + tiling.stall_cycles + fill_cycles
    bin_rows = layer.positions * tiling.chunks
    bin_passes = layer.groups * (1 if bin_rows <= accelerator.buffer_rows else tiling.passes)
    sb_passes = 1 if tiling.chunks <= accelerator.buffer_rows else tiling.position_blocks
    output_rows = 0 if is_last else tiling.neuron_groups * layer.groups * layer.positions
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=layer.products,
        busy_cycles=tiling.busy_cycles,
        stall_cycles=tiling.stall_cycles,
        setup_cycles=pipeline.setup_cycles,
        fill_cycles=fill_cycles,
        utilization=layer.products / (cycles * accelerator.neurons * accelerator.synapses),
        bin_reads=tiling.busy_cycles,
        bin_writes=bin_rows * bin_passes,
        sb_reads=tiling.busy_cycles,
        sb_writes=layer.groups * tiling.neuron_groups * tiling.chunks * sb_passes,
        bout_reads=output_rows,
        bout_writes=output_rows,
        weights_loaded=layer.weights * sb_passes,
        biases_loaded=layer.biases,
        channel_shifts_loaded=layer.channel_shifts,
        inputs_loaded=layer.positions * layer.synapses * bin_passes,
        outputs_stored=layer.output_values,
        stores_accumulators=is_last,
    )


def _added(layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline, *, is_last: bool) -> LayerSchedule:
    """Schedule an addition, as the convolution that it is in the neurons: slices of channels are its groups."""
    lanes = min(accelerator.neurons, accelerator.synapses)
    slices = _ceil(layer.input_channels, lanes)
    convolution = LayerShape(
        *(layer.name, "convolution", slices * layer.operands * accelerator.synapses, layer.input_size),
        *(slices * lanes, layer.output_size),
        groups=slices,
    )
    return replace(
        _weighted(convolution, accelerator, pipeline, is_last=is_last),
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
    slices = _ceil(layer.input_channels, lanes)
    outputs = slices * layer.positions
    reads = outputs * places
    averages = layer.kind == "average-pool"
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


def _ceil(amount: int, size: int) -> int:
    """Pieces of `size` that hold `amount`."""
    return -(-amount // size)
