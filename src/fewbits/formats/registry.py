"""Formats and precisions by name."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import cast

from fewbits.arguments import shown
from fewbits.errors import FewbitsError, FormatError
from fewbits.formats.blocks import BLOCKS
from fewbits.formats.exact_floats import EXACT_FLOATS
from fewbits.formats.fixed import FIXED, UNSIGNED
from fewbits.formats.floating import FLOATS
from fewbits.formats.format import Arithmetic, Format, FormatFamily
from fewbits.formats.other_names import other_name, plain_name
from fewbits.formats.power_of_two import POWERS_OF_TWO
from fewbits.formats.units import BINARY, TERNARY

AUTO_SIGN = ":auto-sign"
"""The end of a precision's name whose inputs are signed where they must be."""

_OWN = (FLOATS, EXACT_FLOATS, FIXED, UNSIGNED, POWERS_OF_TWO, TERNARY, BINARY, BLOCKS)

STUDY_PRECISIONS = ("float32", "fixed32", "fixed16", "fixed8", "fixed4", "pow2-6/fixed16", "binary/fixed16")
"""The seven precisions of the 2017 study (Hashemi et al., "Understanding the impact of precision quantization on the
accuracy and energy of neural networks", DATE 2017)."""


@dataclass(frozen=True)
class Precision:
    """The formats of a layer's weights and of its inputs."""

    weights: Format
    inputs: Format

    auto_sign: bool = False
    """Whether unsigned inputs give way to signed ones of the same width in layers that take negative values."""

    @property
    def name(self) -> str:
        """`pow2-6/fixed16`, or `fixed8` where both are the same; `fixed4/ufixed4:auto-sign`."""
        formats = self.weights.name if self.weights == self.inputs else f"{self.weights.name}/{self.inputs.name}"
        return formats + AUTO_SIGN * self.auto_sign

    @property
    def plain(self) -> Precision:
        """The two formats alone, as one layer has them."""
        return Precision(self.weights, self.inputs) if self.auto_sign else self

    def with_auto_sign(self) -> Precision:
        """The same, with signed inputs where they are needed. Raises FormatError where the inputs have a sign."""
        if self.inputs.is_signed:
            raise FormatError(
                f"{self.plain.name}: auto-sign is for inputs without a sign (ufixedN), which {self.inputs.name} is "
                "not: leave it out"
            )
        return Precision(self.weights, self.inputs, auto_sign=True)

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
        """Whether both formats are one bit, a sign: products are signs, whose sum is a count."""
        return self.weights.code_layout == self.inputs.code_layout == "sign"

    @property
    def refusal(self) -> str | None:
        """Why the two formats have no arithmetic together; None if they have."""
        for one in (self.weights, self.inputs):
            if one.arithmetic is None:
                return f"{one.name} {one.not_lowered}"
        if not self.weights.is_signed:
            return _unsigned_weights(self.weights)
        if self.arithmetic is None:
            return "two integer formats go together, or two float formats"
        return None

    def __str__(self) -> str:
        return self.name


def format_families() -> tuple[FormatFamily, ...]:
    """The families of formats: fewbits' own, then those of installed packages by name; see `broken_families`."""
    return _families()[0]


def broken_families() -> tuple[str, ...]:
    """A sentence for each package's family that cannot be loaded, or has a name of another one: it is left out."""
    return _families()[1]


def _families() -> tuple[tuple[FormatFamily, ...], tuple[str, ...]]:
    from fewbits.extensions import giver_of, usable  # what it loads, own names do not need

    added, broken = usable("formats", {}, FormatFamily)
    families = {family.name: family for family in _OWN}
    for name, family in added.items():
        for other in families.values():
            taken = next((known for known in family.names if other.takes(known) or known in other.names), None)
            if taken is not None or family.name == other.name:
                broken += (
                    f"format family {name!r} of {giver_of('formats', name)} has the name {taken or family.name!r} "
                    f"of the family {other.name!r}: rename it there",
                )
                break
        else:
            families[family.name] = family
    return tuple(families.values()), broken


def all_format_names() -> tuple[str, ...]:
    """Names of the formats, without the small floats, which are many."""
    return tuple(name for family in format_families() for name in family.names)


