"""Residual networks on the accelerator: graphs of layers with additions, at the end of the network too."""

from __future__ import annotations

import shutil

import pytest
import torch
from comparison import TILE, assert_equal, lowered
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits import HardwareError, models
from fewbits.bitexact import Addition, Rounding
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.compiler import compile_network
from fewbits.hardware.datapath.neuron_design import design

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++")


class Residual(nn.Module):
    """A tensor that two layers take, a shortcut with a layer of its own, perhaps nothing behind the last sum."""

    def __init__(self, channels: int, inner: int, ends_with_sum: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.third = nn.Conv2d(channels, inner, 3, stride=2, padding=1)
        self.shortcut = nn.Conv2d(channels, inner, 1, stride=2)
        self.last = nn.Linear(inner, 5)
        self.ends_with_sum = ends_with_sum

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        x = F.relu(self.second(x) + x)
        x = self.third(x) + self.shortcut(x)
        return x if self.ends_with_sum else self.last(F.max_pool2d(F.relu(x), 3).flatten(1))


def check(precision: str, channels: int, inner: int, ends_with_sum: bool, accelerator: Accelerator, seed: int) -> None:
    """Random images and initial weights, two images."""
    torch.manual_seed(seed)
    images = torch.randn(2, 2, 5, 6)
    network = lowered(Residual(channels, inner, ends_with_sum), precision, images)
    if precision != "float32":
        assume(all(operation.shift >= 0 for operation in network.operations if isinstance(operation, Rounding)))
    highest = (
        fb.parse_precision(precision).weights.describe().highest
    )  # a sum's factors are weights; others are refused
    additions = [operation for operation in network.operations if isinstance(operation, Addition)]
    assume(all(1 << shift <= highest for addition in additions for shift in addition.shifts))
    assert_equal(network, images, accelerator)


@needs_gxx
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fixed4", "fixed8", "fixed16", "pow2-6/fixed16", "bfloat16", "float32"])
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 2**31))
def test_residual_network_on_the_accelerator(precision: str, channels: int, inner: int, ends_with_sum: bool, seed: int):
    check(precision, channels, inner, ends_with_sum, TILE, seed)


@needs_gxx
@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(1, 10), st.integers(1, 10), st.booleans(), st.integers(0, 2**31))
def test_residual_network_on_a_narrow_accelerator(channels: int, inner: int, ends_with_sum: bool, seed: int):
    narrow = Accelerator(neurons=3, synapses=4, buffer_rows=12, memory_latency=2)
    check("fixed4", channels, inner, ends_with_sum, narrow, seed)


@needs_gxx
@pytest.mark.nightly
@pytest.mark.parametrize("precision", ["fixed8", "float32"])
def test_resnet20_on_the_accelerator(precision: str, digits: Tensor):
    images = F.pad(digits, (2, 2, 2, 2)).expand(-1, 3, -1, -1).contiguous()
    model = fb.fold_batch_norm(models.build("resnet20", seed=0).eval())
    assert_equal(lowered(model, precision, images), images[:1])


def test_an_addition_by_binary_weights_is_refused():
    network = lowered(Residual(4, 4, ends_with_sum=False), "binary/fixed16", torch.randn(2, 2, 5, 6))
    with pytest.raises(HardwareError, match="adds two tensors: the neurons need a weight of 0 for it"):
        compile_network(network, design("binary/fixed16"), TILE)


def test_an_addition_by_cut_products_is_refused():
    network = lowered(Residual(4, 4, ends_with_sum=False), "fixed8", torch.randn(2, 2, 5, 6), product_bits=12)
    with pytest.raises(HardwareError, match="a datapath with truncated products does not"):
        compile_network(network, design("fixed8", product_bits=12), TILE)


def test_a_concatenation_is_refused():
    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.last = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1), nn.Conv2d(6, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.cat([self.left(x), self.right(x)], 1))

    network = lowered(Joined(), "fixed8", torch.randn(2, 2, 5, 6))
    with pytest.raises(HardwareError, match=r"\(Concatenation\) is not in the accelerator's circuit"):
        compile_network(network, design("fixed8"), TILE)
