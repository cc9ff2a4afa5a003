"""Floats of exact sums: the float's values and codes, as integers."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fewbits as fb
from fewbits.errors import FormatError
from fewbits.formats import ExactFloat

FOREIGN = {
    "fp8-e4m3": ml_dtypes.float8_e4m3fn,
    "fp8-e5m2": ml_dtypes.float8_e5m2,
    "float-e2m1": ml_dtypes.float4_e2m1fn,
    "float-e2m3": ml_dtypes.float6_e2m3fn,
    "float-e3m2": ml_dtypes.float6_e3m2fn,
}


def exact(name: str) -> ExactFloat:
    found = fb.parse_format(f"{name}:exact")
    assert isinstance(found, ExactFloat)
    return found


def used_codes(number_format: ExactFloat) -> torch.Tensor:
    return torch.tensor([code for code in range(2**number_format.bits) if code not in number_format.unused_codes])


@pytest.mark.parametrize("name", FOREIGN)
def test_every_code_is_the_number_of_ml_dtypes_counted_in_the_smallest(name: str):
    number_format = exact(name)
    codes = used_codes(number_format)
    foreign = codes.numpy().astype(np.uint8).view(FOREIGN[name]).astype(np.float64)
    smallest = float(ml_dtypes.finfo(FOREIGN[name]).smallest_subnormal)
    assert number_format.to_integers(codes).tolist() == [int(number / smallest) for number in foreign]


@pytest.mark.parametrize("name", FOREIGN)
def test_codes_that_are_not_used_are_negative_zero_infinity_and_nan(name: str):
    number_format = exact(name)
    foreign = np.arange(2**number_format.bits, dtype=np.uint8).view(FOREIGN[name]).astype(np.float64)
    special = ~np.isfinite(foreign) | ((foreign == 0) & np.signbit(foreign))
    assert set(number_format.unused_codes) == set(np.flatnonzero(special).tolist())


@pytest.mark.parametrize("name", FOREIGN)
def test_unused_codes_are_refused(name: str):
    number_format = exact(name)
    for code in number_format.unused_codes:
        with pytest.raises(FormatError, match=f"does not use code {code}: exact sums are of finite numbers"):
            number_format.decode(torch.tensor([code]))


@pytest.mark.parametrize("name", [*FOREIGN, "float16"])
def test_rounding_is_the_floats_own(name: str):
    number_format = exact(name)
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(0)) * 10
    assert torch.equal(number_format.quantize(values, number_format.places), number_format.of.quantize(values))


@given(st.integers(-(2**20), 2**20), st.integers(-4, 4))
def test_the_nearest_integer_is_the_nearest_float(numerator: int, places: int):
    number_format = exact("fp8-e4m3")
    number = Fraction(numerator, 2**4) * Fraction(2) ** places
    unit = Fraction(2) ** number_format.places
    assert number_format.nearest(number) == number_format.of.nearest(number / unit) * unit


def test_sums_do_not_depend_on_their_order():
    torch.manual_seed(0)
    layer = torch.nn.Linear(400, 4)
    images = torch.randn(8, 400)
    turned = torch.nn.Linear(400, 4)
    turned.load_state_dict({"weight": layer.weight.flip(1), "bias": layer.bias})
    results = []
    for module, x in ((layer, images), (turned, images.flip(1))):
        model = fb.calibrate(fb.quantize(torch.nn.Sequential(module), "fp8-e4m3:exact"), images)
        results.append(fb.lower(model, x).run(x))
    assert torch.equal(*results)


@pytest.mark.parametrize("name", ["bfloat16:exact", "float32:exact", "float-e7m2:exact"])
def test_floats_of_too_many_exponents_have_no_exact_sums(name: str):
    with pytest.raises(FormatError, match="exact sums take at most 48"):
        fb.parse_format(name)


@pytest.mark.parametrize("name", ["fixed8:exact", "fp8-e4m3:precise", "fp8:exact", "fp8-e4m3:exact:exact"])
def test_other_formats_have_no_exact_sums(name: str):
    with pytest.raises(FormatError, match="unknown format"):
        fb.parse_format(name)


def test_a_precision_of_exact_sums_and_float_sums_is_refused():
    refusal = fb.parse_precision("fp8-e4m3:exact/fp8-e4m3").refusal
    assert refusal is not None
    assert "two integer formats go together" in refusal
