"""Scales as values, and tensors as codes with a format and a scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits import FormatError, parse_format
from fewbits.formats import Block, BlockCodes, Multipliers, PowersOfTwo, Scale, all_format_names
from fewbits.formats.encoded import Encoded

NAMES = [*all_format_names(), "float-e2m1"]
NARROW = [name for name in NAMES if parse_format(name).bits <= 8]
WEIGHT = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.1, 20.0]).view(3, 1, 1)
POINTS = (2, 5, -1)


@pytest.mark.parametrize("name", NARROW)
def test_a_tensors_scale_is_its_fraction_bits(name: str) -> None:
    number_format = parse_format(name)
    assert torch.equal(number_format.quantize(WEIGHT, Scale.power_of_two(3)), number_format.quantize(WEIGHT, 3))


@pytest.mark.parametrize("name", NARROW)
def test_each_channel_is_rounded_at_its_own_radix_point(name: str) -> None:
    number_format = parse_format(name)
    rounded = number_format.quantize(WEIGHT, Scale.of_channels(POINTS))
    for channel, weight, point in zip(rounded, WEIGHT, POINTS, strict=True):
        assert torch.equal(channel, number_format.quantize(weight, point))


@pytest.mark.parametrize("name", NARROW)
def test_codes_of_channels_are_those_of_each_alone(name: str) -> None:
    number_format, scale = parse_format(name), Scale.of_channels(POINTS)
    codes = number_format.encode(WEIGHT, scale)
    for channel, weight, point in zip(codes, WEIGHT, POINTS, strict=True):
        assert torch.equal(channel, number_format.encode(weight, point))
    assert torch.equal(number_format.decode(codes, scale), number_format.quantize(WEIGHT.double(), scale))


@pytest.mark.parametrize("name", ["fixed4", "ternary", "binary"])
def test_multipliers_scale_whole_numbers(name: str) -> None:
    number_format = parse_format(name)
    scale = Scale("channel", Multipliers(8, 6, (3, 255, 16)))
    factors = torch.tensor([3.0, 255.0, 16.0]).view(3, 1, 1) / 64
    assert torch.equal(number_format.quantize(WEIGHT, scale), number_format.quantize(WEIGHT / factors) * factors)
    codes = number_format.encode(WEIGHT, scale)
    assert torch.equal(number_format.decode(codes, scale).float(), number_format.quantize(WEIGHT, scale))


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9))
@settings(max_examples=50, deadline=None)
def test_the_largest_multiplier_uses_all_its_bits(wanted: list[float]) -> None:
    found = Multipliers.nearest(torch.tensor(wanted), 8)
    assert found.integers is not None
    assert 128 <= max(found.integers) <= 255
    largest = max(wanted)
    for integer, value in zip(found.integers, wanted, strict=True):
        assert abs(integer * 2.0**-found.fraction_bits - value) <= largest / 127.5  # a unit at most


def test_a_scale_of_channels_has_no_radix_point_that_all_share() -> None:
    scale = Scale.of_channels(POINTS)
    with pytest.raises(FormatError, match="a radix point for each of 3 channels"):
        _ = scale.fraction_bits
    assert (scale.coarsest, scale.finest) == (-1, 5)
    assert scale.shifts == (3, 6, 0)
    assert scale.moves == (3, 0, 6)


def test_merged_multipliers_leave_a_radix_point() -> None:
    scale = Scale.merged(8, 12)
    assert (scale.fraction_bits, scale.multiplier_bits, scale.shifts) == (12, 8, None)


@pytest.mark.parametrize(
    ("scale", "sentence"),
    [
        (Scale(Block(16), PowersOfTwo((0,) * 8)), "blocks have codes of a scale format, and nothing else has"),
        (
            Scale("channel", BlockCodes(b"\x7f" * 3, "e8m0")),
            "blocks have codes of a scale format, and nothing else has",
        ),
        (Scale(Block(16), BlockCodes(b"\x7f" * 8, "e8m0")), "a scale of 8 blocks does not fit a tensor of shape"),
        (
            Scale(Block(16), BlockCodes(b"\x7f" * 12, "fp8-e4m3")),
            "unknown format of scales 'fp8-e4m3': give e8m0, e4m3",
        ),
        (Scale(Block(16), BlockCodes(b"\xff" * 12, "e8m0")), "a block's scale is NaN"),
        (Scale(Block(16), BlockCodes(b"\x7f" * 12, "e4m3")), "a block's scale is NaN"),
        (Scale(Block(16), BlockCodes(b"\x10" * 12, "e4m0")), "a code of e4m0 lies from 0 to 15: got 16"),
        (Scale(Block(16, dim=3), BlockCodes(b"\x7f" * 12, "e8m0")), "has no dimension 3 for blocks to lie along"),
        (Scale("tensor", PowersOfTwo((0,)), zero_points=(3,)), "zero points have no arithmetic yet"),
        (Scale("channel", Multipliers(8, 0, (1, 2, 3)), zero_points=(0, 0, 0)), "zero points have no arithmetic yet"),
        (Scale("channel", Multipliers(8, 0, (1, 2))), "a scale of 2 channels does not fit a tensor of shape"),
        (Scale.of_channels((0,)), "a scale of 1 channels does not fit a tensor of shape"),
        (Scale.of_channels((0, 1)), "a scale of 2 channels does not fit a tensor of shape"),
    ],
)
def test_what_has_no_arithmetic_yet_is_refused_in_a_sentence(scale: Scale, sentence: str) -> None:
    number_format = parse_format("fixed8")
    for use in (number_format.quantize, number_format.encode):
        with pytest.raises(FormatError, match=sentence):
            use(WEIGHT, scale)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Scale("tensor", PowersOfTwo((1, 2))), "a tensor has one factor, not 2"),
        (lambda: Scale.of_channels(()), "none is given"),
        (lambda: Scale("channel", PowersOfTwo((1, 2)), zero_points=(0,)), "2 factors take 2 zero points or none"),
        (lambda: Scale.power_of_two(1.0), "fraction_bits must be an integer"),  # pyright: ignore[reportArgumentType]
        (lambda: Multipliers(8, 0, (256,)), "lies from 1 to 255"),
        (lambda: Block(1), "a block has 2 to"),
        (lambda: Block(8, dim=0.5), "a block lies along a dimension"),  # pyright: ignore[reportArgumentType]
        (lambda: BlockCodes(b"", "e8m0", factor=float("nan")), "a tensor's factor is a positive number"),
        (lambda: BlockCodes(b"", "e8m0", fraction_bits=900), "fraction_bits must lie from -512 to 512"),
    ],
)
def test_a_scale_that_cannot_be_is_refused(make: object, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("name", NAMES)
def test_an_encoded_tensor_gives_the_rounded_values_back(name: str) -> None:
    number_format = parse_format(name)
    encoded = Encoded.of(WEIGHT, number_format, Scale.power_of_two(3))
    assert torch.equal(encoded.values(), number_format.quantize(WEIGHT, 3).double())
    assert encoded.codes.dtype == np.min_scalar_type(2**number_format.bits - 1)


@pytest.mark.parametrize("name", ["fixed4", "pow2-4", "pow2-8", "ternary", "binary"])
def test_numbers_of_channels_are_integers_at_the_finest_radix_point(name: str) -> None:
    number_format, scale = parse_format(name), Scale.of_channels(POINTS)
    encoded = Encoded.of(WEIGHT, number_format, scale)
    assert encoded.fraction_bits == 5
    expected = number_format.quantize(WEIGHT.double(), scale) * 2.0**5
    assert encoded.integers.tolist() == [[[int(each) for each in row] for row in rows] for rows in expected.tolist()]


def test_integers_are_of_the_smallest_type_and_cannot_be_written() -> None:
    encoded = Encoded.of(WEIGHT, parse_format("fixed4"), Scale.power_of_two(0))
    assert encoded.integers.dtype == np.int8
    for array in (encoded.integers, encoded.codes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_floats_have_numbers_but_no_integers() -> None:
    encoded = Encoded.of(WEIGHT, parse_format("fp8-e4m3"), Scale.power_of_two(0))
    assert encoded.numbers.dtype == np.float32
    with pytest.raises(FormatError, match="has no integers"):
        _ = encoded.integers


def test_codes_in_a_wider_format_stand_for_the_same_numbers() -> None:
    encoded, wide = Encoded.of(WEIGHT, parse_format("fixed4"), Scale.of_channels((2, 3, 2))), parse_format("fixed16")
    assert wide.decode(torch.from_numpy(encoded.codes_in(wide))).tolist() == encoded.integers.tolist()


def test_memory_holds_codes_and_a_shift_for_each_channel() -> None:
    number_format = parse_format("fixed4")
    assert Encoded.of(WEIGHT, number_format, Scale.power_of_two(0)).stored_bits == 24 * 4
    assert Encoded.of(WEIGHT, number_format, Scale.of_channels(POINTS)).stored_bits == 24 * 4 + 3 * 4


HELD = [(wide, narrow) for wide in NARROW for narrow in NARROW if parse_format(wide).holds(parse_format(narrow))]


@pytest.mark.parametrize(("wide", "narrow"), HELD)
def test_a_format_that_holds_another_rounds_none_of_its_numbers(wide: str, narrow: str) -> None:
    numbers = _numbers(narrow)
    assert any(torch.equal(parse_format(wide).quantize(numbers, place), numbers) for place in range(-40, 41))


def _numbers(name: str) -> torch.Tensor:
    number_format = parse_format(name)
    codes = [code for code in range(2**number_format.bits) if code not in number_format.unused_codes]
    numbers = number_format.decode(torch.tensor(codes))
    return numbers[numbers.isfinite()]


@pytest.mark.parametrize("name", NARROW)
def test_unused_codes_are_refused_and_no_others(name: str) -> None:
    number_format = parse_format(name)
    for code in number_format.unused_codes:
        with pytest.raises(FormatError, match="does not use code"):
            number_format.decode(torch.tensor([code]))
    assert len(_numbers(name).unique()) == number_format.count
