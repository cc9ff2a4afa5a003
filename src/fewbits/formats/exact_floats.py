"""Floats whose products are summed exactly: their numbers as integers with gaps.

Every number of a small float is a multiple of its smallest one. Counted in that, numbers are integers (fp8-e4m3: up to
448 * 2**9 = 229,376, 19 bits with the sign), their products are, and a sum of products has one exact result, whatever
its order: what a Kulisch accumulator holds (U. Kulisch, "Computer Arithmetic and Validity", 2nd ed., 2013, chapter 8).
Codes are those of the float; what differs is what sums are held in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from fewbits.errors import FormatError
from fewbits.formats.floating import FloatFormat, parse_float
from fewbits.formats.format import NUMBER, Arithmetic, CodeLayout, Format, FormatFamily, FusedPass, exact_power

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ":exact"
"""Behind a float's name."""

WIDEST = 48
"""Bits of an integer at most, sign included: a float64 holds it, and float16 (42 bits) is within."""


@dataclass(frozen=True)
class ExactFloat(Format):
    """A float's numbers as multiples of its smallest one; codes, rounding and saturation are the float's."""

    of: FloatFormat
    family: str = field(default="exact-float", init=False)

    def __post_init__(self) -> None:
        if self.of.overflow != "saturate":
            raise FormatError(f"{self.of.name} overflows to infinity, which is no integer: sum it in float32")
        bits = 1 + int(self.of.largest / self.of.smallest_positive).bit_length()
        if bits > WIDEST:
            raise FormatError(
                f"numbers of {self.of.name} are integers of {bits} bits, counted in the smallest: exact sums take at "
                f"most {WIDEST}; sum {self.of.name} in float32, or take fewer exponent bits"
            )

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`fp8-e4m3:exact`."""
        return f"{self.of.name}{SUFFIX}"

    @property
    def bits(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the float's code."""
        return self.of.bits

    @property
    def places(self) -> int:
        """Binary places that the float's smallest number lies behind the point: an integer is value * 2**places."""
        return self.of.mantissa_bits - self.of.smallest_exponent

    @property
    def arithmetic(self) -> Arithmetic:
        """Integers."""
        return "integer"

    @property
    def code_layout(self) -> CodeLayout:
        """The float's."""
        return self.of.code_layout

    @property
    def unused_codes(self) -> tuple[int, ...]:
        """Negative zero, infinity and NaN."""
        half = 2 ** (self.bits - 1)
        special = range(half - self._specials, half)
        return (*special, half, *(half + code for code in special))

    @property
    def _specials(self) -> int:
        """Codes above the largest number, of either sign."""
        return (2**self.bits - 1 - self.of.count) // 2

    def holds(self, narrow: Format) -> bool:
        """What the float holds, summed exactly, too."""
        return isinstance(narrow, ExactFloat) and self.of.holds(narrow.of)

    def unpacks(self, stored: Format) -> bool:
        """As the float."""
        return isinstance(stored, ExactFloat) and self.of.unpacks(stored.of)

    @property
    def largest(self) -> Fraction:
        """Highest integer."""
        return self.of.largest * 2**self.places

    @property
    def smallest_positive(self) -> Fraction:
        """1."""
        return Fraction(1)

    @property
    def count(self) -> int:
        """Numbers of the float."""
        return self.of.count

    def last_place(self, magnitude: Fraction) -> Fraction:
        """The float's, counted in its smallest number."""
        return self.of.last_place(magnitude / 2**self.places) * 2**self.places

    def reference_quantize(self, x: Tensor, largest: float, lowest: float | None = None) -> Tensor:
        """The float's rounding."""
        unit = 2.0**-self.places
        below = None if lowest is None else lowest * unit
        return self.of.reference_quantize(x * unit, largest * unit, below) * 2.0**self.places

    def fused_pass(self, fraction_bits: int) -> FusedPass | None:
        """The float's, at its own radix point."""
        return self.of.fused_pass(fraction_bits - self.places)

    def code_numbers(self, numbers: Tensor) -> Tensor:
        """The float's codes, zero without a sign."""
        import torch

        return self.of.code_numbers(torch.where(numbers == 0, 0.0, numbers) * 2.0**-self.places)

    def decode_numbers(self, codes: Tensor) -> Tensor:
        """Integers. Raises FormatError for negative zero, infinity and NaN, which are no integers."""
        import torch

        unused = torch.isin(codes, torch.tensor(self.unused_codes, device=codes.device))
        if bool(unused.any()):
            raise FormatError(
                f"{self.name} does not use code {int(codes[unused][0])}: exact sums are of finite numbers, zero "
                "without a sign"
            )
        return self.of.decode_numbers(codes) * exact_power(torch.tensor(self.places))

    def nearest(self, x: Fraction) -> Fraction:
        """The float's."""
        return self.of.nearest(x / 2**self.places) * 2**self.places

    def code_of(self, number: Fraction) -> int:
        """The float's."""
        return self.of.code_of(number / 2**self.places)


EXACT_FLOATS = FormatFamily(
    "exact-float",
    f"(fp8-e4m3|fp8-e5m2|float16|bfloat16|float32|float-e{NUMBER}m{NUMBER}){SUFFIX}",
    lambda text: ExactFloat(parse_float(text.removesuffix(SUFFIX))),
    ("fp8-e4m3:exact", "fp8-e5m2:exact"),
    "fp8-e4m3:exact, fp8-e5m2:exact, float16:exact, float-eXmY:exact",
    "float16:exact and float-eXmY:exact, integers of at most 48 bits: products are summed exactly, not in float32",
)
