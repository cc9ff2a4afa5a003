"""Datapaths beyond the study's seven on the whole accelerator: a small network on real digits."""

from __future__ import annotations

import shutil

import pytest
import torch
from comparison import TILE, assert_equal, lowered
from torch import Tensor, nn

from fewbits.formats import parse_precision
from fewbits.hardware.datapath.neuron_design import design

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++"),
]


def small_network(precision: str) -> nn.Sequential:
    """Every kind of layer, short chunks and short groups of neurons; averages where there is hardware for them."""
    torch.manual_seed(0)
    inputs = parse_precision(precision).inputs
    averages = inputs.family == "fixed" or inputs.name == "float32"
    return nn.Sequential(
        nn.Conv2d(1, 20, 5, stride=3, padding=1), nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1),
        nn.Conv2d(20, 12, 3, padding=1, groups=4), nn.ReLU(),
        nn.AvgPool2d(2, 2) if averages else nn.MaxPool2d(2, 2),
        nn.Flatten(), nn.Linear(48, 10),
    )  # fmt: skip


@pytest.mark.parametrize("precision", [
    *("ternary/fixed8", "binary", "fixed8/fixed16", "fixed4/fixed8", "fp8-e4m3", "bfloat16", "pow2-4/fixed8"),
    "fixed6/fixed11",
])  # fmt: skip
def test_datapath_on_the_accelerator_equals_the_bit_exact_network(precision: str, digits: Tensor):
    assert_equal(lowered(small_network(precision), precision, digits), digits)


@pytest.mark.parametrize(("precision", "product_bits"), [("fixed8", 10), ("fixed16", 20)])
def test_cut_products_on_the_accelerator_equal_the_bit_exact_network(precision: str, product_bits: int, digits: Tensor):
    network = lowered(small_network(precision), precision, digits, product_bits)
    assert_equal(network, digits, TILE, design(precision, product_bits=product_bits))


@pytest.mark.parametrize(
    ("precision", "multiplier"), [("fixed8", "array"), ("fixed8", "operator"), ("bfloat16", "array")]
)
def test_other_multipliers_on_the_accelerator_equal_the_bit_exact_network(
    precision: str, multiplier: str, digits: Tensor
):
    network = lowered(small_network(precision), precision, digits)
    assert_equal(network, digits, TILE, design(precision, multiplier=multiplier))


def test_a_layer_of_more_synapses_than_by_default_runs_on_a_wider_accumulator():
    torch.manual_seed(0)
    images = torch.randn(2, 1, 140, 150)
    network = lowered(nn.Sequential(nn.Flatten(), nn.Linear(21_000, 3)), "ternary/fixed8", images)
    assert_equal(network, images, TILE, design("ternary/fixed8", maximum_synapses=32_768))
