"""Cycles between events in the generated accelerator: what the schedule needs to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.opcodes import opcodes
from fewbits.hardware.dataflow.diannao.program import COUNT_BITS, layout
from fewbits.hardware.dataflow.diannao.scheduling import Pipeline
from fewbits.hardware.dataflow.plan import Widths
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.process.datapath_key import Accumulation

REQUEST_STAGES = 3
"""From a slot to its requests on the memory ports: loops, place in the kernel, address."""

READ_STAGES = 3
"""From a row's arrival to its being operands: written into its buffer, read, registered: an SRAM takes most of a period
to read."""

STORE_STAGES = 2
"""From a finished row to its being stored: written into Bout, then read."""

RESULT_STAGES = 1
"""From the last layer's accumulators to their leaving."""

SETTLED_STAGES = 3
"""From a layer's last sum for as long at least its settings stay: it leaves, the next descriptor is asked for, and its
first word takes a cycle or more to come."""

MAXIMUM_STAGES = 1
"""From a window's last value to its maximum."""

QUOTIENT_BITS_PER_STAGE = 2
"""What a stage of a divider finds: two subtractions of `COUNT_BITS` bits fit one period."""

FLOAT_QUOTIENT_BITS = 24 + COUNT_BITS + 2
"""Of a float32's significand by a count: at least a significand and two more, whatever the count."""


def pooling_lanes(accelerator: Accelerator) -> int:
    """Channels pooled side by side: as many as a row of Bin and a row of Bout hold."""
    return min(accelerator.neurons, accelerator.synapses)


def division_stages(bits: int) -> int:
    """From a dividend of so many bits to its quotient."""
    return -(-bits // QUOTIENT_BITS_PER_STAGE)


def integer_average_stages(output_bits: int) -> int:
    """From an integer sum to its average: magnitude, division, rounding, sign."""
    return division_stages(output_bits + COUNT_BITS) + 3


def float_average_stages(output_bits: int) -> int:
    """From a float32 sum to its average: division, normalization, rounding."""
    return division_stages(FLOAT_QUOTIENT_BITS) + 2


DIVISION_STAGES: Mapping[Accumulation, Callable[[int], int]] = {
    "integer": integer_average_stages,
    "float32": float_average_stages,
}
"""From a sum to its average, by what it is held in and the bits of an output."""


def average_stages(design: NeuronDesign, accelerator: Accelerator) -> int:
    """From a window's last value to the averages of all lanes."""
    summing = design.accumulator_delay if design.neurons_sum_windows else 1
    division = DIVISION_STAGES[design.accumulation](design.output_port_bits)
    return summing + pooling_lanes(accelerator) + 1 + division


def pipeline(design: NeuronDesign, accelerator: Accelerator) -> Pipeline:
    """What the schedule depends on; a layer is set up when the last of its words, one a cycle, has arrived."""
    operands = REQUEST_STAGES + accelerator.memory_latency + READ_STAGES
    return Pipeline(
        fill_cycles=operands + design.pipeline_stages + STORE_STAGES,
        accumulate_cycles=design.accumulate_cycles,
        setup_cycles=layout(design, accelerator).words + accelerator.memory_latency + 1,
        result_fill_cycles=operands + design.accumulator_delay + RESULT_STAGES,
        maximum_fill_cycles=operands + MAXIMUM_STAGES + STORE_STAGES,
        average_fill_cycles=operands + average_stages(design, accelerator) + STORE_STAGES,
        opcodes=opcodes(design),
        widths=Widths(design.precision.weights.bits, design.precision.inputs.bits, design.accumulator_bits),
    )
