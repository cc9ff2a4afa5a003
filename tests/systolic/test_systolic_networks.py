"""Networks on the simulated systolic array: the bit-exact network's sums, in the schedule's cycles and accesses."""

from __future__ import annotations

import shutil

import pytest
import torch
from hypothesis import HealthCheck, assume, currently_in_test_context, given, settings
from hypothesis import strategies as st
from random_chains import Chain, chains
from systolic_comparison import assert_equal, lowered
from torch import Tensor, nn

import fewbits as fb
from fewbits import models
from fewbits.bitexact import Rounding
from fewbits.formats import STUDY_PRECISIONS, parse_precision
from fewbits.hardware.dataflow.systolic.sizes import Systolic

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++")

TINY = Systolic(3, 2, input_rows=5, accumulator_rows=7, output_rows=3, memory_latency=2)
"""Its accumulators hold fewer positions than most layers have, so that these are computed in blocks."""

INTEGERS = tuple(name for name in STUDY_PRECISIONS if parse_precision(name).is_integer)
UNSIGNED = ("fixed4/ufixed4", "fixed8/ufixed8", "ternary/ufixed4", "binary/ufixed2", "pow2-4/ufixed4")
OTHERS = ("ternary/fixed8", "fixed8/fixed16", "fixed4/fixed8", "pow2-4/fixed8", "fixed6/fixed11")

SIZES = {
    "4x4": Systolic(4, 4, input_rows=9, accumulator_rows=40),
    "8x24": Systolic(8, 24, input_rows=33),
    "1x16": Systolic(1, 16, accumulator_rows=30, memory_latency=1),
    "32x32": Systolic(32, 32),
    "1x1": Systolic(1, 1, 2, 2, 2, memory_latency=1),
    "1x2": Systolic(1, 2, 2, 3, 2, memory_latency=3),
    "5x1": Systolic(5, 1, input_rows=7, accumulator_rows=11),
}
SEEDS = st.integers(0, 2**31)


def random_networks(examples: int) -> settings:
    """So many networks; a chain is drawn anew where the datapath would have to move sums to the left."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def check(model: nn.Module, shape: tuple[int, ...], precision: str, array: Systolic, seed: int = 0) -> None:
    """Random weights and images, two of them."""
    torch.manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    images = torch.randn(2, *shape)
    inputs = parse_precision(precision).inputs
    images = images if inputs.is_signed else images.abs()
    network = lowered(model, precision, images)
    if currently_in_test_context() and inputs.is_uniform:
        assume(all(operation.shift >= 0 for operation in network.operations if isinstance(operation, Rounding)))
    assert_equal(network, images, array)


class Residual(nn.Module):
    """Two convolutions, the second one's result added to the first one's."""

    def __init__(self, channels: int, *, ends: bool = False, rectified: bool = False) -> None:
        super().__init__()
        self.rectified = rectified
        self.first = nn.Conv2d(2, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.end = None if ends else nn.Conv2d(channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The sum goes through a convolution, or is the result."""
        taken = torch.relu(self.first(x))
        second = self.second(taken)
        total = (torch.relu(second) if self.rectified else second) + taken
        return total if self.end is None else self.end(torch.relu(total))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 5, 3, padding=1),
        nn.Conv2d(3, 4, (2, 3), stride=(2, 1), padding=(1, 0)),
        nn.Conv2d(3, 3, 2, dilation=2),
        nn.Conv2d(3, 3, 3, padding=2, groups=3),
        nn.Conv2d(3, 6, 1, groups=3, bias=False),
        nn.MaxPool2d(3, 2, padding=1),
        nn.AvgPool2d(2, 1, padding=1, count_include_pad=False),
    ],
    ids=["padded", "strided", "dilated", "depthwise", "grouped", "maximum", "average"],
)
def test_a_layer_between_two_others_is_computed_bit_for_bit(layer: nn.Module):
    channels = getattr(layer, "out_channels", 3)
    check(nn.Sequential(nn.Conv2d(2, 3, 1), layer, nn.Conv2d(channels, 3, 2)), (2, 6, 5), "fixed4", TINY)


def test_a_linear_layer_of_many_folds_is_computed_bit_for_bit():
    check(nn.Sequential(nn.Linear(17, 5), nn.ReLU(), nn.Linear(5, 7)), (17,), "fixed4", TINY)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_an_addition_of_any_number_of_channels_is_computed_bit_for_bit(channels: int):
    check(Residual(channels), (2, 5, 4), "fixed4", TINY)


