"""Rules by which a block's scale follows from its largest magnitude: a table, for scales of either kind.

Stacks disagree, and lose accuracy by it, so that a block format names its rule. For powers of two it is one threshold:
 the scale is the power 2**k with threshold * 2**k <= amax < 2 * threshold * 2**k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from fewbits.formats.format import floor_log2

Direction = Literal["nearest", "up", "down"]


@dataclass(frozen=True)
class ScaleRule:
    """How a block's scale is rounded."""

    name: str

    meaning: str
    """In words, for scales that are powers of two."""

    threshold: Callable[[Fraction, int], Fraction]
    """From an element format's largest number and its bits behind the leading one to the threshold of powers of two."""

    takes_threshold: bool = True
    """Whether the threshold itself belongs to its power, and twice the threshold to the next."""

    direction: Direction | None = None
    """How amax / largest is rounded to a scale format with a mantissa; None where the rule has no such meaning."""

    @property
    def rounding(self) -> str:
        """In words, for scales with a mantissa."""
        return f"amax / largest, rounded {'to nearest' if self.direction == 'nearest' else self.direction}"


def _power_below(largest: Fraction) -> Fraction:
    return Fraction(2) ** floor_log2(largest)


_TABLE = (
    ScaleRule(
        "floor",
        "2**(floor(log2(amax)) - emax), as OCP's specification has it: values beyond the largest element are clipped",
        lambda largest, _: _power_below(largest),
        direction="down",
    ),
    ScaleRule(
        "ceil",
        "2**ceil(log2(amax / largest)), the smallest power by which nothing is clipped",
        lambda largest, _: largest / 2,
        takes_threshold=False,
        direction="up",
    ),
    ScaleRule(
        "even",
        "the same as floor, once amax is rounded half to even to as many bits as an element has",
        lambda largest, bits: _power_below(largest) * (1 - Fraction(1, 2 ** (bits + 2))),
    ),
    ScaleRule(
        "nearest",
        "the power nearest to amax / largest, the middle (1.5) upwards",
        lambda largest, _: largest * Fraction(3, 4),
        direction="nearest",
    ),
)
"""Sources: floor, OCP Microscaling Formats (MX) v1.0, section 6.3; ceil, cuBLAS and TransformerEngine ("RCEIL"), ONNX
Cast-25 with round_mode "up" of amax / largest; even, AMD Quark and torchao ("EVEN"); nearest, ONNX Cast-25 with
round_mode "nearest" of amax / largest. ONNX's "down" of amax / 2**emax is floor."""

RULES = {rule.name: rule for rule in _TABLE}
"""By name."""

OTHER_NAMES = {"up": "ceil", "down": "floor"}
"""ONNX Cast-25's."""
