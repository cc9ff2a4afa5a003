"""Codes: exhaustive round trips, and agreement with other libraries' small floats."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits import FormatError, parse_format
from fewbits.formats import FloatFormat, all_format_names

SMALL = [f"float-e{x}m{y}" for x in range(2, 8) for y in range(1, 15) if 1 + x + y <= 16]
UP_TO_16_BITS = [name for name in all_format_names() if parse_format(name).bits <= 16] + SMALL

ML_DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "fp8-e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "fp8-e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "float-e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
    "float-e2m3": np.dtype(ml_dtypes.float6_e2m3fn),
    "float-e3m2": np.dtype(ml_dtypes.float6_e3m2fn),
}
STANDARD = {
    "float16": gfloat.formats.format_info_binary16,
    "bfloat16": gfloat.formats.format_info_bfloat16,
    "fp8-e4m3": gfloat.formats.format_info_ocp_e4m3,
    "fp8-e5m2": gfloat.formats.format_info_ocp_e5m2,
    "float-e2m1": gfloat.formats.format_info_ocp_e2m1,
    "float-e2m3": gfloat.formats.format_info_ocp_e2m3,
    "float-e3m2": gfloat.formats.format_info_ocp_e3m2,
}


def in_gfloat(name: str) -> gfloat.FormatInfo:
    """Gfloat's own definition, or for a float of another size what its FP6 would be at that size."""
    if name in STANDARD:
        return STANDARD[name]
    exponent_bits, mantissa_bits = map(int, name.removeprefix("float-e").split("m"))
    return replace(
        gfloat.formats.format_info_ocp_e3m2,
        name=name,
        k=1 + exponent_bits + mantissa_bits,
        precision=mantissa_bits + 1,
        bias=2 ** (exponent_bits - 1) - 1,
    )


def used_codes(name: str) -> torch.Tensor:
    """Every code that the format uses for a number."""
    number_format = parse_format(name)
    codes = torch.arange(2**number_format.bits)
    codes = codes[~torch.isin(codes, torch.tensor(number_format.unused_codes, dtype=codes.dtype))]
    return codes[number_format.decode(codes).isfinite()]


@pytest.mark.parametrize("fraction_bits", [0, 5, -3])
@pytest.mark.parametrize("name", UP_TO_16_BITS)
def test_every_code_survives_decode_and_encode(name: str, fraction_bits: int):
    number_format, codes = parse_format(name), used_codes(name)
    assert torch.equal(number_format.encode(number_format.decode(codes, fraction_bits), fraction_bits), codes)


@pytest.mark.parametrize("name", UP_TO_16_BITS)
def test_count_and_range_are_those_of_the_codes(name: str):
    number_format = parse_format(name)
    values = number_format.decode(used_codes(name)).unique()
    description = number_format.describe()
    assert len(values) == description.values
    assert (values.min().item(), values.max().item()) == (description.lowest, description.highest)
    assert values[values > 0].min().item() == description.smallest_positive
    assert bool((values == 0).any()) == description.has_zero


@pytest.mark.parametrize("name", ML_DTYPES)
def test_every_code_means_what_ml_dtypes_says(name: str):
    bits = parse_format(name).bits
    codes = np.arange(2**bits, dtype=np.uint16 if bits == 16 else np.uint8)
    with np.errstate(invalid="ignore"):  # signaling NaN
        theirs = codes.view(ML_DTYPES[name]).astype(np.float64)
    ours = parse_format(name).decode(torch.from_numpy(codes.astype(np.int64))).numpy()
    assert np.array_equal(ours, theirs, equal_nan=True)
    assert np.array_equal(np.signbit(ours), np.signbit(theirs) & ~np.isnan(theirs) | np.signbit(ours) & np.isnan(ours))


@pytest.mark.parametrize("name", [*STANDARD, *SMALL])
def test_every_code_means_what_gfloat_says(name: str):
    codes = np.arange(2 ** parse_format(name).bits)
    theirs = gfloat.decode_ndarray(in_gfloat(name), codes)
    ours = parse_format(name).decode(torch.from_numpy(codes)).numpy()
    assert np.array_equal(ours, theirs, equal_nan=True)
    zeros = ours == 0
    assert np.array_equal(np.signbit(ours[zeros]), np.signbit(theirs[zeros]))


def interesting(name: str) -> np.ndarray:
    """Values, middles between neighbours, both just off, and beyond the largest; float32."""
    values = parse_format(name).decode(used_codes(name)).unique().numpy()
    middles = (values[1:] + values[:-1]) / 2
    beyond = values[-1] * np.array([1.01, 1.5, 4])
    with np.errstate(over="ignore"):
        exact = np.concatenate([values, middles, beyond]).astype(np.float32)
    around = np.concatenate([exact, np.nextafter(exact, np.float32(np.inf)), np.nextafter(exact, -np.float32(np.inf))])
    both = np.concatenate([around, -around])
    return both[np.isfinite(both)]


