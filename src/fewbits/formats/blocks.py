"""Block formats: neighbours along the summed dimension share a scale that is chosen from them (MX, NVFP4, ...)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from fewbits.errors import FormatError
from fewbits.formats.block_rules import OTHER_NAMES, RULES, ScaleRule
from fewbits.formats.fixed import FixedPoint
from fewbits.formats.floating import FloatFormat, float_format
from fewbits.formats.format import NUMBER, CodeLayout, Description, Format, FormatFamily
from fewbits.formats.scale import LAST, Scale, SummedDimension
from fewbits.formats.scale_formats import ScaleFormat, scale_format

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fewbits.formats.encoded import Encoded

ELEMENT_BITS = 16
"""The widest element: an element times a scale's mantissa and a float32 is then exact in float64."""

SIZES = tuple(range(8, 129, 8))
"""Sizes of a block: its codes fill whole bytes, whatever an element's width."""


@dataclass(frozen=True)
class BlockFormat(Format):
    """Elements of one format, a scale for each block of them, and the rule by which the scale follows from the block.

    value = element * scale * the tensor's factor. The factor is 1 for `e8m0` scales, else a float32 that is chosen with
    the scales, or 2**-fraction_bits where a radix point is given. Elements round half to even and saturate at the
    element's largest. Infinity counts as the largest number of the tensor's dtype. NaN is refused, as by every format;
    codes that stand for it (a scale of 255, an element's own) are decoded to it.
    """

    element: FixedPoint | FloatFormat
    size: int
    """Elements that share a scale, along the summed dimension; the last block of a row is padded with zeros."""

    scales: ScaleFormat
    rule: ScaleRule
    symmetric: bool = False
    """Whether fixed-point elements leave their lowest number unused, as OCP's specification allows for INT8."""

    family: str = field(default="block", init=False)

    def __post_init__(self) -> None:
        if self.element.bits > ELEMENT_BITS:
            raise FormatError(f"a block has elements {_ELEMENTS}, not {self.element.name}")
        if self.size not in SIZES:
            raise FormatError(f"a block has 8 to 128 elements, a multiple of 8, not {self.size}")
        if (refusal := self.scales.rule_refusal(self.rule)) is not None:
            raise FormatError(f"rule {refusal}: give {' or '.join(self._rules)}")
        if self.symmetric and not isinstance(self.element, FixedPoint):
            raise FormatError(f"symmetric is for fixed-point elements: those of {self.element.name} are so already")

    @property
    def _rules(self) -> tuple[str, ...]:
        """Names of the rules that the scales take."""
        return tuple(name for name, rule in RULES.items() if self.scales.rule_refusal(rule) is None)

    @cached_property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`mxfp4`, `mxfp4:ceil`, `fixed4x16-e4m3`."""
        spelled = f"{self.element.name}x{self.size}-{self.scales.name}"
        rule = () if self.rule.name == self.scales.default_rule else (self.rule.name,)
        return ":".join((_SHORT.get(spelled, spelled), *rule, *(("symmetric",) if self.symmetric else ())))

    @property
    def bits(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Width of an element's code."""
        return self.element.bits

    @property
    def bits_an_element(self) -> Fraction:
        """With its part of the block's scale, in whole blocks."""
        return self.element.bits + Fraction(self.scales.bits, self.size)

    @property
    def not_lowered(self) -> str:
        """Why it is trained with alone."""
        return (
            "is a block format, which can be trained with and evaluated in float simulation, but has no bit-exact "
            "network, cost or circuit yet: take fixed, pow2, ternary, binary or float formats there"
        )

    @property
    def has_blocks(self) -> bool:
        """Yes."""
        return True

    @property
    def code_layout(self) -> CodeLayout:
        """The element's."""
        return self.element.code_layout

    @property
    def needs_radix_point(self) -> bool:
        """Where scales are under a factor of the tensor."""
        return self.scales.needs_factor

    @cached_property
    def element_point(self) -> int:
        """Places behind the radix point of an element: those of OCP's INT8 are below 2; floats have none."""
        return self.scales.element_point(self.element.bits) if isinstance(self.element, FixedPoint) else 0

    @cached_property
    def element_largest(self) -> Fraction:
        """The highest element, at its radix point."""
        return self.element.largest / 2**self.element_point

    @cached_property
    def element_lowest(self) -> Fraction:
        """The lowest element, at its radix point."""
        return -self.element_largest if self.symmetric else self.element.lowest / 2**self.element_point

    @cached_property
    def significand_bits(self) -> int:
        """Bits of an element behind its leading one."""
        return self.element.bits - 2 if isinstance(self.element, FixedPoint) else self.element.mantissa_bits

    @property
    def largest(self) -> Fraction:
        """The highest element times the highest scale."""
        return self.element_largest * self.scales.largest

    @property
    def lowest(self) -> Fraction:
        """The lowest element times the highest scale."""
        return self.element_lowest * self.scales.largest

    @property
    def smallest_positive(self) -> Fraction:
        """The least element times the least scale."""
        return self.element.smallest_positive / 2**self.element_point * self.scales.smallest

    @property
    def integer_limits(self) -> tuple[int, int]:
        """Raises FormatError: values of a block are elements times its scale."""
        raise FormatError(f"{self.name} has no integers of its own: its elements are numbers under a block's scale")

    def quantize(
        self,
        x: Tensor,
        scale: Scale | int | None = None,
        *,
        out: Tensor | None = None,
        rectified: bool = False,
        along: SummedDimension = LAST,
    ) -> Tensor:
        """Nearest values, in the dtype of `x`, with a scale for each block.

        x: at least one dimension, floating point. scale: None chooses the scales and the tensor's factor from the data;
        an int, or a tensor's radix point, takes 2**-fraction_bits as the factor and chooses the scales; a scale of
        blocks gives them all. along: the dimension of the blocks where the scale does not say, the last one if nothing
        is given. out, rectified: as `Format.quantize` has them.
        Raises FormatError as that does; for a scalar; for scales of other blocks.
        """
        from fewbits.formats.block_quantizing import quantize_blocks
        from fewbits.formats.capture import is_captured

        if is_captured(x):
            self.require_tensor(x)
            from fewbits.formats.operators import quantize_blocks_captured

            return quantize_blocks_captured(self, x, self._given(scale), out, rectified, along)
        return quantize_blocks(self, x, self._given(scale), out, rectified, along)

    def encoded(self, x: Tensor, scale: Scale | int | None = None, *, along: SummedDimension = LAST) -> Encoded:
        """The nearest values as codes of elements with a scale of blocks, on the CPU; see `quantize`."""
        from fewbits.formats.block_quantizing import encode_blocks

        return encode_blocks(self, x.detach().cpu(), self._given(scale), along)

    def encode(self, x: Tensor, scale: Scale | int = 0) -> Tensor:
        """Codes of the elements under a given scale of blocks. Raises FormatError without one: see `encoded`."""
        from fewbits.formats.block_quantizing import element_numbers

        given = self._blocked(scale, "encoded(x), which gives codes with their scale")
        return self.element.code_numbers(element_numbers(self, x, given))

    def decode(self, codes: Tensor, scale: Scale | int = 0, dtype: torch.dtype | None = None) -> Tensor:
        """Values of elements' codes under a scale of blocks. Raises FormatError without one."""
        return self.element.decode(codes, self._blocked(scale, "decode(codes, scale), with that of `encoded`"), dtype)

    def _blocked(self, scale: Scale | int, instead: str) -> Scale:
        given = self._given(scale)
        if not isinstance(given, Scale):
            raise FormatError(f"codes of {self.name} mean nothing without the scales of their blocks: take {instead}")
        return given

    def _given(self, scale: Scale | int | None) -> Scale | int | None:
        """A scale of this format's blocks, a radix point, or None. Raises FormatError for any other scale."""
        if not isinstance(scale, Scale):
            return scale
        block = scale.block
        if block is None:
            return scale.fraction_bits
        found = getattr(scale.factors, "format_name", "")
        if (block.size, found) != (self.size, self.scales.name):
            raise FormatError(
                f"{self.name} has blocks of {self.size} with scales {self.scales.name}: the scale has {block.size} and "
                f"{found}"
            )
        return scale

    def reference_quantize(self, x: Tensor, largest: float, lowest: float | None = None) -> Tensor:
        """Raises FormatError: numbers of a block are not rounded one by one."""
        raise FormatError(f"numbers of {self.name} are rounded block by block: call quantize")

    def code_numbers(self, numbers: Tensor) -> Tensor:
        """Raises FormatError, as `reference_quantize` does."""
        raise FormatError(f"codes of {self.name} mean nothing without the scales of their blocks: call encoded")

    def decode_numbers(self, codes: Tensor) -> Tensor:
        """Raises FormatError, as `reference_quantize` does."""
        raise FormatError(
            f"codes of {self.name} mean nothing without the scales of their blocks: give decode the scale"
        )

    def nearest(self, x: Fraction) -> Fraction:
        """That of a block of one number, at a tensor's factor of 1."""
        from fewbits.formats.block_reference import reference_block

        return reference_block(self, [x])[1][0]

    def code_of(self, number: Fraction) -> int:
        """The element's code in a block of one number, at a tensor's factor of 1."""
        from fewbits.formats.block_reference import reference_block

        scale, (value,) = reference_block(self, [number])
        return self.element.code_of(value / scale * 2**self.element_point)

    @property
    def count(self) -> int:
        """Distinct values of an element times a scale, at a tensor's factor of 1."""
        import numpy as np
        import torch

        codes = torch.arange(2**self.element.bits)
        numbers = self.element.decode_numbers(codes)
        scales = self.scales.decode(torch.arange(2**self.scales.bits))
        scales = scales[scales.isfinite() & (scales > 0)]
        numbers = numbers[numbers.isfinite() & (numbers >= float(self.element_lowest * 2**self.element_point))]
        return len(np.unique(np.outer(numbers.numpy(), scales.numpy()) + 0.0))

    def describe(self) -> Description:
        """With what it is made of."""
        bits = float(self.bits_an_element)
        return replace(
            super().describe(),
            made_of=f"blocks of {self.size} elements {self.element.name}, each block with a scale {self.scales.name} "
            f"({bits:g} bits an element), chosen by the rule {self.rule.name}: {self.scales.rule_meaning(self.rule)}",
        )


