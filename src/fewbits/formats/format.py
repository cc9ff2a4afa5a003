"""The base of every number format: what it must be able to do, and what its formats share."""

from __future__ import annotations

import math
import re
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from fewbits.errors import FormatError
from fewbits.formats.scale import LAST, Scale, SummedDimension, check_fraction_bits

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fewbits.formats.encoded import Encoded

Arithmetic = Literal["integer", "float32"]
"""What products of a format's numbers are summed in: exactly, as integers, or in float32."""

CodeLayout = Literal["two's complement", "unsigned", "sign and magnitude", "sign"]
"""How codes are ordered: as signed integers; without a sign; by sign, then magnitude; or 0 before 1, as in `binary`."""


@dataclass(frozen=True)
class Description:
    """What a person wants to know of a format, at fraction_bits 0."""

    name: str
    family: str
    bits: int
    values: int
    """Distinct finite values (a zero of either sign counts once)."""

    lowest: float
    highest: float
    smallest_positive: float
    has_zero: bool
    example: tuple[tuple[float, float, int], ...]
    """A few numbers, each with the value that it becomes and that value's code."""

    made_of: str = ""
    """Of a block format: its elements, size, scales and rule; numbers are then those of a block of one."""


class MagnitudeCodes(NamedTuple):
    """How codes by sign and magnitude count: below the sign lie an exponent's field and a mantissa.

    A field f above 0 stands for 1.mantissa x 2**(f - bias), field 0 for 0.mantissa x 2**(1 - bias).
    """

    mantissa_bits: int
    bias: int
    largest: int
    """Code of the largest number, without a sign."""

    beyond: int
    """Code of what a number beyond it becomes."""

    has_negative_zero: bool


class FusedPass(NamedTuple):
    """Which pass of `fused.py` quantizes float32, and with which constants."""

    kernel: str
    constants: tuple[float, ...]
    clamps: bool = False
    """Whether the first constant is the lowest value that is let through, which is then 0 behind a ReLU."""


