"""Accumulator widths: never left, and reached by the worst codes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import fewbits as fb
from fewbits.bitexact import BitExactNetwork
from fewbits.bitexact.accumulator import twos_complement_bits
from fewbits.bitexact.reference import reference_values
from fewbits.quantization import QuantizedModel

WORST = ["fixed2", "fixed4", "fixed8", "fixed16", "fixed32", "pow2-6/fixed16", "pow2-8/fixed32", "pow2-8"]
WORST = [*WORST, "ternary", "binary", "binary/fixed16", "fixed32/binary"]


def _extreme(precision: str, synapses: int, weight_sign: int, bias: float = 0.0) -> tuple[QuantizedModel, float, float]:
    """A linear layer whose weights all are the format's extreme; the input values of the extreme codes."""
    layer = nn.Linear(synapses, 1).double()
    model = fb.quantize(nn.Sequential(layer), precision)
    (quantized,) = model.layers.values()
    quantized.weight_fraction_bits = quantized.input_fraction_bits = 0
    low, high = quantized.weight_format.integer_limits
    with torch.no_grad():
        quantized.layer.weight.fill_(float(low if weight_sign < 0 else high))
        quantized.layer.bias.fill_(bias)
    low, high = quantized.input_format.integer_limits
    return model, float(low), float(high)


def _accumulator(network: BitExactNetwork, value: float, synapses: int) -> int:
    values = network.accumulators(torch.full((1, synapses), value, dtype=torch.float64))
    return int(values[0, 0])


@pytest.mark.parametrize("precision", WORST)
@pytest.mark.parametrize("synapses", [1, 3, 500])
def test_all_minimum_codes_are_summed_exactly_and_need_the_worst_case_width(precision: str, synapses: int) -> None:
    model, low, _ = _extreme(precision, synapses, weight_sign=-1)
    network = fb.lower(model, torch.zeros(synapses))
    (layer,) = network.layers
    expected = synapses * layer.weight_format.integer_limits[0] * layer.input_format.integer_limits[0]
    assert _accumulator(network, low, synapses) == expected
    assert layer.accumulator_bits == layer.worst_case_accumulator_bits
    assert layer.accumulator_bits == twos_complement_bits(min(0, expected), max(0, expected))


@pytest.mark.parametrize("precision", WORST)
@pytest.mark.parametrize("bias", [0.0, 1.0, -3.0, 2.0**40, -(2.0**200)])
def test_extreme_sums_of_either_sign_fit_with_their_bias(precision: str, bias: float) -> None:
    synapses = 7
    for sign in (-1, 1):
        model, *codes = _extreme(precision, synapses, sign, bias)
        network = fb.lower(model, torch.zeros(synapses))
        (layer,) = network.layers
        for code in codes:
            value = _accumulator(network, code, synapses)
            assert value == synapses * int(layer.weight.integers[0, 0]) * int(code) + int(bias)
            assert -(2 ** (layer.accumulator_bits - 1)) <= value < 2 ** (layer.accumulator_bits - 1)


def test_fixed32_times_fixed32_of_largest_values_is_exact() -> None:
    model, low, high = _extreme("fixed32", 800, weight_sign=1)
    network = fb.lower(model, torch.zeros(800))
    assert _accumulator(network, high, 800) == 800 * (2**31 - 1) ** 2
    assert _accumulator(network, low, 800) == -800 * (2**31 - 1) * 2**31
    assert network.layers[0].accumulator_bits == 73


def test_wide_logits_are_rounded_once() -> None:
    model, _, high = _extreme("fixed32", 3, weight_sign=1)
    network = fb.lower(model, torch.zeros(3))
    logits = network.run(torch.full((1, 3), high, dtype=torch.float64))
    assert logits.item() == float(3 * (2**31 - 1) ** 2)


def test_wide_convolutions_equal_the_reference_on_extreme_codes() -> None:
    model = fb.quantize(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 2)).double(), "fixed32")
    for layer in model.layers.values():
        layer.weight_fraction_bits, layer.input_fraction_bits = 31, 4
    with torch.no_grad():
        for layer in model.layers.values():
            layer.layer.weight.copy_(torch.where(layer.layer.weight > 0, 1.0, -1.0))
    model.layers["2"].input_fraction_bits = -3
    extremes = torch.where(torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(0)) > 0, 2.0**30, -(2.0**30))
    network = fb.lower(model, extremes)
    accumulators = network.accumulators(extremes)
    for image, result in zip(extremes, accumulators, strict=True):
        expected = reference_values(network.operations, image.numpy().astype(object))["2"]
        assert (expected == (result.numpy() if isinstance(result, torch.Tensor) else result)).all()


@given(st.integers(-(2**100), 0), st.integers(0, 2**100))
def test_twos_complement_width_is_the_smallest_that_holds_both_ends(low: int, high: int) -> None:
    bits = twos_complement_bits(low, high)
    assert -(2 ** (bits - 1)) <= low
    assert high < 2 ** (bits - 1)
    assert bits == 1 or low < -(2 ** (bits - 2)) or high >= 2 ** (bits - 2)


def test_width_with_these_weights_is_smaller_than_that_of_the_formats() -> None:
    model = fb.quantize(nn.Sequential(nn.Linear(64, 4)), "fixed8")
    fb.calibrate(model, torch.randn(8, 64))
    (layer,) = fb.lower(model, torch.zeros(64)).layers
    assert layer.accumulator_bits < layer.worst_case_accumulator_bits == 8 + 8 + 6
