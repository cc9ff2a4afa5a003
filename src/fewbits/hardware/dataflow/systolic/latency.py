"""Cycles between events in the array's circuit: what the schedule needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass

from fewbits.hardware.dataflow.diannao.latency import (
    MAXIMUM_STAGES,
    READ_STAGES,
    REQUEST_STAGES,
    RESULT_STAGES,
    STORE_STAGES,
    integer_average_stages,
)
from fewbits.hardware.dataflow.systolic.program import layout
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.element_arithmetic import product_stages
from fewbits.hardware.datapath.neuron_design import NeuronDesign

ACCUMULATE_STAGES = 1
"""From a row of sums at the foot of the columns to the accumulators with it."""


@dataclass(frozen=True)
class Pipeline:
    """What a schedule depends on of the circuit."""

    setup_cycles: int
    """Before a descriptor's first cycle: it is fetched."""

    fill_cycles: int
    """From when the last input has passed the array's far corner until the last output is stored."""

    result_fill_cycles: int
    """The same of the last layer, whose accumulators leave."""

    maximum_fill_cycles: int
    """From the last slot of a pooling layer until its last output is stored."""

    average_fill_cycles: int


def pooling_lanes(array: Systolic) -> int:
    """Channels pooled, or added, side by side: as many as a row of inputs and a row of outputs hold."""
    return min(array.rows, array.columns)


def sum_stages(stages: int, array: Systolic) -> int:
    """From a row of inputs at the array until its sums stand side by side. stages: of a product."""
    return stages + array.rows + array.columns - 1


def pipeline(design: NeuronDesign, array: Systolic) -> Pipeline:
    """What the schedule depends on. Raises HardwareError for a datapath that has no processing element."""
    operands = REQUEST_STAGES + array.memory_latency + READ_STAGES
    corner = array.rows + array.columns - 2
    summed = operands + sum_stages(product_stages(design), array) + ACCUMULATE_STAGES - corner
    averaged = 1 + pooling_lanes(array) + 1 + integer_average_stages(design.output_bits)
    return Pipeline(
        setup_cycles=layout(design, array).words + array.memory_latency + 1,
        fill_cycles=summed + design.output_stages + STORE_STAGES,
        result_fill_cycles=summed + RESULT_STAGES,
        maximum_fill_cycles=operands + MAXIMUM_STAGES + STORE_STAGES,
        average_fill_cycles=operands + averaged + STORE_STAGES,
    )
