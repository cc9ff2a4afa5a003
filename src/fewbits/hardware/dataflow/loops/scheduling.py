"""The schedule of a layer from its mapping, and that of layers without weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from math import prod

from fewbits.hardware.dataflow.base import AccessCosts
from fewbits.hardware.dataflow.loops.description import LoopAccelerator, Operand
from fewbits.hardware.dataflow.loops.evaluation import Evaluation
from fewbits.hardware.dataflow.loops.layer_loops import SUMMED, loops_of
from fewbits.hardware.dataflow.loops.mapper import Border, Found, best_mapping
from fewbits.hardware.dataflow.loops.problem import OperandBits, Problem, row_bits
from fewbits.hardware.dataflow.plan import Accesses, LayerSchedule, Widths
from fewbits.hardware.workload.workload import LayerShape

MAPPINGS_KEPT = 20_000
"""Of layers, the last ones used; a network of 100 layers at 13 precisions on 15 accelerators."""

_KEPT: OrderedDict[Hashable, LayerSchedule] = OrderedDict()


def mapped(
    layer: LayerShape, accelerator: LoopAccelerator, bits: OperandBits, costs: AccessCosts, *, is_last: bool
) -> LayerSchedule:
    """The schedule of a layer with weights by its best mapping, kept for the next who asks.

    Raises HardwareError, naming a memory and the layer, where no mapping fits.
    """
    widths = costs.widths.get(layer.name, Widths(bits.weights, bits.inputs, bits.accumulator))
    loops = loops_of(layer, accelerator.space)
    key = (
        *(
            accelerator,
            loops,
            bits,
            widths,
            layer.biases,
            layer.channel_shifts,
            is_last,
            costs.product_pj,
            costs.off_chip_pj_per_bit,
        ),
        *(tuple(costs.reads_pj.items()), tuple(costs.writes_pj.items())),
    )
    if key not in _KEPT:
        per_cycle = None if accelerator.bandwidth is None else accelerator.bandwidth * 8000 / accelerator.clock_mhz
        border = Border(accelerator.objective, costs, widths, layer.biases, is_last, per_cycle)
        found = best_mapping(layer.name, Problem(loops, accelerator, bits), border)
        _KEPT[key] = weighted(layer, found, is_last=is_last)
        if len(_KEPT) > MAPPINGS_KEPT:
            _KEPT.popitem(last=False)
    _KEPT.move_to_end(key)
    return replace(_KEPT[key], name=layer.name, kind=layer.kind)


def every_bit_alike(accelerator: LoopAccelerator, bits: OperandBits) -> AccessCosts:
    """Costs of a schedule that nobody gave costs for: a bit read, written or transferred counts as much as another."""
    rows = {memory.name: float(row_bits(memory, bits)) for memory in accelerator.memories}
    return AccessCosts(0.0, rows, rows, 1.0, {})


def weighted(layer: LayerShape, found: Found, *, is_last: bool) -> LayerSchedule:
    """The schedule of a convolution or a linear layer."""
    evaluation, row = found.batch, found.row
    problem, accesses = evaluation.problem, evaluation.accesses
    cycles, steps = int(evaluation.cycles[row]), int(evaluation.steps[row])
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=layer.products,
        busy_cycles=steps,
        stall_cycles=int(evaluation.stall_cycles[row]),
        setup_cycles=0,
        fill_cycles=int(evaluation.fill_cycles[row]),
        utilization=layer.products / (cycles * problem.accelerator.elements),
        accesses={
            memory.name: Accesses(int(accesses.reads[number, row]), int(accesses.writes[number, row]))
            for number, memory in enumerate(problem.memories)
        },
        weights_loaded=int(accesses.loaded["weights"][row]),
        biases_loaded=layer.biases,
        channel_shifts_loaded=layer.channel_shifts,
        inputs_loaded=int(accesses.loaded["inputs"][row]),
        outputs_stored=layer.output_values,
        stores_accumulators=is_last,
        partial_sums=int(accesses.partial_sums[row]),
        transfers_overlap=evaluation.transfers_overlap,
        mapping=found.mapping.lines(problem.accelerator, problem.layer),
        looked_at=0 if found.is_best else found.looked_at,
        limit=_limit(evaluation, row),
    )


def _limit(evaluation: Evaluation, row: int) -> str:
    """What takes the most cycles beyond those that the products need."""
    problem, steps = evaluation.problem, int(evaluation.steps[row])
    stalls, fills = int(evaluation.stall_cycles[row]), int(evaluation.fill_cycles[row])
    idle = steps - -(-problem.layer.products // problem.accelerator.elements)
    most = max(stalls, fills, idle)
    if most == 0:
        return "the array's multipliers"
    if most == stalls:
        slowest = int(evaluation.memory_cycles[:, row].argmax())
        return f"the ports of {problem.memories[slowest].name}"
    if most == fills:
        return "filling and draining the array"
    return "loops that do not fill the array"


def output_lanes(accelerator: LoopAccelerator) -> int:
    """Sums that leave the array side by side: one for each place of the axes along which they are not added."""
    return prod(
        axis.size
        for axis in accelerator.space
        if axis.outputs == "stay" or not set(axis.loops) <= SUMMED
    )  # fmt: skip


def unweighted(
    layer: LayerShape, accelerator: LoopAccelerator, bits: OperandBits, *, is_last: bool
) -> LayerSchedule:  # fmt: skip
    """Pooling or an addition, in lanes beside the array: a value of a channel in each of them a cycle.

    Its values pass through the outermost memories of inputs and of outputs: each value that a lane takes is written and
    read once, each result as well (of the last layer, not).
    """
    problem = Problem(loops_of(layer, accelerator.space), accelerator, bits)
    lanes = output_lanes(accelerator)
    outputs = -(-layer.input_channels // lanes) * layer.positions
    steps = outputs * layer.synapses
    channels = min(lanes, layer.input_channels)
    accesses = {memory.name: Accesses(0, 0) for memory in problem.memories}

    def pass_through(operand: Operand, times: int, width: int) -> None:
        if levels := problem.levels[operand]:
            memory = problem.memories[levels[-1]]
            rows = times * -(-channels * width // row_bits(memory, bits))
            before = accesses[memory.name]
            accesses[memory.name] = Accesses(before.reads + rows, before.writes + rows)

    pass_through("inputs", steps, bits.inputs)
    if not is_last:
        pass_through("outputs", outputs, bits.outputs)
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=0,
        busy_cycles=steps,
        stall_cycles=0,
        setup_cycles=0,
        fill_cycles=0,
        utilization=0.0,
        accesses=accesses,
        weights_loaded=0,
        biases_loaded=0,
        channel_shifts_loaded=0,
        inputs_loaded=layer.output_values * layer.synapses,
        outputs_stored=layer.output_values,
        stores_accumulators=is_last,
        limit="the lanes beside the array",
    )
