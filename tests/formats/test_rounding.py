"""Every format rounds as its scalar reference says, by kernel and by plain torch."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits import FormatError, parse_format
from fewbits.formats import all_format_names
from fewbits.formats.kernels import SERIAL_ELEMENTS, reference

NAMES = [*all_format_names(), "float-e2m1", "float-e3m4", "float-e7m8"]

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
ties = st.builds(lambda k, e: (k + 0.5) * 2.0**e, st.integers(-300, 300), st.integers(-12, 24))


@pytest.mark.parametrize("name", NAMES)
@given(x=st.one_of(floats, ties), fraction_bits=st.integers(-20, 20))
@settings(max_examples=60, deadline=None)
def test_float64_tensor_equals_the_scalar_reference(name: str, x: float, fraction_bits: int):
    number_format = parse_format(name)
    got = number_format.quantize(torch.tensor([x], dtype=torch.float64), fraction_bits).item()
    assert Fraction(got) == number_format.quantize_scalar(x, fraction_bits)


@pytest.mark.parametrize("name", NAMES)
@given(x=st.lists(st.one_of(floats, ties), min_size=1, max_size=20), fraction_bits=st.integers(-20, 20))
@settings(max_examples=60, deadline=None)
def test_kernel_equals_plain_torch_in_value_and_sign(name: str, x: list[float], fraction_bits: int):
    number_format = parse_format(name)
    tensor = torch.tensor(x, dtype=torch.float32)
    got, expected = number_format.quantize(tensor, fraction_bits), reference(number_format, tensor, fraction_bits)
    assert np.array_equal(got.numpy().view(np.int32), expected.numpy().view(np.int32))


@pytest.mark.parametrize("name", NAMES)
def test_rounding_twice_changes_nothing(name: str):
    x = torch.randn(5000) * 100
    once = parse_format(name).quantize(x, 2)
    assert torch.equal(parse_format(name).quantize(once, 2), once)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("fixed8", 0.5, 0),
        ("fixed8", 1.5, 2),
        ("fixed8", -2.5, -2),
        ("fixed8", 1000, 127),
        ("fixed8", -1000, -128),
        ("pow2-6", 1.5, 2),  # between codes 1 and 2
        ("pow2-6", 3.0, 2),  # between codes 2 and 3
        ("pow2-6", 0.5, 0),
        ("pow2-6", 2.0**40, 2.0**30),
        ("binary", 0.0, 1),
        ("binary", -1e-30, -1),
        ("ternary", 0.5, 0),
        ("ternary", -0.75, -1),
        ("fp8-e4m3", 1e9, 448),
        ("fp8-e5m2", 1e9, 57344),
        ("float-e2m1", 5.0, 4),
    ],
)
def test_ties_go_to_the_even_code_and_extremes_saturate(name: str, x: float, expected: float):
    assert parse_format(name).quantize(torch.tensor([float(x)])).item() == expected


@pytest.mark.parametrize("name", NAMES)
def test_infinity_saturates(name: str):
    number_format = parse_format(name)
    got = number_format.quantize(torch.tensor([math.inf, -math.inf], dtype=torch.float64))
    assert got.tolist() == [float(number_format.largest), float(number_format.lowest)]
    assert number_format.quantize_scalar(math.inf) == number_format.largest


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_nan_is_refused(name: str, dtype: torch.dtype):
    with pytest.raises(FormatError, match="NaN"):
        parse_format(name).quantize(torch.tensor([1.0, math.nan], dtype=dtype))
    with pytest.raises(FormatError, match="NaN"):
        parse_format(name).quantize_scalar(math.nan)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", ["fixed32", "fixed16", "pow2-6", "pow2-8", "float-e7m8", "bfloat16"])
def test_narrow_dtypes_saturate_at_the_largest_value_that_they_carry(name: str, dtype: torch.dtype):
    number_format = parse_format(name)
    largest = number_format.quantize(torch.tensor([torch.finfo(dtype).max], dtype=dtype))
    assert largest.isfinite().all()
    value = Fraction(largest.item())
    assert number_format.nearest(value) == value
    assert value <= number_format.largest


@pytest.mark.parametrize("bad", [1.0, True, "3", None, 1000])
def test_a_radix_point_is_a_plain_integer(bad: object):
    with pytest.raises(FormatError, match="fraction_bits"):
        parse_format("fixed8").quantize(torch.zeros(1), bad)  # pyright: ignore[reportArgumentType]


def test_an_integer_tensor_is_refused():
    with pytest.raises(FormatError, match="floating-point"):
        parse_format("fixed8").quantize(torch.zeros(1, dtype=torch.int32))


@pytest.mark.parametrize("name", ["fixed8", "pow2-6", "fp8-e4m3", "float32", "binary"])
def test_result_goes_into_the_given_buffer(name: str):
    x = torch.randn(3, 50)
    for out in (torch.empty(3, 50), torch.empty(50, 3).t(), x.clone()):
        source = out if torch.equal(out, x) else x
        expected = parse_format(name).quantize(x, 0)
        result = parse_format(name).quantize(source, 0, out=out)
        assert result is out
        assert torch.equal(out, expected)


def test_a_buffer_of_another_shape_is_refused():
    with pytest.raises(FormatError, match="out must be"):
        parse_format("fixed8").quantize(torch.zeros(3), out=torch.zeros(4))


def test_strided_and_empty_tensors_keep_their_shape():
    x = torch.randn(6, 8)[::2, 1::3]
    assert torch.equal(parse_format("fixed8").quantize(x, 4), parse_format("fixed8").quantize(x.clone(), 4))
    assert parse_format("fixed8").quantize(torch.empty(0, 3)).shape == (0, 3)


def test_several_threads_give_what_one_gives():
    x = torch.randn(SERIAL_ELEMENTS * 2 + 3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        many = parse_format("fixed8").quantize(x, 5)
        with pytest.raises(FormatError, match="NaN"):
            parse_format("fixed8").quantize(torch.cat([x, torch.tensor([math.nan])]), 5)
        torch.set_num_threads(1)
        assert torch.equal(parse_format("fixed8").quantize(x, 5), many)
    finally:
        torch.set_num_threads(before)
