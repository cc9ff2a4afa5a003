"""Formats of a block's scale: powers of two of some bits, of which OCP's E8M0 is the widest, and E4M3."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from fewbits.errors import FormatError
from fewbits.formats.block_rules import ScaleRule
from fewbits.formats.floating import FP8_E4M3
from fewbits.formats.format import exact_power

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class ScaleFormat(ABC):
    """The positive numbers that a block's scale can be, and their codes."""

    name: str
    bits: int

    default_rule: str
    """Name of the rule where a format names none."""

    needs_factor: bool
    """Whether its range is so short that the tensor has a factor of its own."""

    @property
    @abstractmethod
    def largest(self) -> Fraction:
        """The highest number."""

    @property
    @abstractmethod
    def smallest(self) -> Fraction:
        """The least number above zero."""

    @abstractmethod
    def rule_refusal(self, rule: ScaleRule) -> str | None:
        """Why scales are not chosen by a rule; None if they are."""

    @abstractmethod
    def rule_meaning(self, rule: ScaleRule) -> str:
        """What a rule does here, in words."""

    @abstractmethod
    def element_point(self, fixed_bits: int) -> int:
        """Places behind the radix point of fixed-point elements of so many bits."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Numbers (float64, same shape) of codes (int64); NaN for a code that is not a number."""

    @abstractmethod
    def choose(self, amax: Tensor, unit: float, largest: Fraction, bits: int, rule: ScaleRule) -> Tensor:
        """Codes (int64) of blocks' scales from their largest magnitudes (float64).

        unit: the tensor's factor. largest, bits: of the elements, see `ScaleRule.threshold`. A block of zeros has the
        smallest scale.
        """

    @abstractmethod
    def factor(self, amax: Tensor, largest: Fraction, bits: int, rule: ScaleRule) -> tuple[int, float]:
        """The tensor's factor from its blocks' largest magnitudes: fraction_bits and a float32."""

    def of_bytes(self, codes: bytes, device: torch.device) -> Tensor:
        """Numbers (float64) of codes. Raises FormatError for a code of more bits than the format has."""
        import torch

        found = torch.tensor(list(codes), dtype=torch.int64, device=device)
        if self.bits < 8 and len(codes) and max(codes) >= 2**self.bits:
            raise FormatError(f"a code of {self.name} lies from 0 to {2**self.bits - 1}: got {max(codes)}")
        return self.decode(found)


@dataclass(frozen=True)
class PowersScale(ScaleFormat):
    """2**(code - bias).

    `e8m0` is OCP's, with bias 127 and NaN in code 255. Narrower ones have bias 0 and no NaN; the tensor has a power of
    two of its own.
    """

    bits: int

    default_rule = "floor"

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`e8m0`."""
        return f"e{self.bits}m0"

    @property
    def needs_factor(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Narrower ones than OCP's."""
        return self.bits < 8

    @property
    def bias(self) -> int:
        """Taken from a code."""
        return 127 if self.bits == 8 else 0

    @property
    def top(self) -> int:
        """The highest code of a number."""
        return 254 if self.bits == 8 else 2**self.bits - 1

    @property
    def largest(self) -> Fraction:
        """That of the highest code."""
        return Fraction(2) ** (self.top - self.bias)

    @property
    def smallest(self) -> Fraction:
        """That of code 0."""
        return Fraction(2) ** -self.bias

    def rule_refusal(self, rule: ScaleRule) -> str | None:
        """None: all are rules for powers of two."""
        return None

    def rule_meaning(self, rule: ScaleRule) -> str:
        """Which power."""
        return rule.meaning

    def element_point(self, fixed_bits: int) -> int:
        """As OCP's INT8: below 2 in magnitude."""
        return fixed_bits - 2

    def decode(self, codes: Tensor) -> Tensor:
        """Powers of two."""
        import torch

        powers = exact_power(codes - self.bias)
        return torch.where(codes > self.top, torch.nan, powers)

    def choose(self, amax: Tensor, unit: float, largest: Fraction, bits: int, rule: ScaleRule) -> Tensor:
        """The rule's power, kept within the codes."""
        import torch

        exponents = _powers(amax / unit, largest, bits, rule) + self.bias
        return torch.where(amax == 0, 0, exponents.clamp(0, self.top))

    def factor(self, amax: Tensor, largest: Fraction, bits: int, rule: ScaleRule) -> tuple[int, float]:
        """The power at which the largest block has the highest code; none for `e8m0`."""
        if not self.needs_factor or not bool(amax.any()):
            return 0, 1.0
        return self.top - int(_powers(amax.amax(), largest, bits, rule)), 1.0


