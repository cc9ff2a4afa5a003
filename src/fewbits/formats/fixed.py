"""Fixed point: two's complement with one radix point for each tensor."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from fewbits.errors import FormatError
from fewbits.formats.format import Family, Format, round_half_even

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FixedPoint(Format):
    """Integers of `bits` bits in two's complement."""

    bits: int
    """Total width, sign included; 2 to 32."""

    family: Family = "fixed"

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 32:
            raise FormatError(f"fixed point has 2 to 32 bits, not {self.bits}")

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`fixed8`."""
        return f"fixed{self.bits}"

    @property
    def largest(self) -> Fraction:
        """2**(bits - 1) - 1."""
        return Fraction(2 ** (self.bits - 1) - 1)

    @property
    def lowest(self) -> Fraction:
        """-2**(bits - 1)."""
        return Fraction(-(2 ** (self.bits - 1)))

    @property
    def count(self) -> int:
        """Every code is a value."""
        return 2**self.bits

    def reference_quantize(self, x: Tensor, largest: float) -> Tensor:
        """Round half to even, then clamp."""
        return x.round().clamp(float(self.lowest), largest) + 0.0  # -0 becomes 0

    def code_numbers(self, numbers: Tensor) -> Tensor:
        """The low bits of the integer."""
        import torch

        return numbers.to(torch.int64) & (2**self.bits - 1)

    def decode_numbers(self, codes: Tensor) -> Tensor:
        """The integer, its sign extended."""
        import torch

        half = 2 ** (self.bits - 1)
        return ((codes ^ half) - half).to(torch.float64)

    def nearest(self, x: Fraction) -> Fraction:
        """Round half to even, then clamp."""
        return min(max(Fraction(round_half_even(x)), self.lowest), self.largest)
