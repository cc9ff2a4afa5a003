"""Block formats on exact fractions: the reference that can be checked by eye. It shares no code with the fast ones.

A block is a list of numbers. Scales are found by comparing with each power of two, or each number of E4M3; elements by
comparing with all numbers of their format.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fewbits.formats.blocks import BlockFormat
    from fewbits.formats.format import Format

Two = Fraction(2)


def reference_block(
    number_format: BlockFormat, block: Sequence[Fraction], factor: Fraction = Fraction(1)
) -> tuple[Fraction, list[Fraction]]:
    """The scale of a block, times the tensor's factor, and the block's values."""
    scale = reference_scale(number_format, max(abs(x) for x in block) / factor) * factor
    point = Two**number_format.element_point
    return scale, [_nearest(number_format, x / scale * point) * scale / point for x in block]


def reference_scale(number_format: BlockFormat, amax: Fraction) -> Fraction:
    """The scale that the format's rule gives a block of that largest magnitude."""
    scales, rule = number_format.scales, number_format.rule.name
    if amax == 0:
        return scales.smallest
    largest = number_format.element_largest
    if scales.name == "e4m3":
        found = _of_e4m3(amax / largest, rule)
    else:
        found = _power(amax, largest, number_format.significand_bits, rule)
    return min(max(found, scales.smallest), scales.largest)


def _power(amax: Fraction, largest: Fraction, bits: int, rule: str) -> Fraction:
    """A power of two, by the words of each rule."""
    if rule == "floor":
        return _floor(amax) / _floor(largest)
    if rule == "ceil":
        ratio = amax / largest
        return _floor(ratio) if _floor(ratio) == ratio else 2 * _floor(ratio)
    if rule == "even":
        place = _floor(amax) / 2**bits
        return _floor(round(amax / place) * place) / _floor(largest)
    low = _floor(amax / largest)
    return low if amax / largest - low < 2 * low - amax / largest else 2 * low


def _floor(x: Fraction) -> Fraction:
    """The largest power of two up to a positive number."""
    power = Fraction(1)
    while power > x:
        power /= 2
    while 2 * power <= x:
        power *= 2
    return power


def _of_e4m3(ratio: Fraction, rule: str) -> Fraction:
    numbers = _e4m3()
    below = max((each for each in numbers if each <= ratio), default=Fraction(0))
    above = min((each for each in numbers if each >= ratio), default=numbers[-1])
    if rule != "nearest":
        return below if rule == "floor" else above
    if ratio - below == above - ratio:
        return below if below in numbers[1::2] else above  # codes begin with 1, so that even ones are at odd places
    return below if ratio - below < above - ratio else above


@lru_cache(maxsize=1)
def _e4m3() -> list[Fraction]:
    """The positive numbers in the order of their codes, 1 to 126 (OCP 8-bit Floating Point, table 2)."""
    subnormal = [Fraction(m, 8) * Two**-6 for m in range(1, 8)]
    normal = [(1 + Fraction(m, 8)) * Two ** (e - 7) for e in range(1, 16) for m in range(8)]
    return [*subnormal, *normal][:-1]


def _nearest(number_format: BlockFormat, x: Fraction) -> Fraction:
    """The nearest number of the element format, ties to the even code."""
    numbers = _numbers(number_format.element, number_format.symmetric)
    x = min(max(x, numbers[0][0]), numbers[-1][0])
    low, high = 0, len(numbers) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if numbers[middle][0] <= x else (low, middle)
    (below, even), (above, _) = numbers[low], numbers[high]
    if x - below == above - x:
        return below if even else above
    return below if x - below < above - x else above


@lru_cache(maxsize=64)
def _numbers(element: Format, symmetric: bool) -> list[tuple[Fraction, bool]]:
    """All finite numbers in order, each with whether its code is even."""
    import torch

    codes = torch.arange(2**element.bits)
    found = {
        Fraction(x): code % 2 == 0 for code, x in enumerate(element.decode_numbers(codes).tolist()) if abs(x) < 2**200
    }
    low = -element.largest if symmetric else element.lowest
    return sorted((number, even) for number, even in found.items() if number >= low)
