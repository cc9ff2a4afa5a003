"""Powers of two: a sign and an exponent, so that a multiplier becomes a shifter."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from fewbits.errors import FormatError
from fewbits.formats.format import (
    NUMBER,
    Arithmetic,
    CodeLayout,
    Format,
    FormatFamily,
    FusedPass,
    MagnitudeCodes,
    check_bits,
    exact_power,
    fits_float32,
    float32_bits,
    floor_log2,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PowerOfTwo(Format):
    """0 and ±2**(k-1), k = 1 .. 2**(bits-1) - 1; the code is the sign, then k, with k = 0 for zero."""

    bits: int
    """Total width, sign included; 2 to 8."""

    family: str = field(default="pow2", init=False)

    def __post_init__(self) -> None:
        check_bits("pow2-", self.bits, 2, 8)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`pow2-6`."""
        return f"pow2-{self.bits}"

    @property
    def arithmetic(self) -> Arithmetic:
        """Integers."""
        return "integer"

    @property
    def code_layout(self) -> CodeLayout:
        """The sign's bit, then k."""
        return "sign and magnitude"

    @property
    def magnitude_codes(self) -> MagnitudeCodes:
        """An exponent's field, k, over no mantissa."""
        return MagnitudeCodes(0, 1, self.exponents, self.exponents, has_negative_zero=False)

    @property
    def unused_codes(self) -> tuple[int, ...]:
        """Negative zero."""
        return (2 ** (self.bits - 1),)

    def holds(self, narrow: Format) -> bool:
        """Fewer powers of two, and what has one of them, and zero or not."""
        return narrow.bits <= self.bits if isinstance(narrow, PowerOfTwo) else narrow.is_scaled_sign

    def unpacks(self, stored: Format) -> bool:
        """A sign and a small number."""
        return isinstance(stored, PowerOfTwo) or stored.is_scaled_sign

    @property
    def exponents(self) -> int:
        """Number of powers: the window that the radix point places."""
        return 2 ** (self.bits - 1) - 1

    @property
    def largest(self) -> Fraction:
        """The window's top."""
        return Fraction(2 ** (self.exponents - 1))

    @property
    def count(self) -> int:
        """Both signs of each power, and zero."""
        return 2 * self.exponents + 1

    @property
    def smallest_positive(self) -> Fraction:
        """1."""
        return Fraction(1)

    def last_place(self, magnitude: Fraction) -> Fraction:
        """The power below."""
        return Fraction(2) ** max(floor_log2(magnitude), 0)

    def reference_quantize(self, x: Tensor, largest: float, lowest: float | None = None) -> Tensor:
        """The nearer of the two powers around x; at the middle, the one of even code k."""
        import torch

        magnitude = x.abs().clamp(max=largest)
        mantissa, exponent = torch.frexp(magnitude.clamp(min=0.25))  # magnitude = mantissa * 2**exponent, 0.5 <= m < 1
        even_above = (exponent + 1) % 2 == 0  # below lies 2**(exponent-1), whose code is `exponent`
        power = exponent - 1 + ((mantissa > 0.75) | ((mantissa == 0.75) & even_above)).to(exponent.dtype)
        rounded = exact_power(power.clamp(min=0)).clamp(max=largest)
        return torch.where(magnitude > 0.5, torch.copysign(rounded, x), 0.0)

    def fused_pass(self, fraction_bits: int) -> FusedPass | None:
        """Round the mantissa into the exponent field; code k is 1 + fraction_bits + exponent, the field 127 + it."""
        unit = Fraction(2) ** -fraction_bits
        top = self.largest * unit
        if not fits_float32(unit, top):
            return None
        return FusedPass("power_of_two", (*(float32_bits(bound) for bound in (unit / 2, unit, top)), fraction_bits & 1))

    def code_numbers(self, numbers: Tensor) -> Tensor:
        """Sign bit and k."""
        import torch

        _, exponent = torch.frexp(numbers.abs())
        code = exponent.to(torch.int64) + (numbers < 0).to(torch.int64) * 2 ** (self.bits - 1)
        return torch.where(numbers == 0, 0, code)

    def decode_numbers(self, codes: Tensor) -> Tensor:
        """The power. Raises FormatError for a negative zero, which is no code."""
        import torch

        (half,) = self.unused_codes
        if bool((codes == half).any()):
            raise FormatError(f"{self.name} does not use code {half}: zero has sign 0")
        k = codes & (half - 1)
        power = exact_power(k - 1)
        return torch.where(k == 0, 0.0, torch.where(codes >= half, -power, power))

    def nearest(self, x: Fraction) -> Fraction:
        """Compare with the middle between neighbours."""
        magnitude = min(abs(x), self.largest)
        if magnitude <= Fraction(1, 2):  # the middle of codes 0 and 1 goes to 0, the even one
            return Fraction(0)
        below = max(floor_log2(magnitude), -1)
        middle = Fraction(3, 2) * Fraction(2) ** below
        code_below = below + 1
        up = magnitude > middle or (magnitude == middle and code_below % 2 == 1)
        result = Fraction(2) ** max(0, below + 1 if up else below)
        return result if x > 0 else -result

    def code_of(self, number: Fraction) -> int:
        """Sign bit and k."""
        if not number:
            return 0
        return floor_log2(abs(number)) + 1 + (2 ** (self.bits - 1) if number < 0 else 0)


POWERS_OF_TWO = FormatFamily(
    "pow2",
    f"pow2-{NUMBER}",
    lambda text: PowerOfTwo(int(text.removeprefix("pow2-"))),
    tuple(f"pow2-{bits}" for bits in range(2, 9)),
    "pow2-2 to pow2-8",
)
