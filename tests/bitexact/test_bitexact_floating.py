"""Float networks: the order of sums, subnormal numbers, zeros, overflow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fewbits as fb
from fewbits.bitexact.reference import reference_values

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
SMALL = st.floats(-(2.0**-60), 2.0**-60, width=32) | st.sampled_from((2.0**-70, -(2.0**-63), 2.0**-127, -0.0))


def _linear(weights: list[float], bias: float = 0.0, precision: str = "float32") -> fb.BitExactNetwork:
    layer = nn.Linear(len(weights), 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights]))
        layer.bias.fill_(bias)
    return fb.lower(fb.quantize(nn.Sequential(layer), precision), torch.zeros(len(weights)))


def _sum(network: fb.BitExactNetwork, values: list[float]) -> np.float32:
    return np.float32(network.accumulators(torch.tensor([values]))[0, 0].item())


def test_sixteen_products_are_added_in_a_tree_of_neighbours() -> None:
    values = [1e8, 1.0, -1e8, 1.0] + [0.0] * 12
    assert _sum(_linear([1.0] * 16), values) == (np.float32(1e8) + np.float32(1)) + (np.float32(-1e8) + np.float32(1))


def test_chunks_are_added_one_after_another_to_the_bias() -> None:
    values = [1.0] + [0.0] * 15 + [-1e8] + [0.0] * 15 + [1.0]
    f = np.float32
    assert _sum(_linear([1.0] * 33, bias=1e8), values) == ((f(1e8) + f(1)) + f(-1e8)) + f(1)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=20), SMALL)
def test_subnormal_operands_and_results_are_zeros_of_their_sign(pairs: list[tuple[float, float]], bias: float) -> None:
    weights, values = (list(part) for part in zip(*pairs, strict=True))
    network = _linear(weights, bias)
    expected = reference_values(network.operations, np.array(values, dtype=object))["0"][0]
    result = _sum(network, values)
    assert result.tobytes() == np.float32(expected).tobytes()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(FLOAT32, FLOAT32), min_size=1, max_size=40), FLOAT32)
def test_any_finite_sum_is_that_of_the_scalar_reference(pairs: list[tuple[float, float]], bias: float) -> None:
    weights, values = (list(part) for part in zip(*pairs, strict=True))
    network = _linear(weights, bias)
    with np.errstate(all="ignore"):
        expected = np.float32(reference_values(network.operations, np.array(values, dtype=object))["0"][0])
    if np.isfinite(expected):
        assert _sum(network, values).tobytes() == expected.tobytes()
    else:
        with pytest.raises(fb.ModelError, match="layer '0'"):
            _sum(network, values)


def test_a_sum_that_overflows_names_its_layer() -> None:
    with pytest.raises(fb.ModelError, match="layer '0': a result is infinite"):
        _linear([3e38, 3e38]).run(torch.ones(1, 2))


def test_an_intermediate_overflow_is_never_lost() -> None:
    with pytest.raises(fb.ModelError, match="layer '0'"):
        _linear([3e38, 3e38, -3e38, -3e38]).run(torch.ones(1, 4))


def test_relu_makes_negative_zero_positive() -> None:
    network = fb.lower(fb.quantize(nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU()), "float32"), torch.ones(1))
    zeros = network.accumulators(torch.tensor([[0.0], [-0.0]]))
    assert not torch.signbit(zeros).any()


def test_padding_adds_positive_zeros() -> None:
    model = fb.quantize(nn.Sequential(nn.Conv2d(1, 1, 3, padding=2, bias=False)), "float32")
    images = torch.randn(2, 1, 4, 5)
    network = fb.lower(model, images)
    expected = reference_values(network.operations, np.array(images[1].tolist(), dtype=object))["0"]
    assert network.accumulators(images)[1].flatten().tolist() == [float(value) for value in expected.flat]


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16", "fp8-e4m3"])
def test_small_integers_are_summed_exactly(precision: str) -> None:
    model = fb.quantize(nn.Sequential(nn.Conv1d(2, 3, 3, groups=1), nn.AvgPool1d(2), nn.Conv1d(3, 1, 2)), precision)
    images = torch.randint(-4, 5, (2, 2, 11)).float()
    for layer in model.layers.values():
        layer.layer.weight.data.copy_(torch.randint(-2, 3, layer.layer.weight.shape))
        layer.layer.bias.data.zero_()
        if precision == "fp8-e4m3":
            layer.weight_fraction_bits = layer.input_fraction_bits = 1
    network = fb.lower(model, images)
    with torch.no_grad():
        expected = model.layers["0"](images).double()
    first = network.trace(images)["0"].double() * 2.0 ** -network.layers[0].accumulator_fraction_bits
    assert torch.equal(first, expected)


def test_float_logits_carry_their_radix_point() -> None:
    model = fb.quantize(nn.Sequential(nn.Linear(1, 1, bias=False)), "fp8-e4m3")
    (layer,) = model.layers.values()
    layer.weight_fraction_bits, layer.input_fraction_bits = 3, 2
    layer.layer.weight.data.fill_(0.5)
    assert fb.lower(model, torch.ones(1)).run(torch.tensor([[2.0]])).item() == 1.0


def test_images_may_not_be_nan() -> None:
    with pytest.raises(fb.FormatError, match="NaN"):
        _linear([1.0]).run(torch.tensor([[torch.nan]]))
