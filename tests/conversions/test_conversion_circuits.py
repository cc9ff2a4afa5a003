"""A converter gives the code that the bit-exact network rounds a number to, whatever the two formats."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from converting import converted, expected, finite_codes
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits import HardwareError
from fewbits.formats import Format, parse_format
from fewbits.hardware.datapath.conversions import Conversion, Integers, check_circuit, decodes

SMALL = ("fixed2", "fixed5", "fixed8", "ternary", "binary", "pow2-2", "pow2-4", "pow2-8", "fp8-e4m3", "fp8-e5m2",
         "float-e2m1", "float-e3m4")  # fmt: skip
"""Of which all codes are looked at."""

WIDE = ("fixed16", "fixed24", "fixed32", "float16", "bfloat16", "float32")
FORMATS = (*SMALL, *WIDE)
WIDTHS = (17, 23, 31, 47, 52)
"""Of sums: up to what a float64 holds, which the bit-exact network rounds in."""


def of(name: str) -> Format:
    return parse_format(name)


@pytest.mark.parametrize("source", SMALL)
def test_every_code_becomes_the_nearest_code_of_every_format(source: str):
    codes = finite_codes(of(source))
    numbers = of(source).decode(torch.tensor(codes)).numpy()
    for target in FORMATS:
        conversion = Conversion(of(source), of(target))
        found = converted(conversion, codes)
        assert found == of(target).encode(torch.from_numpy(numbers)).tolist(), conversion.name
        assert found == expected(conversion, numbers), conversion.name


@pytest.mark.parametrize("target", SMALL)
def test_a_code_comes_back_from_every_format_that_holds_it(target: str):
    codes = finite_codes(of(target))
    for wide in (of(name) for name in FORMATS if of(name).holds(of(target)) and name != target):
        there = converted(decodes(of(target), wide), codes)
        numbers = of(target).decode(torch.tensor(codes))
        assert there == wide.encode(numbers).tolist(), f"{target} in {wide.name}"
        back = of(target).decode(torch.tensor(converted(Conversion(wide, of(target)), there)))
        assert back.tolist() == numbers.tolist(), f"{wide.name} to {target}"


def sums(bits: int) -> st.SearchStrategy[int]:
    """Of every magnitude: small ones are as likely as those that fill an accumulator."""
    return st.integers(0, bits - 1).flatmap(lambda size: st.integers(-(2**size), 2**size - 1))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), target=st.sampled_from(FORMATS), bits=st.sampled_from(WIDTHS), relu=st.booleans())
def test_sums_of_integers_become_what_the_bit_exact_network_rounds_them_to(data, target: str, bits: int, relu: bool):
    integers = data.draw(st.lists(sums(bits), min_size=8, max_size=64))
    integers += [0, 1, -1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))]
    shift = data.draw(st.integers(-8, bits))
    conversion = Conversion(Integers(bits), of(target))
    words = [number % 2**bits for number in integers]
    numbers = np.array(integers, dtype=np.float64)
    assert converted(conversion, words, shift, relu) == expected(conversion, numbers, shift, relu)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), target=st.sampled_from(FORMATS), bits=st.sampled_from((62, 79)))
def test_sums_wider_than_a_float64_are_rounded_as_fractions_are(data, target: str, bits: int):
    integers = data.draw(st.lists(sums(bits), min_size=8, max_size=32))
    shift = data.draw(st.integers(-8, bits))
    found = converted(Conversion(Integers(bits), of(target)), [number % 2**bits for number in integers], shift)
    nearest = [of(target).encode_scalar(Fraction(number) / Fraction(2) ** shift) for number in integers]
    values, wanted = (of(target).decode(torch.tensor(codes)).tolist() for codes in (found, nearest))
    assert values == wanted  # a Fraction has no negative zero


FLOAT32_SUMS = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), target=st.sampled_from(FORMATS), relu=st.booleans(), shift=st.integers(-30, 30))
def test_float32_sums_become_what_the_bit_exact_network_rounds_them_to(data, target: str, relu: bool, shift: int):
    near = st.floats(-300, 300, width=32, allow_subnormal=False)
    numbers = np.array([*data.draw(st.lists(near | FLOAT32_SUMS, min_size=8, max_size=64)), 0.0, -0.0, 0.5, -1.5])
    conversion = Conversion(of("float32"), of(target))
    kept = np.abs(numbers * 2.0**-shift) < 2.0**127  # beyond it a bit-exact network is refused
    numbers = numbers[kept]
    words = numbers.astype(np.float32).view(np.uint32).tolist()
    assert converted(conversion, words, shift, relu) == expected(conversion, numbers, shift, relu)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), target=st.sampled_from(("fixed8", "fp8-e4m3", "pow2-4", "float16", "bfloat16")))
def test_ties_go_to_the_even_code(data, target: str):
    """Numbers in the middle of two neighbours, as sums that are moved right by one place more."""
    number_format = of(target)
    codes = data.draw(st.lists(st.integers(0, 2 ** (number_format.bits - 1) - 2), min_size=4, max_size=16))
    neighbours = [number_format.decode(torch.tensor([code, code + 1])).tolist() for code in codes]
    pairs = [pair for pair in neighbours if np.isfinite(pair).all()]
    middles = np.array([sum(pair) / 2 for pair in pairs])
    conversion = Conversion(of("float32"), number_format)
    kept = np.abs(middles) >= 2.0**-126
    words = middles[kept].astype(np.float32).view(np.uint32).tolist()
    found = converted(conversion, words)
    assert found == expected(conversion, middles[kept])
    assert all(code % 2 == 0 for code in found)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("source", "target"),
    [(source, target) for source, target in product((*FORMATS, *WIDTHS), FORMATS) if source != target],
)
def test_ten_thousand_vectors_of_each_pair(source: str | int, target: str):
    generator = np.random.default_rng(9)
    if isinstance(source, int):
        made, integers = Integers(source), generator.integers(-(2 ** (source - 1)), 2 ** (source - 1), 10_000)
        integers >>= generator.integers(0, source, 10_000)
        words, numbers = (integers % 2**source).tolist(), integers.astype(np.float64)
    else:
        made = of(source)
        drawn = generator.standard_normal(10_000) * 2.0 ** generator.integers(-20, 20, 10_000)
        codes = made.encode(torch.from_numpy(drawn))
        words, numbers = codes.tolist(), made.decode(codes).numpy()
    conversion = Conversion(made, of(target))
    for shift, relu in ((0, False), (int(generator.integers(-6, 20)), True)):
        assert converted(conversion, words, shift, relu) == expected(conversion, numbers, shift, relu)


def test_codes_of_a_layout_of_their_own_are_refused():
    class Logarithms:
        name, bits, code_layout, magnitude_codes = "log-4", 4, "sign and magnitude", None

    with pytest.raises(HardwareError, match="no circuit converts integer31 to log-4"):
        check_circuit(Conversion(Integers(31), Logarithms()))


@pytest.mark.parametrize(
    ("wide", "narrow", "stands"),
    [
        (Conversion(Integers(31), parse_format("fixed8")), Conversion(Integers(23), parse_format("fixed4")), True),
        (Conversion(Integers(31), parse_format("float16")), Conversion(Integers(31), parse_format("fp8-e4m3")), True),
        (Conversion(Integers(23), parse_format("fixed8")), Conversion(Integers(31), parse_format("fixed8")), False),
        (Conversion(Integers(32), parse_format("fixed8")), Conversion(parse_format("float32"), parse_format("fixed8")),
         False),
        (Conversion(Integers(31), parse_format("fp8-e4m3")), Conversion(Integers(31), parse_format("float16")), False),
    ],
)  # fmt: skip
def test_a_circuit_stands_for_another_whose_numbers_it_takes_and_gives(wide, narrow, stands: bool):
    assert wide.stands_for(narrow) is stands
