"""Convolvers of k x k, m x n of them as each layer has it best: cycles, and nn-X's published peak."""

from __future__ import annotations

from math import ceil

import pytest
from mapped_layers import convolution, cycles, mapped, preset

from fewbits.hardware.workload.workload import LayerShape

LAYERS = (
    convolution("filters of a face detector", 6, 1, 40, 5),
    convolution("five by five", 16, 6, 20, 5),
    convolution("three by three", 24, 24, 12, 3),
    convolution("as large as a convolver", 8, 4, 16, 10),
    convolution("more outputs than convolvers", 30, 2, 9, 7),
    convolution("more inputs than convolvers", 2, 30, 9, 7),
    convolution("one of each", 1, 1, 30, 9),
)


def fewest_passes(layer: LayerShape, convolvers: int) -> int:
    """ceil(M / m) ceil(N / n) with the best m n <= P: Chakradhar et al., ISCA 2010."""
    return min(
        ceil(layer.neurons / outputs) * ceil(layer.input_channels / (convolvers // outputs))
        for outputs in range(1, convolvers + 1)
    )


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_layer_takes_a_cycle_for_each_position_in_the_fewest_passes(layer: LayerShape):
    machine = preset("convolver-array")
    assert int(mapped(machine, layer).evaluation.steps[0]) == fewest_passes(layer, 8) * layer.positions


def test_a_kernel_beyond_the_convolvers_takes_four_passes():
    layer = convolution("conv1 of AlexNet", 8, 1, 11, 11, 4)
    assert int(mapped(preset("convolver-array"), layer).evaluation.steps[0]) == 4 * layer.positions


def test_the_peak_is_that_of_nn_x():
    machine = preset("convolver-array")
    assert 2 * machine.elements * machine.clock_mhz / 1000 == pytest.approx(227.2)


def test_no_layer_is_faster_than_the_peak():
    machine = preset("convolver-array")
    assert all(cycles(mapped(machine, layer)) * machine.elements >= layer.products for layer in LAYERS)