@pytest.mark.parametrize("name", ["float16", "bfloat16", "fp8-e4m3", "fp8-e5m2"])
def test_overflowing_rounding_agrees_with_ml_dtypes(name: str):
    number_format = parse_format(name)
    assert isinstance(number_format, FloatFormat)
    x = interesting(name)
    with np.errstate(over="ignore"):
        theirs = x.astype(ML_DTYPES[name]).astype(np.float32)
    overflowing = replace(number_format, overflow="infinity")
    ours = overflowing.quantize(torch.from_numpy(x)).numpy()
    assert np.array_equal(ours, theirs, equal_nan=True)
    codes = overflowing.encode(torch.from_numpy(x))
    assert np.array_equal(overflowing.decode(codes).numpy(), theirs, equal_nan=True)


@pytest.mark.parametrize("name", ["float-e2m1", "float-e2m3", "float-e3m2"])
def test_saturating_rounding_agrees_with_ml_dtypes(name: str):
    x = interesting(name)
    theirs = x.astype(ML_DTYPES[name]).astype(np.float32)
    ours = parse_format(name).quantize(torch.from_numpy(x)).numpy()
    assert np.array_equal(ours.view(np.int32), theirs.view(np.int32))


@pytest.mark.parametrize("overflow", ["saturate", "infinity"])
@pytest.mark.parametrize("name", ["float16", "bfloat16", "fp8-e4m3", "fp8-e5m2"])
def test_both_overflow_policies_agree_with_gfloat(name: str, overflow: Literal["saturate", "infinity"]):
    number_format = parse_format(name)
    assert isinstance(number_format, FloatFormat)
    x = np.concatenate([interesting(name), np.float32([np.inf, -np.inf])])
    theirs = gfloat.round_ndarray(in_gfloat(name), x.astype(np.float64), sat=overflow == "saturate")
    ours = replace(number_format, overflow=overflow).quantize(torch.from_numpy(x)).numpy()
    assert np.array_equal(ours, theirs.astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("name", SMALL)
def test_rounding_to_small_floats_agrees_with_gfloat(name: str):
    x = interesting(name)[:: 1 if parse_format(name).bits <= 12 else 7]
    theirs = gfloat.round_ndarray(in_gfloat(name), x.astype(np.float64), sat=True)
    ours = parse_format(name).quantize(torch.from_numpy(x)).numpy()
    assert np.array_equal(ours.view(np.int32), theirs.astype(np.float32).view(np.int32))


def test_a_float_of_numbers_only_cannot_overflow_to_infinity():
    number_format = parse_format("float-e2m1")
    assert isinstance(number_format, FloatFormat)
    with pytest.raises(FormatError, match="can't overflow"):
        replace(number_format, overflow="infinity")


def test_float32_codes_are_the_stored_bits():
    bits = torch.randint(0, 2**32, (10000,), generator=torch.Generator().manual_seed(0))
    x = bits.to(torch.int64).to(torch.uint32).view(torch.float32)
    finite = x.isfinite()
    assert torch.equal(parse_format("float32").encode(x[finite]), bits[finite])
    assert torch.equal(parse_format("float32").decode(bits[finite], dtype=torch.float32), x[finite])


def test_fixed32_codes_at_the_ends():
    codes = torch.tensor([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
    assert parse_format("fixed32").to_integers(codes).tolist() == [0, 1, 2**31 - 1, -(2**31), -1]
    assert torch.equal(parse_format("fixed32").encode(parse_format("fixed32").decode(codes, 7), 7), codes)


def test_integers_too_wide_for_int64_are_refused():
    with pytest.raises(FormatError, match="too wide"):
        parse_format("pow2-8").to_integers(torch.tensor([1]))
    with pytest.raises(FormatError, match="floating point"):
        parse_format("float16").to_integers(torch.tensor([1]))


@pytest.mark.parametrize(("name", "code"), [("fixed8", 256), ("fixed8", -1), ("ternary", 2), ("pow2-6", 32)])
def test_a_code_that_does_not_exist_is_refused(name: str, code: int):
    with pytest.raises(FormatError, match="code"):
        parse_format(name).decode(torch.tensor([code]))


@pytest.mark.parametrize("name", [*all_format_names(), "float-e3m4"])
@given(x=st.floats(allow_nan=False), fraction_bits=st.integers(-40, 40))
@settings(max_examples=40, deadline=None)
def test_codes_are_those_of_the_scalar_reference(name: str, x: float, fraction_bits: int):
    number_format = parse_format(name)
    code = int(number_format.encode(torch.tensor(x, dtype=torch.float64), fraction_bits))
    negative_zero = 2 ** (number_format.bits - 1) if number_format.family == "float" else 0
    assert (0 if code == negative_zero else code) == number_format.encode_scalar(x, fraction_bits)


@pytest.mark.parametrize("name", [*all_format_names(), "float-e3m4"])
def test_quantizing_first_leaves_the_codes_as_they_are(name: str):
    x = torch.randn(2000, generator=torch.Generator().manual_seed(1)) * 30
    number_format = parse_format(name)
    assert torch.equal(number_format.encode(number_format.quantize(x, 3), 3), number_format.encode(x, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_codes_of_another_kind_are_refused(dtype: torch.dtype):
    with pytest.raises(FormatError, match="integers"):
        parse_format("fixed8").decode(torch.zeros(3, dtype=dtype))
