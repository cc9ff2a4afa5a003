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

A part of a layer that takes some chunks alone (`workload.switched_parts`) begins at the first chunk that any group of
neurons takes, and ends at the last. Between them the control passes over the others, a cycle each that stalls: no row
is read, none is loaded. Sums that another part began come from memory as those of a piece do.

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
Transfers overlap with computation and never stall it; `plan.with_bandwidth` says what they do to it where the memory
gives less than that takes. While a row is used, others are loaded and stored (double buffering at the grain of a row),
so that a layer takes as long as its cycles or as its transfers, whichever is longer; layers do not overlap. That is a
lower bound: a layer whose weights come in bursts, faster than its mean, may wait more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.opcodes import LANE_SUMS, Opcode, Opcodes
from fewbits.hardware.dataflow.diannao.tiling import Tiling, ceil_div
from fewbits.hardware.dataflow.plan import Accesses, LayerSchedule, Schedule, Widths
from fewbits.hardware.workload.workload import Kind, LayerShape, Workload

BUFFERS = ("bin", "sb", "bout")
"""The tile's memories: inputs, synapses, outputs."""

_EQUAL_WIDTHS = Widths(1, 1, 1)


@dataclass(frozen=True)
class Pipeline:
    """What a schedule depends on of a datapath; `latency.pipeline` gives that of the generated accelerator."""

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

    opcodes: Opcodes = LANE_SUMS
    """What pooling asks of the neurons; see there."""

    widths: Widths = _EQUAL_WIDTHS
    """Of the datapath: they decide what moves fewer bits. By default all values count alike."""

    def __post_init__(self) -> None:
        cycles = (self.fill_cycles, self.setup_cycles, self.result_fill_cycles)
        if min(*cycles, self.maximum_fill_cycles, self.average_fill_cycles) < 0 or self.accumulate_cycles < 1:
            raise HardwareError(
                f"a pipeline takes 0 or more cycles to set up and to fill, and accumulates in 1 or more, not {self}"
            )


def schedule(workload: Workload, accelerator: Accelerator, pipeline: Pipeline) -> Schedule:
    """Tile each layer onto the accelerator; see this file's docstring for the rules."""
    last = len(workload.layers) - 1
    return Schedule(
        tuple(
            _SCHEDULES[layer.kind](layer, accelerator, pipeline, is_last=number == last)
            for number, layer in enumerate(workload.layers)
        ),
        accelerator,
    )


def total_accesses(plan: Schedule) -> dict[str, int]:
    """Rows written to and read from each buffer, in the order of the circuit's port `accesses`: `bin_writes`, ..."""
    totals: dict[str, int] = {}
    for name in BUFFERS:
        rows = [layer.accesses[name] for layer in plan.layers]
        totals |= {f"{name}_writes": sum(one.writes for one in rows), f"{name}_reads": sum(one.reads for one in rows)}
    return totals


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
    if not layer.chunks:
        return _in_pieces(layer, whole.pieces(accelerator, pipeline.widths), accelerator, pipeline, is_last=is_last)
    first, last = (end(map(end, layer.chunks)) for end in (min, max))
    pieces = replace(whole, chunks=last - first + 1, first_chunk=first).pieces(accelerator, pipeline.widths)
    all_chunks = _in_pieces(layer, pieces, accelerator, pipeline, is_last=is_last)
    return _passing_over(all_chunks, layer, pieces, accelerator)


def _passing_over(
    of_all: LayerSchedule, layer: LayerShape, pieces: Sequence[Tiling], accelerator: Accelerator
) -> LayerSchedule:
    """The schedule of a part that takes some chunks. of_all: that of all chunks between its first and its last."""
    taken = [_chunks_in(piece, layer.chunks) for piece in pieces]
    of_any = [frozenset[int]().union(*of_piece) for of_piece in taken]
    each = list(zip(pieces, taken, of_any, strict=True))
    busy_cycles = layer.positions * sum(len(chunks) for of_piece in taken for chunks in of_piece)
    rounded_rows = layer.positions * (len(layer.chunks) - ceil_div(layer.handed_on, accelerator.neurons))
    return replace(
        of_all,
        busy_cycles=busy_cycles,
        stall_cycles=of_all.stall_cycles + of_all.busy_cycles - busy_cycles,
        accesses=_accesses(
            (busy_cycles, sum(layer.positions * len(chunks) * piece.input_passes for piece, _, chunks in each)),
            (busy_cycles, sum(sum(map(len, groups)) * piece.weight_passes for piece, groups, _ in each)),
            0 if of_all.stores_accumulators else rounded_rows,
        ),
        weights_loaded=sum(
            layer.outputs_of(group) * layer.synapses_in(chunks) * piece.weight_passes
            for piece, groups, _ in each
            for group, chunks in enumerate(groups)
        ),
        inputs_loaded=sum(
            layer.positions * layer.synapses_in(chunks) * piece.input_passes for piece, _, chunks in each
        ),
        partial_sums=of_all.partial_sums + layer.resumed * layer.positions,
    )


