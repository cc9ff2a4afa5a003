"""The schedule: how each layer is tiled onto the neurons, its cycles, its accesses to the buffers and to memory.

Order (Chen et al., "DianNao", ASPLOS 2014, section 5, without its blocking of the output positions): for each group of
`neurons` output channels, for each output position, for each chunk of `synapses` inputs, one cycle. The chunks of an
output are consecutive synapses in the order (input channel, kernel row, kernel column), the last one filled with zeros;
each group of a grouped convolution is tiled by itself.

A datapath whose accumulator takes more than one cycle (float32) interleaves that many independent outputs, a *block*:
positions of one group of neurons, and whole groups of neurons where a layer has fewer positions. A block that is not
full stalls between its chunks, but not after its last one, since the next block is independent.

Everything is closed-form arithmetic on the layer's shape, so that no cycle is walked through.

Buffers:
- Every busy cycle reads a row of Bin and a row of SB.
- A row of Bin is one chunk as the neurons take it. All rows of a layer (one for each position and chunk) are written
  once if they fit into Bin together, else once for each group of neurons.
- A row of SB is one chunk of one group of neurons. Rows are replaced as they are used for the last time, so a group may
  fill the whole of SB. One that does not fit is written anew for each block of positions.
- A finished position of a group writes a row of Bout, and is read once on its way to memory. The network's last layer
  hands out its accumulators at full width, past Bout.
- Pooling happens in Bout, a stage of its own while the multipliers rest: rows of `neurons` channels of one input
  position are brought in, and one row a cycle is read for every window that it belongs to; each result is a row
  written. Windows at the border count in full.
- An addition happens there too: it reads a row of each operand, two cycles, and writes the row of their sums. A
  concatenation only says where its parts are stored: no cycle, no access.

Memory (off chip): a layer's inputs come from there and its outputs go there.
- A weight is loaded as often as its row of SB is written.
- An input is loaded once for each group of neurons (once for all, if the layer's inputs fit into Bin), as long as the
  rows of the image under the kernel fit into Bin, so that windows share them. If only the window fits, those rows
  are loaded again for each row of outputs; if not even that, each window by itself. Pooling likewise, with Bout.
- An output is stored once.
Transfers overlap with computation and never stall it: the figures say what bandwidth that takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from fewbits.errors import HardwareError
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.workload import CHANNEL_SHIFT_BITS, Kind, LayerShape, Workload


@dataclass(frozen=True)
class Pipeline:
    """What a schedule depends on of a datapath."""

    stages: int = 1
    """Cycles from operands at the inputs to the rounded output: paid once a layer, which needs the one before."""

    accumulate_cycles: int = 1
    """Cycles until a sum can be added to: as many independent outputs are interleaved."""

    def __post_init__(self) -> None:
        if self.stages < 0 or self.accumulate_cycles < 1:
            raise HardwareError(
                f"a pipeline has 0 or more stages and accumulates in 1 or more cycles, not {self.stages} and "
                f"{self.accumulate_cycles}"
            )


@dataclass(frozen=True)
class Widths:
    """Bits of what crosses the border of the chip."""

    weights: int
    inputs: int
    accumulator: int
    """Also of biases, and of the network's outputs."""


@dataclass(frozen=True)
class LayerSchedule:
    """One layer on the tile, for one image. Buffer accesses count rows, loads and stores count values."""

    name: str
    kind: Kind
    products: int
    """Multiplications that the layer needs."""

    busy_cycles: int
    """Cycles that start products (or, in pooling and additions, read a row)."""

    stall_cycles: int
    """Cycles that wait for the accumulators of a block that is not full."""

    fill_cycles: int
    """Cycles that wait for the layer's last results."""

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
        return self.busy_cycles + self.stall_cycles + self.fill_cycles

    def traffic_bits(self, widths: Widths) -> int:
        """Bits between the chip and its memory."""
        stored = widths.accumulator if self.stores_accumulators else widths.inputs
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

    @property
    def products(self) -> int:
        """Multiplications that the network needs."""
        return sum(layer.products for layer in self.layers)

    @property
    def utilization(self) -> float:
        """Needed products as a part of those that the tile could do in all cycles."""
        return self.products / (self.cycles * self.accelerator.neurons * self.accelerator.synapses)

    def traffic_bits(self, widths: Widths) -> int:
        """Bits between the chip and its memory for one image."""
        return sum(layer.traffic_bits(widths) for layer in self.layers)


