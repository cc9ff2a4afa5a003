"""Neurons and synapses of many numbers, powers of two and others: the circuit against the bit-exact network."""

from __future__ import annotations

import shutil

import pytest
import torch
from comparison import assert_equal, lowered
from torch import nn

from fewbits.hardware.dataflow.accelerator import Accelerator

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++")

SIZES = ((2, 64), (64, 4), (4, 12), (5, 24), (3, 48), (7, 5), (4, 1), (1, 3))


def check(neurons: int, synapses: int, precision: str) -> None:
    """A convolution, pooling in several slices of channels, two linear layers, on one tile."""
    torch.manual_seed(neurons * synapses)
    model = nn.Sequential(
        nn.Conv2d(2, 9, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(9, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(5, 3)
    )
    images = torch.randn(2, 2, 6, 6)
    accelerator = Accelerator(neurons=neurons, synapses=synapses, buffer_rows=70)
    assert_equal(lowered(model, precision, images), images, accelerator)


@pytest.mark.parametrize(("neurons", "synapses"), [(4, 12)])
def test_tile_of_any_size_equals_the_bit_exact_network(neurons: int, synapses: int):
    check(neurons, synapses, "fixed4")


@pytest.mark.nightly
@pytest.mark.parametrize(("neurons", "synapses"), SIZES)
@pytest.mark.parametrize("precision", ["fixed8", "fixed12", "pow2-4/fixed8", "ternary/fixed8", "binary/fixed16"])
def test_tile_of_any_size_and_precision_equals_the_bit_exact_network(precision: str, neurons: int, synapses: int):
    check(neurons, synapses, precision)
