"""Names of formats and precisions, what a format tells about itself, and what the package loads."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from fewbits import FormatError, parse_format, parse_precision
from fewbits.formats import STUDY_PRECISIONS, FixedPoint, FloatFormat, PowerOfTwo, all_format_names


@pytest.mark.parametrize("name", [*all_format_names(), "float-e3m4"])
def test_names_go_both_ways(name: str):
    assert parse_format(name).name == name
    assert str(parse_format(name)) == name


@pytest.mark.parametrize(
    "name",
    ["fixed33", "fixed1", "fixd8", "", "pow2-9", "float-e9m3", "float-e4m0", "float-e04m3", "fixed08", "FIXED8", "8"],
)
def test_an_unknown_format_is_refused_in_one_line(name: str):
    with pytest.raises(FormatError) as caught:
        parse_format(name)
    assert "\n" not in str(caught.value)


def test_an_unknown_format_gets_the_nearest_name():
    with pytest.raises(FormatError, match="did you mean fixed8"):
        parse_format("fixd8")


OTHER_NAMES = {
    "int8": "fixed8",
    "INT8": "fixed8",
    "torch.qint8": "fixed8",
    "i8": "fixed8",
    "q8": "fixed8",
    "8bit": "fixed8",
    "8": "fixed8",
    "fixed 8": "fixed8",
    "fixed_16": "fixed16",
    "Fixed8": "fixed8",
    "ap_fixed<16,6>": "fixed16",
    "Q1.7": "fixed8",
    "int4": "fixed4",
    "1bit": "binary",
    "bnn": "binary",
    "fp8": "fp8-e4m3 or fp8-e5m2",
    "float8": "fp8-e4m3 or fp8-e5m2",
    "e4m3": "fp8-e4m3",
    "fp8_e4m3": "fp8-e4m3",
    "float8_e5m2": "fp8-e5m2",
    "fp4": "float-e2m1",
    "e3m2": "float-e3m2",
    "bf16": "bfloat16",
    "fp16": "float16",
    "half": "float16",
    "fp32": "float32",
    "double": "float32",
    "pow2": "pow2-6",
    "po2-4": "pow2-4",
    "w4a8": "fixed4/fixed8",
    "W8A8": "fixed8",
    "w1a16": "binary/fixed16",
    "fixed8/int16": "fixed16",
}


@pytest.mark.parametrize(("name", "ours"), OTHER_NAMES.items())
def test_what_others_call_a_precision_gets_its_name_here(name: str, ours: str):
    with pytest.raises(FormatError) as caught:
        parse_precision(name)
    assert str(caught.value).endswith(f"; did you mean {ours}?")
    for suggested in ours.split(" or "):
        parse_precision(suggested)


UNSIGNED_NAMES = {
    "uint8": "ufixed8",
    "torch.quint8": "ufixed8",
    "UINT4": "ufixed4",
    "u4": "ufixed4",
    "UQ1.7": "ufixed8",
    "ap_ufixed<8,3>": "ufixed8",
}


@pytest.mark.parametrize(("name", "ours"), UNSIGNED_NAMES.items())
def test_what_others_call_unsigned_integers_gets_its_name_here(name: str, ours: str):
    with pytest.raises(FormatError, match=f"did you mean {ours}[?]"):
        parse_precision(f"fixed8/{name}")


@pytest.mark.parametrize("name", ["int64", "w40a8", "w4", "nf4", "xyz"])
def test_a_name_without_a_counterpart_gets_no_suggestion(name: str):
    with pytest.raises(FormatError) as caught:
        parse_precision(name)
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("fixed33", "fixed2 to fixed32"), ("pow2-9", "pow2-2 to pow2-8"), ("float-e9m3", "2 to 7 exponent bits")],
)
def test_a_width_out_of_range_is_answered_with_the_range(name: str, allowed: str):
    with pytest.raises(FormatError, match=allowed):
        parse_format(name)


@pytest.mark.parametrize("bits", [1, 33, 8.0, True, "8"])
def test_a_width_is_a_plain_integer_in_range(bits: object):
    with pytest.raises(FormatError, match="give"):
        FixedPoint(bits)  # pyright: ignore[reportArgumentType]
    with pytest.raises(FormatError, match="give"):
        PowerOfTwo(bits if bits != 8 else 9)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("exponent_bits", "mantissa_bits"), [(8, 3), (1, 3), (4, 0), (7, 23)])
def test_a_float_that_float32_does_not_carry_is_refused(exponent_bits: int, mantissa_bits: int):
    with pytest.raises(FormatError, match="float32"):
        FloatFormat("mine", exponent_bits, mantissa_bits, "none")


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


@pytest.mark.parametrize("name", [*all_format_names(), "float-e3m4"])
def test_examples_are_what_a_tensor_becomes(name: str):
    number_format = parse_format(name)
    x, values, codes = zip(*number_format.describe().example, strict=True)
    tensor = torch.tensor(x, dtype=torch.float64)
    assert number_format.quantize(tensor).tolist() == list(values)
    assert number_format.decode(torch.tensor(codes)).tolist() == list(values)


def test_describing_formats_loads_neither_torch_nor_numba():
    program = """
import sys
from fewbits.formats import all_format_names, parse_format, parse_precision
parse_precision("pow2-6/fixed16")
for name in all_format_names():
    parse_format(name).describe()
assert not {"torch", "numba", "numpy"} & set(sys.modules), "loaded"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", [8, None, b"fixed8", ["fixed8"], 10**5000], ids=lambda name: type(name).__name__)
def test_a_name_that_is_no_text_is_refused(name: object):
    for parse in (parse_format, parse_precision):
        with pytest.raises(FormatError, match="named by a text such as 'fixed8'"):
            parse(name)  # pyright: ignore


@pytest.mark.parametrize("name", ["fixed8/", "/fixed8", "/", "fixed8//fixed8"])
def test_a_precision_with_a_missing_part_is_refused_as_one(name: str):
    with pytest.raises(FormatError, match="is not a precision: give weights/inputs"):
        parse_precision(name)


@pytest.mark.parametrize("text", ["fixed4/ufixed4", "binary/fixed16", "a/b/c"])
def test_a_precision_is_not_taken_for_a_format(text: str) -> None:
    with pytest.raises(FormatError, match="reads as a precision, weights/inputs"):
        parse_format(text)


@pytest.mark.parametrize("numbers", [[1.0, 2.0], (1.0,), 3.0, np.ones(2)], ids=["list", "tuple", "number", "array"])
@pytest.mark.parametrize("name", ["fixed8", "fp8-e4m3", "mxfp4"])
def test_what_is_no_tensor_is_refused(name: str, numbers: object) -> None:
    with pytest.raises(FormatError, match="a tensor, not"):
        parse_format(name).quantize(numbers)  # pyright: ignore[reportArgumentType]
