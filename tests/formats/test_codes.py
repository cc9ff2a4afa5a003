"""Codes: exhaustive round trips, and agreement with other libraries' small floats."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest
import torch

from fewbits import FormatError, parse_format, parse_precision
from fewbits.formats import STUDY_PRECISIONS, FloatFormat, all_format_names

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
GFLOAT = {
    "float16": gfloat.formats.format_info_binary16,
    "bfloat16": gfloat.formats.format_info_bfloat16,
    "fp8-e4m3": gfloat.formats.format_info_ocp_e4m3,
    "fp8-e5m2": gfloat.formats.format_info_ocp_e5m2,
    "float-e2m1": gfloat.formats.format_info_ocp_e2m1,
    "float-e2m3": gfloat.formats.format_info_ocp_e2m3,
    "float-e3m2": gfloat.formats.format_info_ocp_e3m2,
}


def used_codes(name: str) -> torch.Tensor:
    """Every code that the format uses for a number."""
    number_format = parse_format(name)
    codes = torch.arange(2**number_format.bits)
    if name == "ternary":
        return codes[codes != 2]
    if number_format.family == "pow2":
        return codes[codes != 2 ** (number_format.bits - 1)]
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
    theirs = codes.view(ML_DTYPES[name]).astype(np.float64)
    ours = parse_format(name).decode(torch.from_numpy(codes.astype(np.int64))).numpy()
    assert np.array_equal(ours, theirs, equal_nan=True)
    assert np.array_equal(np.signbit(ours), np.signbit(theirs) & ~np.isnan(theirs) | np.signbit(ours) & np.isnan(ours))


@pytest.mark.parametrize("name", [n for n in GFLOAT if parse_format(n).bits <= 8])
def test_every_code_means_what_gfloat_says(name: str):
    theirs = [gfloat.decode_float(GFLOAT[name], code).fval for code in range(2 ** parse_format(name).bits)]
    ours = parse_format(name).decode(torch.arange(len(theirs))).tolist()
    assert np.array_equal(ours, theirs, equal_nan=True)


def interesting(name: str) -> np.ndarray:
    """Values, middles between neighbours, both just off, and beyond the largest; float32."""
    values = parse_format(name).decode(used_codes(name)).unique().numpy()
    middles = (values[1:] + values[:-1]) / 2
    exact = np.concatenate([values, middles, values[-1:] * 1.01, values[-1:] * 1.5, values[-1:] * 4]).astype(np.float32)
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
@pytest.mark.parametrize("name", ["fp8-e4m3", "fp8-e5m2", "float-e2m1", "float-e2m3", "float-e3m2"])
def test_rounding_agrees_with_gfloat(name: str, overflow: str):
    number_format = parse_format(name)
    assert isinstance(number_format, FloatFormat)
    if overflow == "infinity":
        if number_format.specials == "none":
            with pytest.raises(FormatError, match="can't overflow"):
                replace(number_format, overflow="infinity")
            return
        number_format = replace(number_format, overflow="infinity")
    x = interesting(name)
    theirs = [gfloat.round_float(GFLOAT[name], float(v), sat=overflow == "saturate") for v in x]
    assert np.array_equal(number_format.quantize(torch.from_numpy(x)).numpy(), np.float32(theirs), equal_nan=True)


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
def test_names_go_both_ways(name: str):
    assert parse_format(name).name == name
    assert str(parse_format(name)) == name


@pytest.mark.parametrize(
    "name", ["fixed33", "fixed1", "fixd8", "", "pow2-9", "float-e9m3", "float-e4m0", "FIXED8", "8"]
)
def test_an_unknown_format_is_refused_in_one_line(name: str):
    with pytest.raises(FormatError) as caught:
        parse_format(name)
    assert "\n" not in str(caught.value)


def test_an_unknown_format_gets_the_nearest_name():
    with pytest.raises(FormatError, match="did you mean fixed8"):
        parse_format("fixd8")


@pytest.mark.parametrize("name", STUDY_PRECISIONS)
def test_precisions_go_both_ways(name: str):
    precision = parse_precision(name)
    assert precision.name == str(precision) == name
    assert precision.is_integer != precision.is_float


def test_one_format_stands_for_both():
    assert parse_precision("fixed8/fixed8") == parse_precision("fixed8")
    with pytest.raises(FormatError, match="weights/inputs"):
        parse_precision("fixed8/fixed8/fixed8")


@pytest.mark.parametrize("name", ["fixed8", "pow2-6", "fp8-e4m3", "binary", "ternary"])
def test_limits_are_the_range(name: str):
    low, high = parse_format(name).limits(3)
    assert Fraction(high) == parse_format(name).quantize_scalar(math.inf, 3)
    assert Fraction(low) == parse_format(name).quantize_scalar(-math.inf, 3)