_ELEMENTS = f"float-eXmY or fixedN of at most {ELEMENT_BITS} bits, fp8-e4m3 or fp8-e5m2"

_SHORT = {
    "fp8-e4m3x32-e8m0": "mxfp8-e4m3",
    "fp8-e5m2x32-e8m0": "mxfp8-e5m2",
    "float-e3m2x32-e8m0": "mxfp6-e3m2",
    "float-e2m3x32-e8m0": "mxfp6-e2m3",
    "float-e2m1x32-e8m0": "mxfp4",
    "fixed8x32-e8m0": "mxint8",
    "fixed4x32-e8m0": "mxint4",
    "float-e2m1x16-e4m3": "nvfp4",
    "fixed4x16-e4m3": "nvint4",
}
"""Names of those that have one. MX: OCP Microscaling Formats v1.0, table 1, and `mxint4` in its manner. `nvfp4`:
NVIDIA's, and `nvint4` in its manner."""

_LONG = {short: spelled for spelled, short in _SHORT.items()}
_SPELLED = re.compile(r"(?P<element>[a-z][a-z0-9-]*?)x(?P<size>[0-9]+)-(?P<scale>e[0-9]+m[0-9]+)")


def _parse(text: str) -> BlockFormat:
    """A block format of either name, with its options. Raises FormatError."""
    head, *options = text.split(":")
    found = _SPELLED.fullmatch(_LONG.get(head, head))
    assert found is not None
    scales = scale_format(found["scale"])
    names = [OTHER_NAMES.get(option, option) for option in options]
    rules = [name for name in names if name != "symmetric"]
    if (unknown := next((name for name in rules if name not in RULES), None)) is not None:
        allowed = ", ".join((*RULES, *OTHER_NAMES, "symmetric"))
        raise FormatError(f"{text!r} has no option {unknown!r}: give {allowed}; without, {scales.default_rule}")
    if len(rules) > 1 or len(names) - len(rules) > 1:
        raise FormatError(f"{text!r} names an option twice: give one rule, and symmetric once")
    return BlockFormat(
        _element(found["element"]),
        int(found["size"]),
        scales,
        RULES[rules[0] if rules else scales.default_rule],
        "symmetric" in names,
    )


def _element(text: str) -> FixedPoint | FloatFormat:
    """A format of elements. Raises FormatError for another one."""
    if (number := re.fullmatch(f"fixed({NUMBER})", text)) is not None:
        return FixedPoint(int(number[1]))
    element = float_format(text)
    if element is None:
        raise FormatError(f"a block has elements {_ELEMENTS}, not {text}")
    return element


BLOCKS = FormatFamily(
    "block",
    f"({'|'.join(_LONG)}|{re.sub('[?]P<[a-z]+>', '', _SPELLED.pattern)})(:[a-z0-9-]*)*",
    _parse,
    (),
    f"a block format ({', '.join(_LONG)}, or such as float-e2m1x32-e8m0)",
    f"block formats: {', '.join(_LONG)}, or ELEMENTxSIZE-SCALE: elements {_ELEMENTS}; SIZE 8 to 128; SCALE e8m0, e4m3 "
    f"or e2m0 to e7m0; with :RULE, one of {', '.join(RULES)}",
    tuple(_LONG),
)
