"""Networks on the simulated accelerator against the bit-exact network and the schedule."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from torch import Tensor, nn

import fewbits as fb
from fewbits import models
from fewbits.bitexact import BitExactNetwork
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.latency import pipeline
from fewbits.hardware.dataflow.diannao.scheduling import schedule, total_accesses
from fewbits.hardware.dataflow.diannao.simulation import AcceleratorSimulator
from fewbits.hardware.dataflow.plan import Schedule
from fewbits.hardware.datapath.neuron_design import NeuronDesign, design
from fewbits.hardware.workload.networks import workload_of

TILE = Accelerator()


@cache
def simulator(made: NeuronDesign, accelerator: Accelerator = TILE) -> AcceleratorSimulator:
    """One for each design and accelerator, so that all networks of a precision share what was compiled."""
    return AcceleratorSimulator(made, accelerator)


def lowered(model: nn.Module, precision: str, images: Tensor, product_bits: int | None = None) -> BitExactNetwork:
    """Quantized with radix points from these images."""
    quantized = fb.quantize(model, precision)
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images[:1], product_bits=product_bits)


def assert_equal(
    network: BitExactNetwork, images: Tensor, accelerator: Accelerator = TILE, made: NeuronDesign | None = None
) -> None:
    """Sums, cycles, accesses of each buffer and partial sums equal the bit-exact network's and the schedule's."""
    made = made or design(network.precision, accelerator.synapses)
    runs = simulator(made, accelerator).run(network, images)
    plan = schedule_of(network, accelerator, made)
    partial_sums = sum(layer.partial_sums for layer in plan.layers)
    expected: Any = network.accumulators(images)
    assert len(runs) == len(images)
    for run, sums in zip(runs, expected, strict=True):
        assert bits_of(run.logits) == bits_of(sums)
        assert run.cycles == plan.cycles
        assert run.accesses == total_accesses(plan)
        assert run.partial_sums == (partial_sums, partial_sums)


def schedule_of(network: BitExactNetwork, accelerator: Accelerator, made: NeuronDesign | None = None) -> Schedule:
    """The schedule of a network on the generated accelerator."""
    made = made or design(network.precision, accelerator.synapses)
    return schedule(workload_of(network), accelerator, pipeline(made, accelerator))


def framed(name: str, images: Tensor) -> Tensor:
    """Images in the shape of a network's input: repeated over colors, put in the middle of a larger frame."""
    channels, height, width = models.input_shape(name)
    left, above = (width - images.shape[-1]) // 2, (height - images.shape[-2]) // 2
    frame = (left, width - images.shape[-1] - left, above, height - images.shape[-2] - above)
    return nn.functional.pad(images, frame).expand(-1, channels, -1, -1).contiguous()


def bits_of(sums: Any) -> list[int]:
    """Integers of any width as they are; floats as float32 codes, which tell the sign of a zero."""
    numbers = sums if isinstance(sums, list) else np.asarray(sums).ravel().tolist()
    if isinstance(numbers[0], float):
        return np.array(numbers, np.float32).view(np.uint32).tolist()
    return [int(number) for number in numbers]
