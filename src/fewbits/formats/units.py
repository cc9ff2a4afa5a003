"""Ternary and binary: values -1, 0, 1 and -1, 1."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from fewbits.formats.format import Family, Format, round_half_even

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Ternary(Format):
    """-1, 0 and 1, in two's complement of 2 bits (code 2 is not used)."""

    name: str = "ternary"
    bits: int = 2
    family: Family = "ternary"

    @property
    def largest(self) -> Fraction:
        """One."""
        return Fraction(1)

    @property
    def count(self) -> int:
        """Three."""
        return 3

    def reference_quantize(self, x: Tensor, largest: float) -> Tensor:
        """Round half to even, then clamp."""
        return x.round().clamp(-1.0, largest) + 0.0

    def code_numbers(self, numbers: Tensor) -> Tensor:
        """Two's complement of 2 bits."""
        import torch

        return numbers.to(torch.int64) & 3

    def decode_numbers(self, codes: Tensor) -> Tensor:
        """0, 1 and (code 3) -1. Raises FormatError for code 2."""
        import torch

        from fewbits.errors import FormatError

        if bool((codes == 2).any()):
            raise FormatError("ternary does not use code 2: its codes are 0, 1 and 3 (-1)")
        return ((codes ^ 2) - 2).to(torch.float64)

    def nearest(self, x: Fraction) -> Fraction:
        """Round half to even, then clamp."""
        return Fraction(max(-1, min(1, round_half_even(x))))


@dataclass(frozen=True)
class Binary(Format):
    """1 (code 0, which zero and the middle go to) and -1 (code 1).

    Its limits for the straight-through estimator are -1 and 1: Courbariaux et al., "BinaryConnect" (NIPS 2015) and
    Hubara et al., "Binarized neural networks" (NIPS 2016, equation 4).
    """

    name: str = "binary"
    bits: int = 1
    family: Family = "binary"

    @property
    def largest(self) -> Fraction:
        """One."""
        return Fraction(1)

    @property
    def count(self) -> int:
        """Two."""
        return 2

    def reference_quantize(self, x: Tensor, largest: float) -> Tensor:
        """The sign, with zero at 1."""
        import torch

        return torch.where(x >= 0, largest, -largest)

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