def allowed_formats() -> str:
    """All names in words, for errors."""
    return ", ".join(family.allowed for family in format_families())


def parse_format(text: str) -> Format:
    """The format of that name. Raises FormatError for an unknown one and suggests the nearest.

    Raises ExtensionError if a package's family gives something else than it was asked for.
    """
    _require_text(text)
    if text in _NAMED:
        return _NAMED[text]
    if (own := next((family for family in _OWN if family.takes(text)), None)) is not None:
        return own.parse(text)
    for family in format_families():
        if family.takes(text):
            return _made(text, family)
    if "/" in text:
        raise FormatError(
            f"{text!r} is no format but reads as a precision, weights/inputs: give one of the two, or ask for a "
            "precision"
        )
    suggestion = suggest(text)
    raise FormatError(
        f"unknown format {text!r}: give one of {allowed_formats()}"
        + (f"; did you mean {suggestion}?" if suggestion else "")
        + "".join(f"; {sentence}" for sentence in broken_families())
    )


_NAMED: dict[str, Format] = {name: family.parse(name) for family in _OWN for name in family.names}
"""fewbits' own formats that lists show: one object each."""


def _made(text: str, family: FormatFamily) -> Format:
    """The format that a family gives, whoever wrote it."""
    from fewbits.extensions import ExtensionError

    try:
        made = cast(object, family.parse(text))
    except FewbitsError:
        raise
    except Exception as error:  # whatever a stranger's code raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ExtensionError(f"format family {family.name!r} fails to make {text!r}: {reason}") from error
    named = (made.name, made.family) if isinstance(made, Format) else None
    if named != (text, family.name) or not isinstance(made, Format):
        given = shown(made) if named is None else f"a Format of the name {named[0]!r} and the family {named[1]!r}"
        raise ExtensionError(
            f"format family {family.name!r} gives {given} for {text!r}: a Format of the name {text!r} and the family "
            f"{family.name!r} is due"
        )
    return made


def suggest(text: str) -> str | None:
    """What someone who wrote an unknown format's name meant; None if nothing is near."""
    plain, names = plain_name(text), all_format_names()
    known = tuple(name for family in _OWN for name in family.known)
    if same := [name for name in (*names, *known) if plain_name(name) == plain]:
        return same[0]
    written = text.strip().lower()
    nearest = difflib.get_close_matches(written, known, n=1, cutoff=0.8) or difflib.get_close_matches(
        written, names, n=1
    )
    return other_name(text) or (nearest[0] if nearest else None)


def _require_text(name: object) -> None:
    if not isinstance(name, str):
        raise FormatError(f"a format or precision is named by a text such as 'fixed8', not by {shown(name)}")


def parse_precision(text: str) -> Precision:
    """The precision of that name: `weights/inputs`, or one format for both. Raises FormatError.

    With `:auto-sign` behind, unsigned inputs are signed where they must be (`Precision.auto_sign`).
    """
    _require_text(text)
    formats = text.removesuffix(AUTO_SIGN)
    made = _precision_of(formats)
    return made if formats == text else made.with_auto_sign()


def _precision_of(text: str) -> Precision:
    parts = text.split("/")
    if len(parts) > 2 or (len(parts) == 2 and not all(part.strip() for part in parts)):
        raise FormatError(f"{text!r} is not a precision: give weights/inputs, such as pow2-6/fixed16, or one format")
    if len(parts) == 1 and (widths := re.fullmatch(r"w(\d+)a(\d+)(?:kv\d+)?", plain_name(text))):
        weights, inputs = (other_name(f"int{width}") for width in widths.groups())
        both = f"{weights}/{inputs}" if weights != inputs else f"{weights}"
        suggestion = f"; did you mean {both}?" if weights and inputs else ""
        raise FormatError(f"unknown precision {text!r}: give weights/inputs, such as fixed4/fixed8{suggestion}")
    weights, inputs = parse_format(parts[0]), parse_format(parts[-1])
    if not weights.is_signed:
        raise FormatError(_unsigned_weights(weights))
    return Precision(weights, inputs)


def _unsigned_weights(weights: Format) -> str:
    signed = weights.signed or parse_format("binary")
    return (
        f"weights need a sign, which {weights.name} has not: it is for inputs alone, as in {signed.name}/{weights.name}"
    )
