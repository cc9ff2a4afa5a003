"""Rounding between layers: half to even, saturating, exact for shifts either way and at every width."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import fewbits as fb
from fewbits.bitexact.fused_kernels import round_wide
from fewbits.bitexact.integer import IntegerExecutor, nearest_integers
from fewbits.bitexact.network import exact_values
from fewbits.bitexact.wide import WideIntegers, split_values, split_weight

WIDE = (
    st.integers(-(2**75), 2**75)
    | st.integers(-(2**20), 2**20)
    | st.builds(lambda k, s: s * 2**k, st.integers(0, 75), st.sampled_from((-3, -1, 1, 3)))
)


def _limbs(numbers: list[int], count: int = 6) -> list[Tensor]:
    """Sums of limbs of mixed signs, not carried yet."""
    parts = [torch.from_numpy(part).to(torch.int64) for part in split_weight(np.array(numbers, dtype=object))]
    return parts + [torch.zeros(len(numbers), dtype=torch.int64)] * (count - len(parts))


def _copying_network(shift: int, inputs: str) -> fb.BitExactNetwork:
    """A layer of weight 1 whose fixed32 inputs are rounded, `shift` places to the right, to a second one's inputs."""
    model = fb.quantize(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), f"fixed32/{inputs}").double()
    first, second = model.layers.values()
    first.input_format = fb.parse_format("fixed32")
    with torch.no_grad():
        for layer in (first, second):
            layer.layer.weight.fill_(1.0)
            layer.layer.bias.zero_()
    first.weight_fraction_bits = first.input_fraction_bits = second.weight_fraction_bits = 0
    second.input_fraction_bits = -shift
    return fb.lower(model, torch.zeros(1))


@pytest.mark.parametrize(
    ("code", "shift", "expected"),
    [
        *((1, 1, 0), (3, 1, 2), (-1, 1, 0), (-3, 1, -2), (5, 1, 2), (6, 2, 2), (2, 2, 0), (-6, 2, -2), (4, 3, 0)),
        *((1000, 1, 127), (-1000, 1, -128), (255, 1, 127), (253, 1, 126), (-257, 1, -128), (3, -4, 48), (9, -4, 127)),
    ],
)
def test_ties_go_to_even_and_ends_saturate(code: int, shift: int, expected: int) -> None:
    network = _copying_network(shift, "fixed8")
    images = torch.tensor([[float(code)]], dtype=torch.float64)
    assert network.accumulators(images).item() == expected
    assert network.trace(images)["0.rounding"].item() == expected


@settings(deadline=None, max_examples=40)
@given(
    st.integers(-(2**31), 2**31 - 1), st.integers(-40, 40), st.sampled_from(["fixed2", "fixed8", "fixed32", "pow2-6"])
)
def test_rounding_is_that_of_exact_fractions(code: int, shift: int, inputs: str) -> None:
    network = _copying_network(shift, inputs)
    expected = int(fb.parse_format(inputs).nearest(Fraction(code) / Fraction(2) ** shift))
    assert int(network.accumulators(torch.tensor([[float(code)]], dtype=torch.float64))[0, 0]) == expected


@settings(deadline=None)
@given(st.lists(WIDE, min_size=1, max_size=8))
def test_limbs_hold_what_went_in(numbers: list[int]) -> None:
    assert WideIntegers.from_sums(_limbs(numbers), 77).to_objects().tolist() == numbers


@settings(deadline=None)
@given(st.lists(WIDE, min_size=1, max_size=8), st.integers(1, 80), st.sampled_from(["fixed4", "fixed16", "fixed32"]))
def test_rounding_limbs_is_that_of_exact_fractions(numbers: list[int], shift: int, name: str) -> None:
    number_format = fb.parse_format(name)
    exact = [int(number_format.nearest(Fraction(number, 2**shift))) for number in numbers]
    wide = WideIntegers.from_sums(_limbs(numbers), 77)
    assert nearest_integers(wide.rounded_to_odd() * 2.0**-shift, number_format).tolist() == exact


@settings(deadline=None)
@given(
    st.lists(WIDE, min_size=1, max_size=8),
    st.integers(1, 80),
    st.sampled_from(["fixed4", "fixed16", "fixed32"]),
    st.booleans(),
    st.booleans(),
)
def test_compiled_rounding_of_limbs_is_that_of_exact_fractions(
    numbers: list[int], shift: int, name: str, relu: bool, spare: bool
) -> None:
    number_format = fb.parse_format(name)
    sums = torch.stack(_limbs(numbers, 6 if spare else 0)).double().unsqueeze(1).numpy()
    bias = np.zeros((len(sums), 1), dtype=np.int64)
    bias[0] = 5
    out = np.empty((1, len(numbers)))
    round_wide(sums, bias, shift, relu, *number_format.integer_limits, out)
    exact = [Fraction(max(number + 5, 0) if relu else number + 5, 2**shift) for number in numbers]
    assert out[0].tolist() == [int(number_format.nearest(value)) for value in exact]


@given(st.lists(WIDE, min_size=1, max_size=8))
def test_wide_relu_clears_negatives(numbers: list[int]) -> None:
    wide = WideIntegers.from_sums(_limbs(numbers), 77).relu()
    assert wide.to_objects().tolist() == [max(number, 0) for number in numbers]


@given(st.integers(-(2**31), 2**31 - 1))
def test_values_split_into_limbs_that_add_up(value: int) -> None:
    low, high = split_values(torch.tensor(float(value), dtype=torch.float64), 2)
    assert int(low) + int(high) * 2**16 == value
    assert 0 <= low < 2**16


@pytest.mark.parametrize("precision", ["fixed8", "fixed16", "fixed32", "fixed24/fixed20", "pow2-6/fixed16"])
def test_stages_equal_single_operations_on_real_sizes(precision: str) -> None:
    from fewbits.models import build

    images = torch.randn(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = fb.quantize(build("alex", seed=0), precision)
    fb.calibrate(model, images[:8])
    network = fb.lower(model, images)
    one_by_one = exact_values(IntegerExecutor(network.operations).logits(images))
    fused = network.accumulators(images)
    assert isinstance(fused, torch.Tensor) == isinstance(one_by_one, torch.Tensor)
    assert bool((fused == one_by_one).all())
