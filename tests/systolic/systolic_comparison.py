"""Networks on the simulated systolic array against the bit-exact network and the schedule."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from torch import Tensor, nn

import fewbits as fb
from fewbits.bitexact import BitExactNetwork
from fewbits.hardware.dataflow.plan import Schedule
from fewbits.hardware.dataflow.systolic.latency import pipeline
from fewbits.hardware.dataflow.systolic.scheduling import schedule, total_accesses
from fewbits.hardware.dataflow.systolic.simulation import SystolicSimulator
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.neuron_design import NeuronDesign, design
from fewbits.hardware.workload.networks import workload_of

ARRAY = Systolic()


@cache
def simulator(made: NeuronDesign, array: Systolic = ARRAY) -> SystolicSimulator:
    """One for each design and array, so that all networks of a precision share what was compiled."""
    return SystolicSimulator(made, array)


def lowered(model: nn.Module, precision: str, images: Tensor, product_bits: int | None = None) -> BitExactNetwork:
    """Quantized with radix points from these images."""
    quantized = fb.quantize(model, precision)
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images[:1], product_bits=product_bits)


def schedule_of(network: BitExactNetwork, array: Systolic = ARRAY, made: NeuronDesign | None = None) -> Schedule:
    """The schedule of a network on the generated array."""
    return schedule(workload_of(network), array, pipeline(made or design(network.precision), array))


def assert_equal(
    network: BitExactNetwork, images: Tensor, array: Systolic = ARRAY, made: NeuronDesign | None = None
) -> None:
    """Sums, cycles and accesses of each memory equal the bit-exact network's and the schedule's."""
    made = made or design(network.precision)
    runs = simulator(made, array).run(network, images)
    plan = schedule_of(network, array, made)
    expected: Any = network.accumulators(images)
    assert len(runs) == len(images)
    for run, sums in zip(runs, expected, strict=True):
        numbers = sums if isinstance(sums, list) else np.asarray(sums).ravel().tolist()
        assert run.logits == [int(number) for number in numbers]
        assert run.cycles == plan.cycles
        assert run.accesses == total_accesses(plan)
