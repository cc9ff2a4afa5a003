"""Layers mapped on accelerators of loops, for tests that hold the model against published figures."""

from __future__ import annotations

from fewbits.hardware.dataflow.base import AccessCosts
from fewbits.hardware.dataflow.loops.description import LoopAccelerator
from fewbits.hardware.dataflow.loops.layer_loops import loops_of
from fewbits.hardware.dataflow.loops.mapper import Border, Found, best_mapping
from fewbits.hardware.dataflow.loops.problem import OperandBits, Problem
from fewbits.hardware.dataflow.plan import Widths
from fewbits.hardware.dataflow.registry import accelerator_named
from fewbits.hardware.workload.workload import LayerShape

ACCUMULATOR_BITS = 32


def preset(name: str) -> LoopAccelerator:
    """An accelerator of loops by its name."""
    accelerator = accelerator_named(name)
    assert isinstance(accelerator, LoopAccelerator)
    return accelerator


def convolution(
    name: str,
    neurons: int,
    channels: int,
    output: int | tuple[int, int],
    kernel: int | tuple[int, int],
    stride: int = 1,
    groups: int = 1,
) -> LayerShape:
    """One without padding, or with padding that counts among its inputs."""
    size = (output, output) if isinstance(output, int) else output
    window = (kernel, kernel) if isinstance(kernel, int) else kernel
    inputs = ((size[0] - 1) * stride + window[0], (size[1] - 1) * stride + window[1])
    return LayerShape(name, "convolution", channels, inputs, neurons, size, window, (stride, stride), groups=groups)


def bits_per_cycle(accelerator: LoopAccelerator) -> float | None:
    """Across the chip's border."""
    return None if accelerator.bandwidth is None else accelerator.bandwidth * 8000 / accelerator.clock_mhz


def mapped(accelerator: LoopAccelerator, layer: LayerShape, *, bits: int = 8, images: int = 1) -> Found:
    """The best mapping of a layer; every access of a memory on the chip costs as much as a product, one off it ten."""
    problem = Problem(
        loops_of(layer, accelerator.space, images=images),
        accelerator,
        OperandBits(bits, bits, bits, ACCUMULATOR_BITS),
    )
    ones = {memory.name: 1.0 for memory in accelerator.memories}
    costs = AccessCosts(1.0, ones, ones, 10.0, {})
    border = Border(
        accelerator.objective,
        costs,
        Widths(bits, bits, ACCUMULATOR_BITS),
        bits_per_cycle=bits_per_cycle(accelerator),
    )
    return best_mapping(layer.name, problem, border)


def cycles(found: Found) -> int:
    """All but those that wait for the memory off the chip."""
    return int(found.evaluation.cycles[0])
