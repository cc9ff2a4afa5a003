"""Formats and precisions by name."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from fewbits.arguments import shown
from fewbits.errors import FormatError
from fewbits.formats.fixed import FixedPoint
from fewbits.formats.floating import BFLOAT16, FLOAT16, FLOAT32, FP8_E4M3, FP8_E5M2, small_float
from fewbits.formats.format import Arithmetic, Format
from fewbits.formats.other_names import other_name, plain_name
from fewbits.formats.power_of_two import PowerOfTwo
from fewbits.formats.units import Binary, Ternary

_NAMED: dict[str, Format] = {
    f.name: f
    for f in (
        FLOAT32,
        FLOAT16,
        BFLOAT16,
        FP8_E4M3,
        FP8_E5M2,
        *(FixedPoint(bits) for bits in range(2, 33)),
        *(PowerOfTwo(bits) for bits in range(2, 9)),
        Ternary(),
        Binary(),
    )
}

STUDY_PRECISIONS = ("float32", "fixed32", "fixed16", "fixed8", "fixed4", "pow2-6/fixed16", "binary/fixed16")
"""The seven precisions of the 2017 study (Hashemi et al., "Understanding the impact of precision quantization on the
accuracy and energy of neural networks", DATE 2017)."""

ALLOWED = (
    "float32, float16, bfloat16, fp8-e4m3, fp8-e5m2, float-eXmY (X 2 to 7, Y 1 to 22), fixed2 to fixed32, pow2-2 to "
    "pow2-8, ternary, binary"
)

_NUMBER = "([1-9][0-9]{0,5})"


@dataclass(frozen=True)
class Precision:
    """The formats of a layer's weights and of its inputs."""

    weights: Format
    inputs: Format

    @property
    def name(self) -> str:
        """`pow2-6/fixed16`, or `fixed8` where both are the same."""
        return self.weights.name if self.weights == self.inputs else f"{self.weights.name}/{self.inputs.name}"

    @property
    def arithmetic(self) -> Arithmetic | None:
        """What sums the products; None where the two formats have no arithmetic together (`refusal` says why)."""
        return self.weights.arithmetic if self.weights.arithmetic == self.inputs.arithmetic else None

    @property
    def is_integer(self) -> bool:
        """Whether products are products of integers."""
        return self.arithmetic == "integer"

    @property
    def is_float(self) -> bool:
        """Whether both formats are floating point."""
        return self.arithmetic == "float32"

    @property
    def multiplies_signs(self) -> bool:
        """Whether both formats are one bit: products are signs, whose sum is a count."""
        return self.weights.bits == self.inputs.bits == 1

    @property
    def refusal(self) -> str | None:
        """Why the two formats have no arithmetic together; None if they have."""
        for one in (self.weights, self.inputs):
            if one.arithmetic is None:
                return (
                    f"{one.name} can be trained with, but not lowered: its numbers are neither integers times a power "
                    "of two nor carried by float32, so that no exact sum of products is known"
                )
        if self.arithmetic is None:
            return "two integer formats go together, or two float formats"
        return None

    def __str__(self) -> str:
        return self.name


def all_format_names() -> tuple[str, ...]:
    """Names of the formats, without the small floats, which are many."""
    return tuple(_NAMED)


def parse_format(text: str) -> Format:
    """The format of that name. Raises FormatError for an unknown one and suggests the nearest."""
    _require_text(text)
    if text in _NAMED:
        return _NAMED[text]
    if small := re.fullmatch(f"float-e{_NUMBER}m{_NUMBER}", text):
        return small_float(int(small[1]), int(small[2]))
    if fixed := re.fullmatch(f"fixed{_NUMBER}", text):
        return FixedPoint(int(fixed[1]))  # out of range: it says so
    if power := re.fullmatch(f"pow2-{_NUMBER}", text):
        return PowerOfTwo(int(power[1]))
    suggestion = suggest(text)
    raise FormatError(
        f"unknown format {text!r}: give one of {ALLOWED}" + (f"; did you mean {suggestion}?" if suggestion else "")
    )


def suggest(text: str) -> str | None:
    """What someone who wrote an unknown format's name meant; None if nothing is near."""
    plain = plain_name(text)
    if same := [name for name in _NAMED if plain_name(name) == plain]:
        return same[0]
    nearest = difflib.get_close_matches(text.strip().lower(), _NAMED, n=1)
    return other_name(text) or (nearest[0] if nearest else None)


def _require_text(name: object) -> None:
    if not isinstance(name, str):
        raise FormatError(f"a format or precision is named by a text such as 'fixed8', not by {shown(name)}")


def parse_precision(text: str) -> Precision:
    """The precision of that name: `weights/inputs`, or one format for both. Raises FormatError."""
    _require_text(text)
    parts = text.split("/")
    if len(parts) > 2 or (len(parts) == 2 and not all(part.strip() for part in parts)):
        raise FormatError(f"{text!r} is not a precision: give weights/inputs, such as pow2-6/fixed16, or one format")
    if len(parts) == 1 and (widths := re.fullmatch(r"w(\d+)a(\d+)(?:kv\d+)?", plain_name(text))):
        weights, inputs = (other_name(f"int{width}") for width in widths.groups())
        both = f"{weights}/{inputs}" if weights != inputs else f"{weights}"
        suggestion = f"; did you mean {both}?" if weights and inputs else ""
        raise FormatError(f"unknown precision {text!r}: give weights/inputs, such as fixed4/fixed8{suggestion}")
    return Precision(parse_format(parts[0]), parse_format(parts[-1]))