class Format(ABC):
    """A set of values and their codes.

    A value is a number of the format times a scale, mostly 2**-fraction_bits for a tensor as a whole. Rounding is
    to the nearest value, ties to the even code; values out of range and infinity saturate; NaN raises FormatError.
    Formats are immutable and compare by value.
    """

    name: str
    """Name in text, `fixed8`."""

    bits: int
    """Width of a code."""

    family: str
    """Name of its kind, for lists and reports; what a format can do is told by the properties below."""

    @property
    def arithmetic(self) -> Arithmetic | None:
        """What sums products of its numbers: `integer` if all are integers at fraction_bits 0, `float32` if float32
        carries them all; None for neither, so that such a format can be trained with but not lowered.
        """
        return None

    @property
    def not_lowered(self) -> str:
        """Why a format without arithmetic cannot be lowered, after its name."""
        return (
            "can be trained with, but not lowered: its numbers are neither integers times a power of two nor carried "
            "by float32, so that no exact sum of products is known"
        )

    @property
    def has_blocks(self) -> bool:
        """Whether neighbours along the summed dimension share a factor that is chosen from them."""
        return False

    @property
    def code_layout(self) -> CodeLayout:
        """How codes are ordered."""
        return "two's complement"

    @property
    def magnitude_codes(self) -> MagnitudeCodes | None:
        """How its codes count where they lie by sign and magnitude; None of other layouts, or where circuits of such
        numbers do not do.
        """
        return None

    @property
    def is_uniform(self) -> bool:
        """Whether rounding is rounding to an integer, then limiting, and codes are the integers' low bits."""
        return False

    @property
    def is_signed(self) -> bool:
        """Whether any of its numbers is negative."""
        return self.lowest < 0

    @property
    def signed(self) -> Format | None:
        """The format of the same width for values of both signs: itself if it has negatives; None if there is none."""
        return self if self.is_signed else None

    @property
    def is_whole_twos_complement(self) -> bool:
        """Whether its numbers are all two's complement integers of its width: what a multiplier of integers takes."""
        half = 2 ** (self.bits - 1)
        return self.is_uniform and self.integer_limits == (-half, half - 1)

    @property
    def needs_radix_point(self) -> bool:
        """Whether calibration chooses the radix point; if not, it is 0."""
        return True

    @property
    def is_scaled_sign(self) -> bool:
        """Whether numbers are signs, or signs and zero, so that the scale is their magnitude.

        Training then keeps the scale as it was first chosen and clips shadow weights at it: chosen again from clipped
        weights, it would shrink each time.
        """
        return False

    @property
    def unused_codes(self) -> tuple[int, ...]:
        """Codes that stand for no number, which `decode` refuses."""
        return ()

    @property
    def read_as(self) -> Format:
        """The format of the numbers that a datapath takes codes for: here the same.

        A datapath knows no infinity and no NaN: where an encoder makes them, it reads numbers.
        """
        return self

    def read_codes(self, codes: Tensor) -> Tensor:
        """Any codes, flipped bits among them, as `read_as` has them (int64): here unused ones count as code 0.

        Unused are negative zeros of `pow2-N` and -2 in `ternary`, of which the datapaths make nothing.
        """
        import torch

        unused = torch.tensor(self.unused_codes, dtype=torch.int64)
        return torch.where(torch.isin(codes, unused), 0, codes) if len(unused) else codes

    def read_numbers(self, codes: Tensor) -> Tensor:
        """Numbers (float64) at fraction_bits 0 that a datapath takes any codes (int64) for; see `read_as`."""
        return self.read_as.decode_numbers(self.read_codes(codes))

    @cached_property
    def rounded_zero(self) -> int:
        """The number that zero is rounded to, and so what a padded element is: 0, in `binary` 1.

        Raises FormatError where that is no integer.
        """
        number = self.nearest(Fraction(0))
        if number.denominator != 1:
            raise FormatError(
                f"{self.name} rounds zero to {number}, and what is padded must be an integer at fraction_bits 0: give "
                "the format's numbers another factor"
            )
        return int(number)

    @property
    def has_zero(self) -> bool:
        """Whether zero is one of its numbers."""
        return self.nearest(Fraction(0)) == 0

    def holds(self, narrow: Format) -> bool:
        """Whether every number of another format is one of this, up to a power of two that all share."""
        return self == narrow

    def unpacks(self, stored: Format) -> bool:
        """Whether codes of a narrower format become this one's by moving bits and repeating the sign."""
        return self == stored

    def packs(self, stored: Format) -> bool:
        """Whether codes of this format become a narrower one's by moving bits and saturating."""
        return False

    def narrows_to(self, narrow: Format) -> bool:
        """Whether codes of a narrower format are the top bits of this one's: what a datapath of fewer bits takes."""
        return False

    def widened(self, bits: int) -> Format:
        """The format from which training comes down to this one, of a larger width; itself where there is none."""
        return self

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
        return _limits(self, check_fraction_bits(fraction_bits))

    def quantize(
        self,
        x: Tensor,
        scale: Scale | int = 0,
        *,
        out: Tensor | None = None,
        rectified: bool = False,
        along: SummedDimension = LAST,
    ) -> Tensor:
        """Nearest value of the format, in the dtype of `x`.

        x: any shape, floating point, CPU or CUDA; no gradient flows through. scale: an int is the fraction_bits of the
        whole tensor. out: takes the result if given (same
        shape, dtype and device; may be `x` itself, which is slower; with the strides of `x`, nothing is allocated). A
        value that the dtype cannot carry (fixed32's largest in float32) becomes the largest value of the format that
        it does carry. rectified: quantize max(x, 0), for fixed point in the same pass. along: where blocks lie; a
        format without them has no use for it.
        Raises FormatError for NaN (`out` is then undefined), an integer tensor, a scale that does not fit the tensor or
        has no arithmetic yet, a fraction_bits that is not an int, or one at which the dtype carries nothing but zero.
        """
        from fewbits.formats.kernels import is_captured, quantize_scaled, quantize_tensor

        if is_captured(x):
            self.require_tensor(x)
            from fewbits.formats.operators import quantize_captured

            return quantize_captured(self, x, scale, out, rectified)
        if isinstance(scale, Scale):
            return quantize_scaled(self, x, scale, out, rectified)
        return quantize_tensor(self, x, check_fraction_bits(scale), out, rectified)

    def encoded(self, x: Tensor, scale: Scale | int = 0, *, along: SummedDimension = LAST) -> Encoded:
        """The nearest values as codes with their scale, on the CPU. along: see `quantize`. Raises what that raises."""
        from fewbits.formats.encoded import Encoded

        fitting = scale if isinstance(scale, Scale) else Scale.power_of_two(scale)
        return Encoded(self.encode(x.detach().cpu(), fitting).numpy(), self, fitting)

    def require_tensor(self, x: object) -> None:
        """Raise FormatError for what is neither a tensor nor stands for one, as torch's and fx's proxies do."""
        if not hasattr(x, "detach"):
            raise FormatError(f"{self.name} rounds a tensor, not {type(x).__name__}: give torch.tensor(...)")

    def encode(self, x: Tensor, scale: Scale | int = 0) -> Tensor:
        """Codes (int64, from 0 to 2**bits - 1, same shape) of the nearest values. Raises what `quantize` raises."""
        import torch

        if isinstance(scale, Scale):
            if scale.block is not None:
                return self.encode(x.to(torch.float64) / checked_factors(scale, x))
            if scale.multiplies:
                return self.encode(x / scale.multiplier_values(x))
            if scale.shifts is not None:  # in float64, where moving all to the coarsest radix point is exact
                x = scale.aligned(x.to(torch.float64))
            return self.encode(x, scale.coarsest)
        quantized = self.quantize(x, scale).to(torch.float64)
        return self.code_numbers(quantized * 2.0**scale)

    def decode(self, codes: Tensor, scale: Scale | int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """Values (float64, same shape) of codes; another `dtype` gets them rounded to it.

        Raises FormatError for codes that are not integers, or out of 0 to 2**bits - 1, or not used by the format.
        """
        import torch

        if codes.is_floating_point() or codes.dtype is torch.bool:
            raise FormatError(f"codes are integers, not {codes.dtype}")
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < 2**self.bits:
            found = f"{int(codes.min())} to {int(codes.max())}"
            raise FormatError(f"a code of {self.name} lies from 0 to {2**self.bits - 1}: got {found}")
        numbers = self.decode_numbers(codes.to(torch.int64))
        scaled = scale.of_numbers(numbers) if isinstance(scale, Scale) else numbers * 2.0 ** -check_fraction_bits(scale)
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
    def reference_quantize(self, x: Tensor, largest: float, lowest: float | None = None) -> Tensor:
        """Nearest number of the format, by plain torch operations, at fraction_bits 0.

        x: float64 without NaN. largest, lowest: where to saturate, for a dtype that does not carry the whole range;
        without `lowest`, at the format's own.
        """

    def fused_pass(self, fraction_bits: int) -> FusedPass | None:
        """The pass that quantizes float32 at this radix point; None where there is none, or it would not be exact."""
        return None

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

    def encode_scalar(self, x: Fraction | float, fraction_bits: int = 0) -> int:
        """Code of the nearest value of one number: the reference of `encode`. A Fraction has no negative zero."""
        return self.code_of(self.quantize_scalar(x, fraction_bits) * Fraction(2) ** fraction_bits)

    @abstractmethod
    def code_of(self, number: Fraction) -> int:
        """Code of a number of the format at fraction_bits 0."""

    def last_place(self, magnitude: Fraction) -> Fraction:
        """Distance of neighbouring numbers at a magnitude (not 0) at fraction_bits 0.

        Here that of integers without gaps. A format with gaps has its own, or its own `carried`, which alone asks.
        """
        return Fraction(1)

    def carried(self, bound: Fraction, significant_bits: int, quantum: Fraction) -> Fraction:
        """Highest number up to `bound` (above 0) of so many significant bits that is a multiple of `quantum`, or 0.

        bound: in the format's range. quantum: a power of two.
        """
        place = max(self.last_place(bound), quantum, Fraction(2) ** (floor_log2(bound) - significant_bits + 1))
        return bound // place * place

    def describe(self) -> Description:
        """Range, count and examples."""
        numbers = (0.0, 1.0, -0.3, 2.6, 1e4)
        return Description(
            name=self.name,
            family=self.family,
            bits=self.bits,
            values=self.count,
            lowest=float(self.lowest),
            highest=float(self.largest),
            smallest_positive=float(self.smallest_positive),
            has_zero=self.has_zero,
            example=tuple((x, float(self.quantize_scalar(x)), self.encode_scalar(x)) for x in numbers),
        )

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of distinct finite values."""

    @property
    @abstractmethod
    def smallest_positive(self) -> Fraction:
        """Smallest value above zero at fraction_bits 0."""

    def __str__(self) -> str:
        return self.name


NUMBER = "[1-9][0-9]{0,5}"
"""A width in a format's name, as a pattern."""


@dataclass(frozen=True)
class FormatFamily:
    """A kind of format by its names; the entry points `fewbits.formats` name such families of other packages."""

    name: str
    """As `Format.family` has it."""

    pattern: str
    """Regular expression of all its names, and of those whose width is out of range, which `parse` then refuses."""

    parse: Callable[[str], Format]
    """The format of a name that the pattern matches as a whole. Raises FormatError for a width out of range."""

    names: tuple[str, ...]
    """Those that lists show."""

    allowed: str
    """Its names in words, for errors: `fixed2 to fixed32`."""

    more: str = ""
    """What `names` leave out, in words; empty if nothing."""

    known: tuple[str, ...] = ()
    """Names that lists leave out, and suggestions do not."""

    def takes(self, text: str) -> bool:
        """Whether a text is a name of this family."""
        return re.fullmatch(self.pattern, text) is not None


def checked_factors(scale: Scale, like: Tensor) -> Tensor:
    """`Scale.block_values` to divide by. Raises FormatError where a factor is NaN: it belongs to no number."""
    factors = scale.block_values(like)
    if bool(factors.isnan().any()):
        raise FormatError("a block's scale is NaN, by which no number is divided: give a scale of numbers, or decode")
    return factors


def check_bits(prefix: str, bits: object, low: int, high: int) -> None:
    """Raise FormatError unless `bits` is an int from `low` to `high`."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not low <= bits <= high:
        raise FormatError(f"{prefix}{bits} is no format: give {prefix}{low} to {prefix}{high}")


def round_half_even(x: Fraction) -> int:
    """Nearest integer, ties to even."""
    return round(x)


def floor_log2(x: Fraction) -> int:
    """The largest k with 2**k <= x, for a positive x."""
    k = x.numerator.bit_length() - x.denominator.bit_length()
    return k if Fraction(2) ** k <= x else k - 1


def exact_power(exponents: Tensor) -> Tensor:
    """2**exponents (float64, same shape) from its bit pattern; int tensor, -1022 to 1023."""
    import torch

    return ((exponents.to(torch.int64) + 1023) << 52).view(torch.float64)


def fits_float32(*magnitudes: Fraction) -> bool:
    """Whether each is 0 or within the normal numbers of float32."""
    return all(not m or _FLOAT32_SMALLEST_NORMAL <= m <= _FLOAT32_LARGEST for m in magnitudes)


def float32_bits(magnitude: Fraction | float) -> int:
    """Bit pattern of a float32, as a signed integer."""
    return struct.unpack("<i", struct.pack("<f", float(magnitude)))[0]


_FLOAT32_SMALLEST_NORMAL = Fraction(2) ** -126
_FLOAT32_LARGEST = (2 - Fraction(1, 2**23)) * Fraction(2) ** 127


@lru_cache(maxsize=1024)
def _limits(number_format: Format, fraction_bits: int) -> tuple[float, float]:
    low, high = float(number_format.lowest), float(number_format.largest)
    return math.ldexp(low, -fraction_bits), math.ldexp(high, -fraction_bits)
