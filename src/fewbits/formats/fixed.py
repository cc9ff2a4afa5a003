"""Fixed point: two's complement with one radix point for each tensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from fewbits.formats.format import (
    NUMBER,
    Arithmetic,
    Format,
    FormatFamily,
    FusedPass,
    check_bits,
    fits_float32,
    round_half_even,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FixedPoint(Format):
    """Integers of `bits` bits in two's complement."""

    bits: int
    """Total width, sign included; 2 to 32."""

    family: str = field(default="fixed", init=False)

    def __post_init__(self) -> None:
        check_bits("fixed", self.bits, 2, 32)

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`fixed8`."""
        return f"fixed{self.bits}"

    @property
    def arithmetic(self) -> Arithmetic:
        """Integers."""
        return "integer"

    @property
    def is_uniform(self) -> bool:
        """Yes."""
        return True

    def holds(self, narrow: Format) -> bool:
        """All integers within the limits."""
        if narrow.arithmetic != "integer":
            return False
        (low, high), (lowest, largest) = self.integer_limits, narrow.integer_limits
        return low <= lowest and largest <= high

    def unpacks(self, stored: Format) -> bool:
        """Integers in two's complement, and signs: a binary code is the sign over constants."""
        return stored.is_uniform or stored.code_layout == "sign"

    def packs(self, stored: Format) -> bool:
        """Into fewer bits of the same kind."""
        return isinstance(stored, FixedPoint)

    def narrows_to(self, narrow: Format) -> bool:
        """To fewer bits of the same kind."""
        return isinstance(narrow, FixedPoint) and narrow.bits < self.bits

    def widened(self, bits: int) -> Format:
        """More bits."""
        return FixedPoint(max(bits, self.bits))

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

    @property
    def smallest_positive(self) -> Fraction:
        """1."""
        return Fraction(1)

    def reference_quantize(self, x: Tensor, largest: float, lowest: float | None = None) -> Tensor:
        """Round half to even, then clamp."""
        return x.round().clamp(float(self.lowest) if lowest is None else lowest, largest) + 0.0  # -0 becomes 0

    def fused_pass(self, fraction_bits: int) -> FusedPass | None:
        """Clamp, then round by adding a large number; float32 has 24 significant bits for the highest value."""
        unit = Fraction(2) ** -fraction_bits
        wide = self.bits > 23
        magic = (2**23 if wide else Fraction(3, 2) * 2**23) * unit
        if not fits_float32(unit, magic, -self.lowest * unit):
            return None
        low, high = self.lowest * unit, self.carried(self.largest, 24, Fraction(1)) * unit
        return FusedPass("fixed_wide" if wide else "fixed", (float(low), float(high), float(magic)), clamps=True)

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

    def code_of(self, number: Fraction) -> int:
        """The low bits of the integer."""
        return int(number) % 2**self.bits


FIXED = FormatFamily(
    "fixed",
    f"fixed{NUMBER}",
    lambda text: FixedPoint(int(text.removeprefix("fixed"))),
    tuple(f"fixed{bits}" for bits in range(2, 33)),
    "fixed2 to fixed32",
)
