"""The FPGA accelerator of 2015 takes the cycles of its paper's tables, and the mapper finds the paper's best shapes.

Zhang et al., "Optimizing FPGA-based Accelerator Design for Deep Convolutional Neural Networks", FPGA 2015: one of
AlexNet's two halves, float32 at 100 MHz.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from mapped_layers import bits_per_cycle, convolution, cycles, mapped, preset

import fewbits as fb
from fewbits.hardware.dataflow.loops.description import Axis, LoopAccelerator
from fewbits.hardware.dataflow.loops.mapper import Found
from fewbits.hardware.dataflow.plan import Widths
from fewbits.hardware.workload.workload import LayerShape, Workload

LAYERS = (
    convolution("conv1", 48, 3, 55, 11, 4),
    convolution("conv2", 128, 48, 27, 5),
    convolution("conv3", 192, 256, 13, 3),
    convolution("conv4", 192, 192, 13, 3),
    convolution("conv5", 128, 192, 13, 3),
)

OF_ONE_SHAPE = {"conv1": 366_025, "conv2": 255_430, "conv3": 171_051, "conv4": 129_444, "conv5": 86_296}
"""With <Tm, Tn> = <64, 7> for all layers; together 1,008,246."""

OF_THE_BEST_SHAPES = {"conv1": 366_025, "conv2": 237_185, "conv3": 160_264, "conv4": 120_198, "conv5": 80_132}
"""With the best <Tm, Tn> of each layer, Tm Tn <= 480; together 963,804."""

MOST_MULTIPLIERS = 480

DSP_PER_MULTIPLIER = 5
"""Blocks for a multiplication and an addition of float32."""

DSP = 2_240
"""That the paper's design takes; the device (Virtex-7 485T) has 2,800."""

FLOAT32 = Widths(32, 32, 32)


def on_float32(accelerator: LoopAccelerator, layer: LayerShape) -> Found:
    return mapped(accelerator, layer, bits=32)


def of_any_shape(multipliers: int) -> LoopAccelerator:
    """The machine with as many multipliers, whose division into outputs and inputs is open for each layer."""
    fixed = preset("fpga15")
    memories = tuple(replace(memory, row_values=multipliers) for memory in fixed.memories)
    any_shape = Axis("multipliers", multipliers, ("K", "C"), outputs="adder-tree")
    return replace(fixed, space=(any_shape,), memories=memories)


def operations_per_byte(found: Found, layer: LayerShape) -> float:
    """The ratio of computation to communication: two operations a product, bytes to and from the memory."""
    return 2 * layer.products / (int(found.evaluation.off_chip_bits(FLOAT32, 0, is_last=False)[0]) / 8)


def gigaops_per_second(layer: LayerShape, taken: float, clock_mhz: float) -> float:
    return 2 * layer.products / taken * clock_mhz / 1000


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_one_shape_takes_the_cycles_of_the_paper(layer: LayerShape):
    assert cycles(on_float32(preset("fpga15"), layer)) == OF_ONE_SHAPE[layer.name]


def test_one_shape_takes_the_sum_of_the_paper():
    assert sum(cycles(on_float32(preset("fpga15"), layer)) for layer in LAYERS) == 1_008_246


def test_a_cost_of_the_network_has_these_cycles():
    layers = fb.cost(Workload(LAYERS), "float32", accelerator="fpga15").breakdown.layers
    assert {layer.name: layer.cycles for layer in layers} == OF_ONE_SHAPE


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_the_mapper_finds_the_best_shape_of_a_layer(layer: LayerShape):
    assert cycles(on_float32(of_any_shape(MOST_MULTIPLIERS), layer)) == OF_THE_BEST_SHAPES[layer.name]


def test_best_shapes_take_the_sum_of_the_paper():
    assert sum(cycles(on_float32(of_any_shape(MOST_MULTIPLIERS), layer)) for layer in LAYERS) == 963_804


@pytest.mark.slow
def test_no_other_shape_for_all_layers_is_faster_than_the_papers():
    fixed = preset("fpga15")

    def together(outputs: int) -> int:
        inputs = MOST_MULTIPLIERS // outputs
        space = (replace(fixed.space[0], size=outputs), replace(fixed.space[1], size=inputs))
        memories = tuple(replace(memory, row_values=outputs * inputs) for memory in fixed.memories)
        machine = replace(fixed, space=space, memories=memories)
        return sum(cycles(on_float32(machine, layer)) for layer in LAYERS)

    found = {outputs: together(outputs) for outputs in range(24, 129)}
    assert min(found.values()) == found[64] == 1_008_246


def test_the_paper_s_multipliers_fit_into_its_dsp_blocks():
    assert preset("fpga15").elements * DSP_PER_MULTIPLIER == DSP


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_no_layer_is_above_either_roof(layer: LayerShape):
    machine = preset("fpga15")
    found = on_float32(machine, layer)
    transfer = int(found.evaluation.off_chip_bits(FLOAT32, 0, is_last=False)[0]) / (bits_per_cycle(machine) or 0)
    reached = gigaops_per_second(layer, max(cycles(found), transfer), machine.clock_mhz)
    assert machine.bandwidth is not None
    roof = min(2 * machine.elements * machine.clock_mhz / 1000, operations_per_byte(found, layer) * machine.bandwidth)
    assert 0 < reached <= roof


def test_every_layer_of_the_paper_is_bound_by_computation():
    machine = preset("fpga15")
    peak = 2 * machine.elements * machine.clock_mhz / 1000
    assert machine.bandwidth is not None
    assert all(operations_per_byte(on_float32(machine, layer), layer) * machine.bandwidth > peak for layer in LAYERS)
