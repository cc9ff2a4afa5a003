"""The base of every number format: what it must be able to do, and what its formats share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from fewbits.errors import FormatError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Family = Literal["float", "fixed", "pow2", "ternary", "binary"]


@dataclass(frozen=True)
class Description:
    """What a person wants to know of a format, at fraction_bits 0."""

    name: str
    family: Family
    bits: int
    values: int
    """Distinct finite values (a zero of either sign counts once)."""

    lowest: float
    highest: float
    smallest_positive: float
    has_zero: bool
    example: tuple[tuple[float, float, int], ...]
    """A few numbers, each with the value that it becomes and that value's code."""


class Format(ABC):
    """A set of values and their codes.

    A value is a number of the format times 2**-fraction_bits, the radix point that a tensor has as a whole. Rounding is
    to the nearest value, ties to the even code; values out of range and infinity saturate; NaN raises FormatError.
    Formats are immutable and compare by value.
    """

    name: str
    """Name in text, `fixed8`."""

    bits: int
    """Width of a code."""

    family: Family

    exponent_bits: int
    """Width of the exponent field; the family `float` alone has one."""

    @property
    @abstractmethod
    def largest(self) -> Fraction:
        """Highest finite value at fraction_bits 0."""

    @property
    def lowest(self) -> Fraction:
        """Lowest finite value at fraction_bits 0."""
        return -self.largest

    @property
    def integer_limits(self) -> tuple[int, int]:
        """Lowest and highest integer that a code stands for. Raises FormatError for floats, which are no integers."""
        return int(self.lowest), int(self.largest)

    def limits(self, fraction_bits: int = 0) -> tuple[float, float]:
        """The closed interval within which the straight-through estimator passes gradients: the format's range."""
        scale = Fraction(2) ** -check_fraction_bits(fraction_bits)
        return float(self.lowest * scale), float(self.largest * scale)

    def quantize(self, x: Tensor, fraction_bits: int = 0, *, out: Tensor | None = None) -> Tensor:
        """Nearest value of the format, in the dtype of `x`.

        x: any shape, floating point, CPU or CUDA. out: takes the result if given (same shape, dtype and device; may be
        `x` itself). A value beyond what the dtype carries (fixed32's largest in float32) becomes the largest value of
        the format that it does carry. Raises FormatError for NaN, an integer tensor, or a fraction_bits that is
        not an int.
        """
        from fewbits.formats.kernels import quantize_tensor

        return quantize_tensor(self, x, check_fraction_bits(fraction_bits), out)

    def encode(self, x: Tensor, fraction_bits: int = 0) -> Tensor:
        """Codes (int64, from 0 to 2**bits - 1, same shape) of the nearest values."""
        import torch

        quantized = self.quantize(x, fraction_bits).to(torch.float64)
        return self.code_numbers(torch.ldexp(quantized, torch.tensor(fraction_bits, device=x.device)))

    def decode(self, codes: Tensor, fraction_bits: int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """Values (float64 unless `dtype` is given, same shape) of codes.

        Raises FormatError for a code out of 0 to 2**bits - 1, or one that the format doesn't use.
        """
        import torch

        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < 2**self.bits:
            found = f"{int(codes.min())} to {int(codes.max())}"
            raise FormatError(f"a code of {self.name} lies from 0 to {2**self.bits - 1}: got {found}")
        numbers = self.decode_numbers(codes.to(torch.int64))
        scaled = torch.ldexp(numbers, torch.tensor(-check_fraction_bits(fraction_bits), device=codes.device))
        return scaled if dtype is None else scaled.to(dtype)

    def to_integers(self, codes: Tensor) -> Tensor:
        """The integers (int64, same shape) that codes stand for: value times 2**fraction_bits.

        Raises FormatError for floats, and where an integer does not fit 64 bits (pow2-8).
        """
        import torch

        if max(map(abs, self.integer_limits)) >= 2**63:
            raise FormatError(f"integers of {self.name} reach {self.largest}: too wide for int64; use decode")
        return self.decode(codes).to(torch.int64)

    @abstractmethod
    def reference_quantize(self, x: Tensor, largest: float) -> Tensor:
        """Nearest number of the format, by plain torch operations, at fraction_bits 0.

        x: float64 without NaN. largest: where to saturate: `largest` of the format, or less for a narrow dtype.
        """

    @abstractmethod
    def code_numbers(self, numbers: Tensor) -> Tensor:
        """Codes (int64) of numbers (float64) of the format at fraction_bits 0."""

    @abstractmethod
    def decode_numbers(self, codes: Tensor) -> Tensor:
        """Numbers (float64) at fraction_bits 0 of valid codes (int64)."""

    @abstractmethod
    def nearest(self, x: Fraction) -> Fraction:
        """Nearest number at fraction_bits 0, on exact fractions: the reference that can be checked by eye."""

    def quantize_scalar(self, x: Fraction | float, fraction_bits: int = 0) -> Fraction:
        """Nearest value of one number, exactly. Raises FormatError for NaN; infinity saturates."""
        if isinstance(x, float) and x != x:
            raise FormatError(f"{self.name} has no value for NaN")
        scale = Fraction(2) ** check_fraction_bits(fraction_bits)
        if isinstance(x, float) and x in (float("inf"), float("-inf")):
            return (self.largest if x > 0 else self.lowest) / scale
        return self.nearest(Fraction(x) * scale) / scale

    def largest_carried(self, significant_bits: int, bound: Fraction) -> Fraction:
        """Highest number of the format that has at most so many significant bits and does not exceed `bound`."""
        return truncate(min(self.largest, bound), significant_bits)

    def describe(self) -> Description:
        """Range, count and examples, computed from the format's own codes where they are few."""
        import torch

        numbers = (0.0, 1.0, -0.3, 2.6, 1e4)
        example = torch.tensor(numbers, dtype=torch.float64)
        values, codes = self.quantize(example), self.encode(example)
        return Description(
            name=self.name,
            family=self.family,
            bits=self.bits,
            values=self.count,
            lowest=float(self.lowest),
            highest=float(self.largest),
            smallest_positive=float(self.smallest_positive),
            has_zero=self.nearest(Fraction(0)) == 0,
            example=tuple((x, float(values[i]), int(codes[i])) for i, x in enumerate(numbers)),
        )

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of distinct finite values."""

    @property
    def smallest_positive(self) -> Fraction:
        """Smallest value above zero at fraction_bits 0."""
        return Fraction(1)

    def __str__(self) -> str:
        return self.name


def check_fraction_bits(fraction_bits: object) -> int:
    """The same int, or FormatError if it is not one of a sane size."""
    if isinstance(fraction_bits, bool) or not isinstance(fraction_bits, int):
        raise FormatError(f"fraction_bits must be an integer, not {fraction_bits!r}")
    if abs(fraction_bits) > 512:
        raise FormatError(f"fraction_bits must lie from -512 to 512, not {fraction_bits}")
    return fraction_bits


def round_half_even(x: Fraction) -> int:
    """Nearest integer, ties to even."""
    return round(x)


def truncate(x: Fraction, significant_bits: int) -> Fraction:
    """A positive number cut down to so many significant bits."""
    quantum = Fraction(2) ** (floor_log2(x) - significant_bits + 1)
    return (x // quantum) * quantum


def floor_log2(x: Fraction) -> int:
    """The largest k with 2**k <= x, for a positive x."""
    k = x.numerator.bit_length() - x.denominator.bit_length()
    return k if Fraction(2) ** k <= x else k - 1