@dataclass(frozen=True)
class E4M3Scale(ScaleFormat):
    """The positive numbers of OCP's E4M3, 2**-9 to 448, under a float32 of the tensor: NVFP4's."""

    name: str = "e4m3"
    bits: int = 8

    default_rule = "nearest"
    needs_factor = True

    @property
    def largest(self) -> Fraction:
        """448."""
        return FP8_E4M3.largest

    @property
    def smallest(self) -> Fraction:
        """2**-9."""
        return FP8_E4M3.smallest_positive

    def rule_refusal(self, rule: ScaleRule) -> str | None:
        """Refuses what is for powers of two alone."""
        return None if rule.direction else f"{rule.name} is for scales that are powers of two, and e4m3 has a mantissa"

    def rule_meaning(self, rule: ScaleRule) -> str:
        """Which way it rounds."""
        return rule.rounding

    def element_point(self, fixed_bits: int) -> int:
        """None: integers."""
        return 0

    def decode(self, codes: Tensor) -> Tensor:
        """Those of E4M3."""
        return FP8_E4M3.decode_numbers(codes)

    def choose(self, amax: Tensor, unit: float, largest: Fraction, bits: int, rule: ScaleRule) -> Tensor:
        """The ratio amax / largest rounded in the rule's direction, kept within the positive numbers."""
        import torch

        wanted = amax / (unit * float(largest))
        codes = FP8_E4M3.code_numbers(FP8_E4M3.reference_quantize(wanted, float(self.largest)))
        if rule.direction != "nearest":
            found = self.decode(codes)
            step = 1 if rule.direction == "up" else -1
            codes = torch.where((wanted - found) * step > 0, codes + step, codes)
        return codes.clamp(1, 0x7E)  # of 2**-9 and of 448

    def factor(self, amax: Tensor, largest: Fraction, bits: int, rule: ScaleRule) -> tuple[int, float]:
        """The float32 nearest to amax / (448 * largest), at least the smallest normal one; 1 for a tensor of zeros."""
        import torch

        if not bool(amax.any()):
            return 0, 1.0
        wanted = amax.amax() / float(self.largest * largest)
        return 0, max(wanted.to(torch.float32).item(), 2.0**-126)


def _powers(amax: Tensor, largest: Fraction, bits: int, rule: ScaleRule) -> Tensor:
    """Exponents of the rule's powers, of amax above 0."""
    import torch

    mantissa, exponent = torch.frexp(amax)
    edge, place = math.frexp(float(rule.threshold(largest, bits)))
    below = mantissa < edge if rule.takes_threshold else mantissa <= edge
    return exponent.to(torch.int64) - place - below.to(torch.int64)


@lru_cache(maxsize=64)
def scale_format(name: str) -> ScaleFormat:
    """The scale format of that name. Raises FormatError for an unknown one."""
    if name == "e4m3":
        return E4M3Scale()
    if re.fullmatch("e[2-8]m0", name):
        return PowersScale(int(name[1]))
    raise FormatError(
        f"unknown format of scales {name!r}: give e8m0, e4m3, or e2m0 to e7m0, powers of two of so many bits"
    )
