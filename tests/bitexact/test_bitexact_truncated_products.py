"""Products cut to their top bits: executors equal the definition, floor(weight * input / 2**dropped)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import fewbits as fb
from fewbits import ModelError
from fewbits.bitexact import BitExactNetwork
from fewbits.bitexact.reference import reference_values
from fewbits.quantization import QuantizedModel

RANDOM = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def small_network(precision: str, seed: int = 0) -> tuple[QuantizedModel, torch.Tensor]:
    """A grouped convolution with padding, pooling and a linear layer, calibrated."""
    torch.manual_seed(seed)
    modules = [nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)]
    images = torch.randn(3, 2, 6, 6)
    quantized = fb.quantize(nn.Sequential(*modules), precision)
    fb.calibrate(quantized, images)
    return quantized, images


def exact_integers(values: object) -> np.ndarray:
    """Integers of any width as Python's."""
    found = values.numpy() if isinstance(values, torch.Tensor) else values
    return np.asarray(found).astype(object)


def assert_equals_reference(network: BitExactNetwork, images: torch.Tensor) -> None:
    trace = network.trace(images)
    for index, image in enumerate(images):
        expected = reference_values(network.operations, np.array(image.tolist(), dtype=object))
        for name, values in expected.items():
            assert (exact_integers(trace[name])[index] == values).all(), name
        assert (exact_integers(network.accumulators(images))[index] == expected[network.operations[-1].name]).all()


@RANDOM
@given(
    st.sampled_from(["fixed4", "fixed8", "fixed16", "pow2-6/fixed16", "binary/fixed16", "fixed8/binary"]),
    st.integers(2, 9),
    st.integers(0, 1000),
)
def test_cut_networks_equal_the_reference(precision: str, product_bits: int, seed: int):
    quantized, images = small_network(precision, seed)
    assert_equals_reference(fb.lower(quantized, images, product_bits=min(product_bits, 8)), images)


@pytest.mark.parametrize(("precision", "product_bits"), [("fixed32", 50), ("fixed32", 24), ("pow2-6/fixed32", 40)])
def test_wide_products_are_cut_exactly(precision: str, product_bits: int):
    quantized, images = small_network(precision)
    assert_equals_reference(fb.lower(quantized, images, product_bits=product_bits), images)


def test_keeping_every_bit_is_the_whole_product():
    quantized, images = small_network("fixed8")
    whole, kept = fb.lower(quantized, images), fb.lower(quantized, images, product_bits=16)
    assert torch.equal(whole.run(images), kept.run(images))


def test_cutting_rounds_products_towards_minus_infinity():
    quantized = fb.quantize(nn.Sequential(nn.Linear(2, 1, bias=False)), "fixed4")
    images = torch.tensor([[3.0, -3.0]])
    with torch.no_grad():
        next(iter(quantized.layers.values())).layer.weight.copy_(torch.tensor([[5.0, 5.0]]))
    for layer in quantized.layers.values():
        layer.input_fraction_bits = layer.weight_fraction_bits = 0
    network = fb.lower(quantized, images, product_bits=5)  # of 8 bits: 15 // 8 - 16 // 8 = 1 - 2
    assert network.accumulators(images).tolist() == [[-1]]
    assert network.logits_fraction_bits == -3
    assert network.run(images).tolist() == [[-8.0]]


def test_the_accumulator_holds_the_worst_sum_of_cut_products():
    quantized, images = small_network("fixed8")
    for layer in fb.lower(quantized, images, product_bits=10).layers:
        assert layer.accumulator_bits <= layer.worst_case_accumulator_bits < 10 + 7


@pytest.mark.parametrize("product_bits", [1, 17, True])
def test_senseless_widths_are_refused(product_bits: int):
    quantized, images = small_network("fixed8")
    with pytest.raises(ModelError, match="from 2 to 16"):
        fb.lower(quantized, images, product_bits=product_bits)


@pytest.mark.parametrize("precision", ["float32", "binary", "pow2-8"])
def test_products_that_cannot_be_cut_are_refused(precision: str):
    quantized, images = small_network(precision)
    with pytest.raises(ModelError, match="product"):
        fb.lower(quantized, images, product_bits=8)


def test_sums_too_wide_to_compute_are_refused():
    quantized, images = small_network("fixed32")
    with pytest.raises(ModelError, match="fewer product_bits"):
        fb.lower(quantized, images, product_bits=63)
