"""Ternary and binary: values -1, 0, 1 and -1, 1."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from fewbits.errors import FormatError
from fewbits.formats.fixed import FixedPoint
from fewbits.formats.format import (
    Arithmetic,
    CodeLayout,
    Format,
    FormatFamily,
    FusedPass,
    fits_float32,
    round_half_even,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Ternary(Format):
    """-1, 0 and 1, in two's complement of 2 bits (code 2 is not used).

    Zhu et al., "Trained ternary quantization" (ICLR 2017), with a power of two for both scales.
    """

    name: str = field(default="ternary", init=False)
    bits: int = field(default=2, init=False)
    family: str = field(default="ternary", init=False)

    @property
    def arithmetic(self) -> Arithmetic:
        """Integers."""
        return "integer"

    @property
    def is_scaled_sign(self) -> bool:
        """Yes."""
        return True

    @property
    def is_uniform(self) -> bool:
        """Yes."""
        return True

    @property
    def unused_codes(self) -> tuple[int, ...]:
        """-2 in two's complement."""
        return (2,)

    def holds(self, narrow: Format) -> bool:
        """Itself and signs alone."""
        return narrow.is_scaled_sign

    def unpacks(self, stored: Format) -> bool:
        """Signs."""
        return stored.is_scaled_sign

    def widened(self, bits: int) -> Format:
        """Fixed point."""
        return self if bits <= self.bits else FixedPoint(bits)

    @property
    def largest(self) -> Fraction:
        """One."""
        return Fraction(1)

    @property
    def count(self) -> int:
        """Three."""
        return 3

    @property
    def smallest_positive(self) -> Fraction:
        """1."""
        return Fraction(1)

    def reference_quantize(self, x: Tensor, largest: float, lowest: float | None = None) -> Tensor:
        """Round half to even, then clamp."""
        return x.round().clamp(-largest, largest) + 0.0  # -0 becomes 0

    def fused_pass(self, fraction_bits: int) -> FusedPass | None:
        """As fixed point, from -1 to 1."""
        unit = Fraction(2) ** -fraction_bits
        magic = Fraction(3, 2) * 2**23 * unit
        if not fits_float32(unit, magic):
            return None
        return FusedPass("fixed", (-float(unit), float(unit), float(magic)), clamps=True)

    def code_numbers(self, numbers: Tensor) -> Tensor:
        """Two's complement of 2 bits."""
        import torch

        return numbers.to(torch.int64) & 3

    def decode_numbers(self, codes: Tensor) -> Tensor:
        """0, 1 and (code 3) -1. Raises FormatError for code 2."""
        import torch

        if bool((codes == 2).any()):
            raise FormatError("ternary does not use code 2: its codes are 0, 1 and 3 (-1)")
        return ((codes ^ 2) - 2).to(torch.float64)

    def nearest(self, x: Fraction) -> Fraction:
        """Round half to even, then clamp."""
        return Fraction(max(-1, min(1, round_half_even(x))))

    def code_of(self, number: Fraction) -> int:
        """Two's complement of 2 bits."""
        return int(number) % 4


@dataclass(frozen=True)
class Binary(Format):
    """1 (code 0, which zero and the middle go to) and -1 (code 1).

    Its limits for the straight-through estimator are -1 and 1: Courbariaux et al., "BinaryConnect" (NIPS 2015) and
    Hubara et al., "Binarized neural networks" (NIPS 2016, equation 4).
    """

    name: str = field(default="binary", init=False)
    bits: int = field(default=1, init=False)
    family: str = field(default="binary", init=False)

    @property
    def arithmetic(self) -> Arithmetic:
        """Integers."""
        return "integer"

    @property
    def is_scaled_sign(self) -> bool:
        """Yes."""
        return True

    @property
    def code_layout(self) -> CodeLayout:
        """The sign."""
        return "sign"

    def widened(self, bits: int) -> Format:
        """Fixed point."""
        return self if bits <= self.bits else FixedPoint(bits)

    @property
    def largest(self) -> Fraction:
        """One."""
        return Fraction(1)

    @property
    def count(self) -> int:
        """Two."""
        return 2

    @property
    def smallest_positive(self) -> Fraction:
        """1."""
        return Fraction(1)

    def reference_quantize(self, x: Tensor, largest: float, lowest: float | None = None) -> Tensor:
        """The sign, with zero at 1."""
        import torch

        unit = torch.full_like(x, largest)
        return torch.where(x >= 0, unit, -unit)

    def fused_pass(self, fraction_bits: int) -> FusedPass | None:
        """The sign, scaled."""
        unit = Fraction(2) ** -fraction_bits
        return FusedPass("binary", (float(unit),)) if fits_float32(unit) else None

    def code_numbers(self, numbers: Tensor) -> Tensor:
        """Set for -1."""
        import torch

        return (numbers < 0).to(torch.int64)

    def decode_numbers(self, codes: Tensor) -> Tensor:
        """1 or -1."""
        import torch

        return (1 - 2 * codes).to(torch.float64)

    def nearest(self, x: Fraction) -> Fraction:
        """The sign, with zero at 1."""
        return Fraction(1 if x >= 0 else -1)

    def code_of(self, number: Fraction) -> int:
        """1 for -1."""
        return int(number < 0)


TERNARY = FormatFamily("ternary", "ternary", lambda _: Ternary(), ("ternary",), "ternary")
BINARY = FormatFamily("binary", "binary", lambda _: Binary(), ("binary",), "binary")
