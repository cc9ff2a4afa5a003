"""The schedule of the array: folds of each layer, their cycles, accesses to the memories on the chip and transfers.

Rows of the array are synapses in the order (input channel, kernel row, kernel column), columns are output channels. A
*fold* is what the array holds of a layer at a time. For each group of the convolution, for each fold of channels, for
each fold of synapses: the weights move in, a row a cycle; inputs of all positions follow, a position a cycle; then the
array waits until the last one has passed its far corner. A fold of T positions on R rows and C columns so takes
T + 2R + C - 2 cycles, as in SCALE-Sim (Samajdar et al., "A systematic methodology for characterizing scalability of DNN
accelerators using SCALE-Sim", ISPASS 2020), whose total is one less. Where synapses take several folds, sums wait in
the accumulators; a layer with more positions than these have rows is computed block by block, each with all folds.

Memories: `inputs` holds a row for each position and fold of synapses; the rows serve all folds of channels if they fit
together, else they are loaded anew. `accumulators` are read and written once for each position and fold but the first
(read) and the last (written). `outputs` holds finished rows on their way to memory; the last layer's accumulators
leave past it. Weights come from memory straight into the array, once for each block.

Pooling and additions are as DianNao's: a stage of its own takes a window's place a cycle, as many channels as the
shorter side of the array; an addition is a fold for each operand, by weights of powers of two on the diagonal.

Transfers overlap with computation; `plan.with_bandwidth` says what they do where the memory gives less than they take.
"""

from __future__ import annotations

from collections.abc import Callable

from fewbits.hardware.dataflow.diannao.tiling import ceil_div
from fewbits.hardware.dataflow.plan import Accesses, LayerSchedule, Schedule
from fewbits.hardware.dataflow.systolic.folds import Folds, folds
from fewbits.hardware.dataflow.systolic.latency import Pipeline, pooling_lanes
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.workload.workload import Kind, LayerShape, Workload

MEMORIES = ("inputs", "accumulators", "outputs")
"""On the chip, in the order of the circuit's port `accesses`."""


def schedule(workload: Workload, array: Systolic, pipeline: Pipeline) -> Schedule:
    """Fold each layer onto the array; see this file's docstring for the rules."""
    last = len(workload.layers) - 1
    layers = enumerate(workload.layers)
    return Schedule(tuple(_SCHEDULES[one.kind](one, array, pipeline, number == last) for number, one in layers), array)


def total_accesses(plan: Schedule) -> dict[str, int]:
    """Rows written to and read from each memory, as the simulator counts them: `inputs_writes`, ..."""
    totals: dict[str, int] = {}
    for name in MEMORIES:
        rows = [layer.accesses[name] for layer in plan.layers]
        totals |= {f"{name}_writes": sum(one.writes for one in rows), f"{name}_reads": sum(one.reads for one in rows)}
    return totals


def _weighted(layer: LayerShape, array: Systolic, pipeline: Pipeline, is_last: bool) -> LayerSchedule:
    """A convolution or a linear layer."""
    loops = folds(layer.groups, layer.neurons // layer.groups, layer.synapses, layer.output_size, array)
    inputs = sum(block.positions * loops.input_passes(block) for block in loops.blocks)
    return _folded(
        layer,
        loops,
        pipeline,
        is_last,
        weights_loaded=len(loops.blocks) * layer.weights,
        biases_loaded=len(loops.blocks) * layer.biases,
        inputs_loaded=inputs * layer.groups * layer.synapses,
    )


def _added(layer: LayerShape, array: Systolic, pipeline: Pipeline, is_last: bool) -> LayerSchedule:
    """An addition: slices of channels are its groups, operands its folds."""
    lanes = pooling_lanes(array)
    slices = ceil_div(layer.input_channels, lanes)
    loops = folds(slices, min(lanes, layer.input_channels), 2 * array.rows, layer.output_size, array)
    return _folded(
        layer,
        loops,
        pipeline,
        is_last,
        weights_loaded=len(loops.blocks) * loops.count * array.rows * array.columns,
        biases_loaded=len(loops.blocks) * slices * array.columns,
        inputs_loaded=layer.input_values,
    )


def _folded(
    layer: LayerShape,
    loops: Folds,
    pipeline: Pipeline,
    is_last: bool,
    *,
    weights_loaded: int,
    biases_loaded: int,
    inputs_loaded: int,
) -> LayerSchedule:
    """What the array computes."""
    array, blocks, count = loops.array, loops.blocks, loops.count
    drain = array.rows + array.columns - 2
    busy = count * layer.positions
    waits = sum(count * array.rows + (count - 1) * loops.gap(block) + drain for block in blocks)
    fill = len(blocks) * (pipeline.result_fill_cycles if is_last else pipeline.fill_cycles)
    setup = len(blocks) * pipeline.setup_cycles
    rows = loops.groups * layer.positions * loops.column_folds
    passes = sum(block.positions * loops.input_passes(block) for block in blocks)
    kept, stored = rows * (loops.row_folds - 1), 0 if is_last else rows
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=layer.products,
        busy_cycles=busy,
        stall_cycles=waits - 1,
        setup_cycles=setup,
        fill_cycles=fill + 1,
        utilization=layer.products / ((setup + busy + waits + fill) * array.rows * array.columns),
        accesses={
            "inputs": Accesses(busy, loops.groups * loops.row_folds * passes),
            "accumulators": Accesses(kept, kept),
            "outputs": Accesses(stored, stored),
        },
        weights_loaded=weights_loaded,
        biases_loaded=biases_loaded,
        channel_shifts_loaded=layer.channel_shifts,
        inputs_loaded=inputs_loaded,
        outputs_stored=layer.output_values,
        stores_accumulators=is_last,
        pieces=len(blocks),
    )


def _maximum(layer: LayerShape, array: Systolic, pipeline: Pipeline, is_last: bool) -> LayerSchedule:
    """A pooling layer that takes maxima."""
    return _windowed(layer, array, pipeline, 0, pipeline.maximum_fill_cycles)


def _average(layer: LayerShape, array: Systolic, pipeline: Pipeline, is_last: bool) -> LayerSchedule:
    """A pooling layer that averages: its divider takes a lane a cycle."""
    gap = max(0, pooling_lanes(array) - layer.synapses)
    return _windowed(layer, array, pipeline, gap, pipeline.average_fill_cycles)


def _windowed(layer: LayerShape, array: Systolic, pipeline: Pipeline, gap: int, fill_cycles: int) -> LayerSchedule:
    """A pooling layer. gap: cycles between two windows."""
    outputs = ceil_div(layer.input_channels, pooling_lanes(array)) * layer.positions
    reads = outputs * layer.synapses
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=0,
        busy_cycles=reads,
        stall_cycles=(outputs - 1) * gap,
        setup_cycles=pipeline.setup_cycles,
        fill_cycles=fill_cycles,
        utilization=0.0,
        accesses={
            "inputs": Accesses(reads, reads),
            "accumulators": Accesses(0, 0),
            "outputs": Accesses(outputs, outputs),
        },
        weights_loaded=0,
        biases_loaded=0,
        channel_shifts_loaded=0,
        inputs_loaded=layer.input_channels * layer.positions * layer.synapses,
        outputs_stored=layer.output_values,
        stores_accumulators=False,
    )


_SCHEDULES: dict[Kind, Callable[[LayerShape, Systolic, Pipeline, bool], LayerSchedule]] = {
    "convolution": _weighted,
    "linear": _weighted,
    "addition": _added,
    "max-pool": _maximum,
    "average-pool": _average,
}
