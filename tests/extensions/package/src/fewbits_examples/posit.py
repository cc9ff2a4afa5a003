"""Posits of 8 bits as a number format: `posit8-es0`, and `posit8-es2`, which is that of the Posit Standard (2022).

A posit has a sign, a run of equal bits (the regime r), up to es bits of exponent e, and what is left as fraction f; it
is worth (1 + f) * 2**(2**es * r + e). fewbits' integer arithmetic asks for numbers that are integers at radix point 0:
all posits of 8 bits are multiples of the smallest, 2**(-6 * 2**es). So the standard's values are those at
fraction_bits 6 (es 0) or 24 (es 2), exact products sum as integers, and calibration may choose another radix point.

`pyproject.toml` names FAMILY in the group of entry points `fewbits.formats`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Literal, TypeVar

import torch
from torch import Tensor

from fewbits.errors import FormatError
from fewbits.formats import Format, FormatFamily

_T = TypeVar("_T", int, Tensor)

BITS = 8
NOT_A_REAL = 2 ** (BITS - 1)
"""The code of NaR, which stands for no number."""


@dataclass(frozen=True)
class Posit(Format):
    """Posits of 8 bits; numbers are integers, the standard's values times 2**standard_fraction_bits."""

    es: int
    """Bits of exponent."""

    family: str = field(default="posit", init=False)
    bits: int = field(default=BITS, init=False)

    @property
    def name(self) -> str:  # type: ignore[override]
        """`posit8-es0`."""
        return f"posit{BITS}-es{self.es}"

    @property
    def standard_fraction_bits(self) -> int:
        """The radix point at which values are the standard's."""
        return (BITS - 2) * 2**self.es

    @property
    def arithmetic(self) -> Literal["integer"]:
        """Integers: `lower` takes the format, and sums are exact."""
        return "integer"

    @property
    def unused_codes(self) -> tuple[int, ...]:
        """NaR."""
        return (NOT_A_REAL,)

    @property
    def largest(self) -> Fraction:
        """2**(2 * standard_fraction_bits)."""
        return Fraction(_numbers(self.es)[-1])

    @property
    def smallest_positive(self) -> Fraction:
        """1, by the choice of the radix point."""
        return Fraction(1)

    @property
    def count(self) -> int:
        """All codes but NaR."""
        return 2**BITS - 1

    def nearest(self, x: Fraction) -> Fraction:
        """As the standard rounds (section 4.1): the border of two neighbours is the posit of one bit more between them.

        On the border the even code is taken; what lies beyond the largest becomes it, and nothing but zero becomes 0.
        """
        if x == 0:
            return x
        borders = _borders(self.es)
        place = bisect_left(borders, x)
        is_border = place < len(borders) and borders[place] == x
        return Fraction(_numbers(self.es)[place + 1 if is_border and _code(place) % 2 else place])

    def reference_quantize(self, x: Tensor, largest: float, lowest: float | None = None) -> Tensor:
        """The same for a tensor."""
        borders = torch.tensor([float(border) for border in _borders(self.es)], dtype=x.dtype, device=x.device)
        numbers = torch.tensor(_numbers(self.es), dtype=x.dtype, device=x.device)
        place = torch.bucketize(x.contiguous(), borders)  # of the highest border below x
        on_border = borders[place.clamp(max=len(borders) - 1)] == x
        place += (on_border & (_code(place) % 2 == 1)).to(place.dtype)
        rounded = numbers[place].clamp(-largest if lowest is None else lowest, largest)
        return torch.where(x == 0, 0.0, rounded)

    def carried(self, bound: Fraction, significant_bits: int, quantum: Fraction) -> Fraction:
        """The highest posit up to a bound that has so many significant bits and is a multiple of quantum."""
        fitting = (
            number
            for number in _numbers(self.es)
            if 0 < number <= bound and number % quantum == 0 and _significant_bits(number) <= significant_bits
        )
        return Fraction(max(fitting, default=0))

    def code_numbers(self, numbers: Tensor) -> Tensor:
        """Codes are in the order of the numbers, as signed integers."""
        table = torch.tensor(_numbers(self.es), dtype=numbers.dtype, device=numbers.device)
        return _code(torch.bucketize(numbers.contiguous(), table))

    def decode_numbers(self, codes: Tensor) -> Tensor:
        """The numbers. Raises FormatError for NaR."""
        if bool((codes == NOT_A_REAL).any()):
            raise FormatError(f"{self.name}: code {NOT_A_REAL} is NaR, which is no number")
        table = torch.tensor(_numbers(self.es), dtype=torch.float64, device=codes.device)
        return table[(codes + len(table) // 2) % 2**BITS]

    def code_of(self, number: Fraction) -> int:
        """The code of one number."""
        return _code(bisect_left(_numbers(self.es), number))


def _code(place: _T) -> _T:
    """The code of a place in the ordered numbers."""
    return (place - (2 ** (BITS - 1) - 1)) % 2**BITS


def _magnitude(code: int, bits: int, es: int) -> Fraction:
    """The standard's value of a positive code of so many bits."""
    text = f"{code:0{bits - 1}b}"
    run = len(text) - len(text.lstrip(text[0]))
    regime = run - 1 if text[0] == "1" else -run
    rest = text[run + 1 :]
    exponent = int(rest[:es].ljust(es, "0") or "0", 2)
    fraction = Fraction(int(rest[es:] or "0", 2), 2 ** len(rest[es:]))
    return (1 + fraction) * Fraction(2) ** (2**es * regime + exponent)


@lru_cache
def _numbers(es: int) -> tuple[int, ...]:
    """All numbers, ascending: those of the codes -127 to 127."""
    unit = Fraction(2) ** ((BITS - 2) * 2**es)
    positive = [int(_magnitude(code, BITS, es) * unit) for code in range(1, NOT_A_REAL)]
    return (*(-number for number in reversed(positive)), 0, *positive)


@lru_cache
def _borders(es: int) -> tuple[Fraction, ...]:
    """Where rounding passes from each number to the next: at zero on both sides of it, since none becomes zero."""
    unit = Fraction(2) ** ((BITS - 2) * 2**es)
    between = [_magnitude(2 * code + 1, BITS + 1, es) * unit for code in range(1, NOT_A_REAL - 1)]
    return (*(-border for border in reversed(between)), Fraction(0), Fraction(0), *between)


def _significant_bits(number: int) -> int:
    return (number // (number & -number)).bit_length()


FAMILY = FormatFamily(
    name="posit",
    pattern="posit8-es[02]",
    parse=lambda text: Posit(int(text[-1])),
    names=("posit8-es0", "posit8-es2"),
    allowed="posit8-es0, posit8-es2",
)
