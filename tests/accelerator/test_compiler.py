"""Compiling a network for the accelerator: what does not fit is named, and why."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import fewbits as fb
from fewbits import HardwareError
from fewbits.bitexact import BitExactNetwork
from fewbits.bitexact.sum_order import DEFAULT, SumOrder
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.compiler import compile_network
from fewbits.hardware.dataflow.diannao.memory_images import pack_codes
from fewbits.hardware.dataflow.diannao.operands import sum_order
from fewbits.hardware.dataflow.diannao.program import Field, Layout
from fewbits.hardware.datapath.neuron_design import design

TILE = Accelerator()


def lowered(model: nn.Module, shape: tuple[int, ...], precision: str = "fixed8") -> BitExactNetwork:
    """With radix points from random images."""
    quantized = fb.quantize(model, precision)
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images[:1])


class Added(nn.Module):
    """A convolution added to a ReLU's result, which alone is never negative."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = (nn.Conv2d(2, 2, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum goes through a ReLU and a convolution."""
        taken = torch.relu(self.first(x))
        return self.last(torch.relu(self.second(taken) + taken))


def test_a_signed_operand_on_a_datapath_of_unsigned_inputs_is_refused():
    network = lowered(Added(), (2, 4, 4), "fixed4/ufixed4:auto-sign")
    with pytest.raises(HardwareError, match=r"rounds to fixed4, which the outputs of fixed4/ufixed4 are not"):
        compile_network(network, design("fixed4/ufixed4"), TILE)


@pytest.mark.parametrize("rows", [1, 2])
def test_buffers_too_small_for_a_block_are_refused(rows: int):
    network = lowered(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2), "float32")
    with pytest.raises(HardwareError, match=f"buffers of {rows} rows are too small: float32 needs at least 6"):
        compile_network(network, design("float32"), Accelerator(buffer_rows=rows))


@pytest.mark.parametrize("precision", ["float32", "fp8-e4m3"])
def test_neurons_that_would_add_floats_in_another_order_are_refused(precision: str):
    network = lowered(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), (1, 8, 8), precision)
    with pytest.raises(HardwareError, match="adds floats 16 at a time, and neurons of 4 synapses would round"):
        compile_network(network, design(precision, synapses=4), Accelerator(synapses=4))


def test_a_sum_of_too_many_products_names_the_layer():
    network = lowered(nn.Sequential(nn.Flatten(), nn.Linear(20_000, 2)), (1, 100, 200))
    with pytest.raises(HardwareError, match="layer '1' sums 20000 products: this datapath's accumulator takes 16384"):
        compile_network(network, design("fixed8"), TILE)


def test_an_image_too_large_for_the_address_generator_names_the_layer():
    network = lowered(nn.Sequential(nn.Conv1d(1, 1, 1), nn.Flatten(), nn.Linear(5_000, 2)), (1, 5_000))
    with pytest.raises(HardwareError, match="layer '0' does not fit the accelerator: its last column would be 4999"):
        compile_network(network, design("fixed8"), TILE)


@pytest.mark.slow
def test_a_million_channels_are_refused():
    network = lowered(nn.Sequential(nn.Conv2d(1, 1_000_000, 1), nn.MaxPool2d(2), nn.Conv2d(10**6, 1, 1)), (1, 2, 2))
    with pytest.raises(HardwareError, match="layer '0' does not fit the accelerator: its neuron groups"):
        compile_network(network, design("fixed8"), TILE)


def test_an_average_over_too_many_values_names_the_layer():
    model = nn.Sequential(nn.AvgPool2d(23), nn.Flatten(), nn.Linear(1, 2))
    with pytest.raises(HardwareError, match="layer '0' averages windows of 529 values: the divider takes 511"):
        compile_network(lowered(model, (1, 23, 23)), design("fixed8"), TILE)


def test_a_network_of_another_precision_is_refused():
    network = lowered(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2))
    with pytest.raises(HardwareError, match="a network of fixed8 does not run on a fixed4 datapath"):
        compile_network(network, design("fixed4"), TILE)


def test_a_network_that_ends_in_pooling_is_refused():
    network = lowered(nn.Sequential(nn.Conv2d(1, 2, 1), nn.MaxPool2d(2)), (1, 2, 2))
    with pytest.raises(HardwareError, match="layer '0' is not rounded"):
        compile_network(network, design("fixed8"), TILE)


@given(st.integers(1, 32), st.integers(1, 40), st.integers(0, 2**31))
def test_codes_are_packed_side_by_side(bits: int, count: int, seed: int):
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (3, count))
    for row, packed in zip(codes.tolist(), pack_codes(codes, bits), strict=True):
        whole = sum(code << (bits * place) for place, code in enumerate(row))
        assert sum(int(word) << (32 * place) for place, word in enumerate(packed)) == whole


def test_fields_lie_one_above_the_other():
    layout = Layout((Field("low", 3), Field("high", 4, signed=True)))
    assert layout.pack({"low": 5, "high": -1}, "any") == [0b1111_101]


def test_neurons_take_a_float_network_that_was_lowered_in_their_order():
    quantized = fb.quantize(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), "float32")
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    fb.calibrate(quantized, images)
    accelerator = Accelerator(synapses=4)
    network = fb.lower(quantized, images[:1], sum_order=sum_order(accelerator))
    program = compile_network(network, design("float32", synapses=4), accelerator)
    assert len(program.weights) == 64 // 4
    with pytest.raises(HardwareError, match="adds floats 4 at a time, and neurons of 16 synapses would round its sums"):
        compile_network(network, design("float32"), TILE)


def test_the_default_order_of_float_sums_is_the_default_accelerators():
    assert sum_order(TILE) == DEFAULT == SumOrder(16)
