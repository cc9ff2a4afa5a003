"""Floating point: float32, float16, bfloat16, FP8 and every other small float."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from fewbits.errors import FormatError
from fewbits.formats.format import (
    NUMBER,
    Arithmetic,
    CodeLayout,
    Format,
    FormatFamily,
    FusedPass,
    exact_power,
    fits_float32,
    float32_bits,
    floor_log2,
    round_half_even,
)

if TYPE_CHECKING:
    from torch import Tensor

Specials = Literal["infinity", "nan", "none"]


@dataclass(frozen=True)
class FloatFormat(Format):
    """Sign, exponent and mantissa with subnormals; the exponent's bias is 2**(exponent_bits - 1) - 1."""

    name: str
    exponent_bits: int
    mantissa_bits: int
    """Stored bits of the mantissa, without the leading one."""

    specials: Specials
    """What the highest exponent holds: `infinity`, infinity and NaN, as IEEE 754 has it; `nan`, numbers but for NaN in
    the last code, as OCP's E4M3 ("OCP 8-bit Floating Point Specification", 2023); `none`, numbers only, as OCP's FP4
    and FP6 ("OCP Microscaling Formats (MX) Specification", 2023)."""

    overflow: Literal["saturate", "infinity"] = "saturate"
    """What a value beyond the largest becomes: the largest, or infinity (NaN if the format has no infinity)."""

    family: str = field(default="float", init=False)

    def __post_init__(self) -> None:
        widest = (self.exponent_bits, self.mantissa_bits) == (8, 23) and self.specials == "infinity"
        exponents = 8 if self.specials == "infinity" else 7
        if not widest and not (2 <= self.exponent_bits <= exponents and 1 <= self.mantissa_bits <= 22):
            raise FormatError(
                f"{self.name} is not supported: a float other than float32 has 2 to {exponents} exponent bits and 1 to "
                "22 mantissa bits, which float32 carries exactly; with less of either, take fixed2 to fixed32 or "
                "pow2-2 to pow2-8"
            )
        if self.overflow == "infinity" and self.specials == "none":
            raise FormatError(f"{self.name} can't overflow to infinity: all of its codes are numbers; take saturate")

    @property
    def arithmetic(self) -> Arithmetic:
        """float32, which carries every number."""
        return "float32"

    @property
    def code_layout(self) -> CodeLayout:
        """The sign's bit, then exponent and mantissa."""
        return "sign and magnitude"

    @property
    def needs_radix_point(self) -> bool:
        """With fewer than five exponent bits.

        Five (float16, fp8-e5m2) span nine decades, enough for a layer's values without a scale.
        """
        return self.exponent_bits < 5

    def holds(self, narrow: Format) -> bool:
        """Floats of no more exponent and mantissa bits."""
        if not isinstance(narrow, FloatFormat):
            return False
        return self.exponent_bits >= narrow.exponent_bits and self.mantissa_bits >= narrow.mantissa_bits

    def unpacks(self, stored: Format) -> bool:
        """Floats of as many exponent bits: the mantissa's missing bits are zeros."""
        return isinstance(stored, FloatFormat) and stored.exponent_bits == self.exponent_bits

    @property
    def bits(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Sign, exponent and mantissa."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def bias(self) -> int:
        """What is taken from the exponent's field."""
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def smallest_exponent(self) -> int:
        """Exponent of the smallest normal number and of the subnormal ones."""
        return 1 - self.bias

    @property
    def largest(self) -> Fraction:
        """The highest finite number."""
        exponent = self.bias if self.specials == "infinity" else self.bias + 1
        last = 2 if self.specials == "nan" else 1
        return (2 - Fraction(last, 2**self.mantissa_bits)) * Fraction(2) ** exponent

    @property
    def smallest_positive(self) -> Fraction:
        """The smallest subnormal number."""
        return Fraction(2) ** (self.smallest_exponent - self.mantissa_bits)

    @property
    def integer_limits(self) -> tuple[int, int]:
        """Raises FormatError: floats are not integers."""
        raise FormatError(f"{self.name} has no integers: its codes are floating point")

    @property
    def count(self) -> int:
        """Codes less infinity, NaN and the second zero."""
        special = {"infinity": 2 * 2**self.mantissa_bits, "nan": 2, "none": 0}[self.specials]
        return 2**self.bits - special - 1

    def beyond(self, largest: float) -> float:
        """What a value beyond the largest becomes."""
        if self.overflow == "saturate":
            return largest
        return float("inf") if self.specials == "infinity" else float("nan")

    def last_place(self, magnitude: Fraction) -> Fraction:
        """One unit in the mantissa's last bit."""
        return Fraction(2) ** (max(floor_log2(magnitude), self.smallest_exponent) - self.mantissa_bits)

    def reference_quantize(self, x: Tensor, largest: float, lowest: float | None = None) -> Tensor:
        """Round to a multiple of the last place of x's binade, ties to even."""
        import torch

        _, exponent = torch.frexp(x)
        place = (exponent - 1).clamp(min=self.smallest_exponent, max=self.bias + 1) - self.mantissa_bits
        rounded = (x * exact_power(-place)).round() * exact_power(place)
        beyond = torch.full_like(x, self.beyond(largest))
        return torch.where(rounded.abs() > largest, torch.copysign(beyond, x), rounded)

    def fused_pass(self, fraction_bits: int) -> FusedPass | None:
        """Round the bit pattern; below the smallest normal number, by adding a large number."""
        unit = Fraction(2) ** -fraction_bits
        top, normal = self.largest * unit, Fraction(2) ** self.smallest_exponent * unit
        dropped = 23 - self.mantissa_bits
        magic = Fraction(3, 2) * normal * 2**dropped
        if not fits_float32(top, normal, magic):
            return None
        beyond = float32_bits(self.beyond(float(top)))
        if not dropped:
            return FusedPass("whole_float", (float32_bits(top), beyond))
        return FusedPass("small_float", (dropped, float(magic), float32_bits(normal), float32_bits(top), beyond))

    def code_numbers(self, numbers: Tensor) -> Tensor:
        """Fields from the number's binade."""
        import torch

        magnitude = numbers.abs()
        finite = torch.where(magnitude.isfinite(), magnitude, 0.0)
        _, exponent = torch.frexp(finite)
        field = (exponent - 1 + self.bias).clamp(min=0)
        field = torch.where(finite == 0, 0, field)
        place = (exponent - 1).clamp(min=self.smallest_exponent) - self.mantissa_bits
        significand = (finite * exact_power(-place)).to(torch.int64)
        implicit = torch.where(field > 0, 2**self.mantissa_bits, 0)
        code = field.to(torch.int64) * 2**self.mantissa_bits + significand - implicit
        top = (2**self.exponent_bits - 1) * 2**self.mantissa_bits
        code = torch.where(magnitude.isinf(), top, code)
        not_a_number = (
            top + 2**self.mantissa_bits - 1 if self.specials == "nan" else top + 2 ** (self.mantissa_bits - 1)
        )
        code = torch.where(magnitude.isnan(), not_a_number, code)
        return code + torch.signbit(numbers).to(torch.int64) * 2 ** (self.bits - 1)

    def decode_numbers(self, codes: Tensor) -> Tensor:
        """Numbers, infinities and NaN from the fields."""
        import torch

        mantissa = codes & (2**self.mantissa_bits - 1)
        field = (codes >> self.mantissa_bits) & (2**self.exponent_bits - 1)
        significand = mantissa + torch.where(field > 0, 2**self.mantissa_bits, 0)
        place = field.clamp(min=1) - self.bias - self.mantissa_bits
        numbers = significand.to(torch.float64) * exact_power(place)
        top = field == 2**self.exponent_bits - 1
        if self.specials == "infinity":
            numbers = torch.where(top, torch.where(mantissa == 0, torch.inf, torch.nan).to(torch.float64), numbers)
        elif self.specials == "nan":
            numbers = torch.where(top & (mantissa == 2**self.mantissa_bits - 1), torch.nan, numbers)
        return torch.where(codes >= 2 ** (self.bits - 1), -numbers, numbers)

    def nearest(self, x: Fraction) -> Fraction:
        """Round to a multiple of the last place, then saturate."""
        if x == 0:
            return x
        place = self.last_place(abs(x))
        return min(max(round_half_even(x / place) * place, -self.largest), self.largest)

    def code_of(self, number: Fraction) -> int:
        """Sign, and the exponent and mantissa fields as one number: consecutive magnitudes have consecutive codes."""
        if not number:
            return 0
        exponent = max(floor_log2(abs(number)), self.smallest_exponent)
        significand = int(abs(number) / self.last_place(abs(number)))
        magnitude = (exponent - self.smallest_exponent) * 2**self.mantissa_bits + significand
        return magnitude + (2 ** (self.bits - 1) if number < 0 else 0)


FLOAT32 = FloatFormat("float32", 8, 23, "infinity")
FLOAT16 = FloatFormat("float16", 5, 10, "infinity")
BFLOAT16 = FloatFormat("bfloat16", 8, 7, "infinity")
FP8_E4M3 = FloatFormat("fp8-e4m3", 4, 3, "nan")
FP8_E5M2 = FloatFormat("fp8-e5m2", 5, 2, "infinity")

_NAMED = {one.name: one for one in (FLOAT32, FLOAT16, BFLOAT16, FP8_E4M3, FP8_E5M2)}
_PATTERN = "|".join((*_NAMED, f"float-e{NUMBER}m{NUMBER}"))


def float_format(text: str) -> FloatFormat | None:
    """The float of that name; None for a name that is of none. Raises FormatError for a width out of range."""
    return parse_float(text) if re.fullmatch(_PATTERN, text) else None


def parse_float(text: str) -> FloatFormat:
    """A named one, or `float-eXmY`, of which every code is a number."""
    if text in _NAMED:
        return _NAMED[text]
    exponent_bits, mantissa_bits = map(int, text.removeprefix("float-e").split("m"))
    return FloatFormat(text, exponent_bits, mantissa_bits, "none")


FLOATS = FormatFamily(
    "float",
    _PATTERN,
    parse_float,
    tuple(_NAMED),
    ", ".join((*_NAMED, "float-eXmY (X 2 to 7, Y 1 to 22)")),
    "float-eXmY, X 2 to 7 exponent bits, Y 1 to 22 mantissa bits",
)