def _chunks_in(piece: Tiling, chunks: Sequence[Sequence[int]]) -> list[frozenset[int]]:
    """Those of each group of outputs that lie in a piece."""
    own = range(piece.first_chunk, piece.first_chunk + piece.chunks)
    return [frozenset(of_group).intersection(own) for of_group in chunks]


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
        accesses=_accesses(
            (busy_cycles, sum(piece.input_rows for piece in pieces)),
            (busy_cycles, sum(piece.weight_rows for piece in pieces)),
            output_rows,
        ),
        weights_loaded=sum(_loaded_synapses(layer, p, accelerator) * p.weight_passes for p in pieces) * layer.neurons,
        biases_loaded=layer.biases,
        channel_shifts_loaded=layer.channel_shifts,
        inputs_loaded=sum(_loaded_synapses(layer, p, accelerator) * p.input_passes for p in pieces)
        * (layer.groups * layer.positions),
        outputs_stored=layer.output_values,
        stores_accumulators=is_last,
        pieces=len(pieces),
        partial_sums=spilled * layer.neurons * layer.positions,
    )


def _accesses(inputs: tuple[int, int], weights: tuple[int, int], output_rows: int) -> dict[str, Accesses]:
    """Of the buffers. inputs, weights: rows read and written; a row of Bout is written once, and read once."""
    rows = (inputs, weights, (output_rows, output_rows))
    return {name: Accesses(*each) for name, each in zip(BUFFERS, rows, strict=True)}


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


def _maximum(layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline, *, is_last: bool) -> LayerSchedule:
    """Schedule a pooling layer that takes maxima."""
    return _windowed(layer, accelerator, pipeline, pipeline.opcodes.maximum, pipeline.maximum_fill_cycles)


def _average(layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline, *, is_last: bool) -> LayerSchedule:
    """Schedule a pooling layer that averages."""
    return _windowed(layer, accelerator, pipeline, pipeline.opcodes.average, pipeline.average_fill_cycles)


def _windowed(
    layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline, opcode: Opcode, fill_cycles: int
) -> LayerSchedule:
    """Schedule a pooling layer."""
    places = layer.synapses
    lanes = min(accelerator.neurons, accelerator.synapses)
    slices = ceil_div(layer.input_channels, lanes)
    outputs = slices * layer.positions
    reads = outputs * places
    between = (pipeline.accumulate_cycles if opcode.waits_for_sums else 1) * (places - 1) + 1  # slots of one output
    gap = max(0, lanes - between) if opcode.divides else 0
    weight_passes = 1 if places <= accelerator.buffer_rows else layer.positions
    weight_rows = slices * places * weight_passes if opcode.takes_weights else 0
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=0,
        busy_cycles=reads,
        stall_cycles=outputs * (between - places) + (outputs - 1) * gap,
        setup_cycles=pipeline.setup_cycles,
        fill_cycles=fill_cycles,
        utilization=0.0,
        accesses=_accesses((reads, reads), (reads if opcode.takes_weights else 0, weight_rows), outputs),
        weights_loaded=weight_rows * accelerator.neurons * accelerator.synapses,
        biases_loaded=slices * accelerator.neurons if opcode.takes_weights else 0,
        channel_shifts_loaded=0,
        inputs_loaded=layer.input_channels * layer.positions * places,
        outputs_stored=layer.output_values,
        stores_accumulators=False,
    )


class _OfLayer(Protocol):
    def __call__(
        self, layer: LayerShape, accelerator: Accelerator, pipeline: Pipeline, *, is_last: bool
    ) -> LayerSchedule: ...


_SCHEDULES: dict[Kind, _OfLayer] = {
    "convolution": _weighted,
    "linear": _weighted,
    "addition": _added,
    "max-pool": _maximum,
    "average-pool": _average,
}