def test_an_addition_of_unsigned_values_is_computed_bit_for_bit():
    check(Residual(5, rectified=True), (2, 5, 4), "fixed4/ufixed4", TINY)


@pytest.mark.slow
@pytest.mark.parametrize("precision", UNSIGNED)
@random_networks(20)
@given(chains(rectified=True), SEEDS)
def test_random_network_of_unsigned_inputs(precision: str, chain: Chain, seed: int):
    check(chain.model, chain.input_shape, precision, SIZES["4x4"], seed)


@pytest.mark.slow
@random_networks(20)
@given(chains(), SEEDS)
def test_random_network_on_a_tiny_array(chain: Chain, seed: int):
    check(chain.model, chain.input_shape, "fixed4", TINY, seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "precision", ["fixed4", "fixed8", "pow2-6/fixed16", "binary/fixed16", "ternary/fixed8", "fixed4/ufixed4"]
)
def test_lenet_on_two_digits_equals_the_bit_exact_network(precision: str, digits: Tensor):
    assert_equal(lowered(models.build("lenet", seed=1), precision, digits), digits[:2])


@pytest.mark.nightly
@pytest.mark.parametrize("precision", [*INTEGERS, "ternary/fixed8", *UNSIGNED])
def test_lenet_on_twenty_digits_equals_the_bit_exact_network(precision: str, digits: Tensor):
    assert_equal(lowered(models.build("lenet", seed=1), precision, digits), digits)


@pytest.mark.slow
def test_resnet20_equals_the_bit_exact_network():
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert_equal(lowered(fb.fold_batch_norm(models.build("resnet20", seed=1).eval()), "fixed8", images), images[:1])


@pytest.mark.slow
@pytest.mark.parametrize("product_bits", [9, 11])
def test_truncated_products_are_summed_as_the_bit_exact_network_sums_them(product_bits: int):
    from fewbits.hardware.datapath.neuron_design import design

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 3, 3))
    images = torch.randn(2, 2, 6, 6)
    network = lowered(model, "fixed6/fixed8", images, product_bits)
    assert_equal(network, images, TINY, design(network.precision, product_bits=product_bits))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fixed8", "pow2-6/fixed16", "binary/fixed16", "ternary/fixed8", "fixed4/fixed8"])
@random_networks(20)
@given(chains(), SEEDS)
def test_random_network_of_any_precision(precision: str, chain: Chain, seed: int):
    check(chain.model, chain.input_shape, precision, SIZES["4x4"], seed)


@pytest.mark.slow
@random_networks(20)
@given(chains(averages=False), SEEDS)
def test_random_network_of_binary_values(chain: Chain, seed: int):
    check(chain.model, chain.input_shape, "binary", SIZES["4x4"], seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", [pytest.param(one, marks=pytest.mark.nightly) if one == "8x24" else one for one in SIZES]
)
@random_networks(20)
@given(chains(), SEEDS)
def test_random_network_on_an_array_of_another_size(size: str, chain: Chain, seed: int):
    check(chain.model, chain.input_shape, "fixed4", SIZES[size], seed)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [7, *(pytest.param(one, marks=pytest.mark.nightly) for one in (1, 40))])
def test_addition_on_an_array_of_another_size(size: str, channels: int):
    check(Residual(channels), (2, 6, 7), "fixed4", SIZES[size])
    check(Residual(channels, ends=True), (2, 5, 5), "fixed4", SIZES[size])


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_pooling_reads_no_channels_beyond_the_last(size: str):
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.MaxPool2d(3, 3), nn.Conv2d(3, 1, 1))
    check(model, (2, 6, 6), "fixed4", SIZES[size])


@pytest.mark.nightly
@pytest.mark.parametrize("precision", [*INTEGERS, *OTHERS])
@random_networks(200)
@given(chains(), SEEDS)
def test_many_random_networks_of_any_precision(precision: str, chain: Chain, seed: int):
    check(chain.model, chain.input_shape, precision, SIZES["4x4"], seed)


@pytest.mark.nightly
@pytest.mark.parametrize("precision", UNSIGNED)
@random_networks(200)
@given(chains(rectified=True), SEEDS)
def test_many_random_networks_of_unsigned_inputs(precision: str, chain: Chain, seed: int):
    check(chain.model, chain.input_shape, precision, SIZES["4x4"], seed)


@pytest.mark.nightly
@random_networks(200)
@given(chains(averages=False), SEEDS)
def test_many_random_networks_of_binary_values(chain: Chain, seed: int):
    check(chain.model, chain.input_shape, "binary", SIZES["4x4"], seed)