def schedule(workload: Workload, accelerator: Accelerator, pipeline: Pipeline) -> Schedule:
    """Tile each layer onto the accelerator; see this file's docstring for the rules."""
    last = len(workload.layers) - 1
    return Schedule(
        tuple(
            _weighted(layer, accelerator, pipeline, is_last=number == last)
            if layer.has_weights
            else _in_bout(layer, accelerator, is_last=number == last)
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

    position_blocks: int
    """Blocks that the positions of one group of neurons fall into."""

    busy_cycles: int
    stall_cycles: int


def _tile(layer: LayerShape, accelerator: Accelerator, interleaved: int) -> _Tiling:
    """Tile a layer, `interleaved` outputs in a block."""
    neuron_groups = _ceil(layer.neurons // layer.groups, accelerator.neurons)
    chunks = _ceil(layer.synapses, accelerator.synapses)
    all_groups = neuron_groups * layer.groups
    if layer.positions >= interleaved:
        position_blocks = _ceil(layer.positions, interleaved)
        empty = all_groups * (position_blocks * interleaved - layer.positions)
    else:
        position_blocks = 1
        blocks = _ceil(all_groups, interleaved // layer.positions)
        empty = blocks * interleaved - all_groups * layer.positions
    return _Tiling(
        neuron_groups,
        chunks,
        position_blocks,
        busy_cycles=all_groups * layer.positions * chunks,
        stall_cycles=empty * (chunks - 1),
    )


def _weighted(layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline, *, is_last: bool) -> LayerSchedule:
    """Schedule a convolution or a linear layer."""
    tiling = _tile(layer, accelerator, pipeline.accumulate_cycles)
    cycles = tiling.busy_cycles + tiling.stall_cycles + pipeline.stages
    bin_rows = layer.positions * tiling.chunks
    bin_passes = 1 if bin_rows <= accelerator.buffer_rows else tiling.neuron_groups
    sb_passes = 1 if tiling.chunks <= accelerator.buffer_rows else tiling.position_blocks
    output_rows = 0 if is_last else tiling.neuron_groups * layer.groups * layer.positions
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=layer.products,
        busy_cycles=tiling.busy_cycles,
        stall_cycles=tiling.stall_cycles,
        fill_cycles=pipeline.stages,
        utilization=layer.products / (cycles * accelerator.neurons * accelerator.synapses),
        bin_reads=tiling.busy_cycles,
        bin_writes=layer.groups * bin_rows * bin_passes,
        sb_reads=tiling.busy_cycles,
        sb_writes=layer.groups * tiling.neuron_groups * tiling.chunks * sb_passes,
        bout_reads=output_rows,
        bout_writes=output_rows,
        weights_loaded=layer.weights * sb_passes,
        biases_loaded=layer.biases,
        channel_shifts_loaded=layer.channel_shifts,
        inputs_loaded=_inputs_loaded(layer, accelerator, tiling.neuron_groups),
        outputs_stored=layer.output_values,
        stores_accumulators=is_last,
    )


def _inputs_loaded(layer: LayerShape, accelerator: Accelerator, neuron_groups: int) -> int:
    """Input values that a layer with weights loads."""
    channels = layer.input_channels // layer.groups
    capacity = accelerator.buffer_rows * accelerator.synapses
    height, width = layer.input_size
    passes = 1 if channels * height * width <= capacity else neuron_groups
    return layer.input_channels * _positions_loaded(layer, capacity // channels) * passes


def _in_bout(layer: LayerShape, accelerator: Accelerator, *, is_last: bool) -> LayerSchedule:
    """Schedule a pooling layer or an addition."""
    slices = _ceil(layer.input_channels, accelerator.neurons)
    loaded = _positions_loaded(layer, accelerator.buffer_rows) * layer.operands
    reads = slices * layer.positions * layer.synapses
    results = slices * layer.positions
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=0,
        busy_cycles=reads,
        stall_cycles=0,
        fill_cycles=0,
        utilization=0.0,
        bin_reads=0,
        bin_writes=0,
        sb_reads=0,
        sb_writes=0,
        bout_reads=reads + results,
        bout_writes=slices * loaded + results,
        weights_loaded=0,
        biases_loaded=0,
        channel_shifts_loaded=0,
        inputs_loaded=layer.input_channels * loaded,
        outputs_stored=layer.output_values,
        stores_accumulators=is_last and layer.kind == "addition",
    )


def _positions_loaded(layer: LayerShape, room: int) -> int:
    """Input positions loaded in one pass over the outputs, with room in the buffer for `room` of them at once."""
    height, width = layer.input_size
    rows = (layer.kernel[0] - 1) * layer.dilation[0] + 1
    every_window = layer.positions * layer.window
    if rows * width <= room:
        return min(height * width, every_window)
    if layer.window <= room:
        return min(layer.output_size[0] * layer.kernel[0] * width, every_window)
    return every_window


def _ceil(amount: int, size: int) -> int:
    """Pieces of `size` that hold `amount`."""
    return -(-amount // size)
