"""The composable multiplier: one product of 8 bits, or, split by a mode pin, the sum of four products of 4 bits.

Sharma et al., "Bit Fusion: Bit-level dynamically composable architecture for accelerating deep neural networks" (ISCA
2018), compose products of smaller ones so; Moons et al., "DVAFS: Trading computational accuracy for energy through
dynamic-voltage-accuracy-frequency-scaling" (DATE 2017), split a multiplier by its word's parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fewbits.formats import FixedPoint, Format
from fewbits.hardware.multipliers.kinds import MultiplierKind

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value

    from fewbits.formats import Precision

COMPOSED_BITS = 8
"""Of both operands, where a lane's multipliers make one product."""

PART_BITS = COMPOSED_BITS // 2
"""Of both operands, where each of them makes its own."""

PARTS = 4
"""Multipliers of PART_BITS in a lane."""

_PRODUCTS: Mapping[Format, int] = {FixedPoint(COMPOSED_BITS): 1, FixedPoint(PART_BITS): PARTS}
"""By the format of both operands: a lane's products in a cycle."""


class Composable(MultiplierKind):
    """The kind; the circuit of its two modes is the neuron's own (`datapath/composable.py`)."""

    name = "composable"
    words = f"array of {COMPOSED_BITS} bits that splits into {PARTS} of {PART_BITS}"
    is_one_row = True

    def rows(
        self, m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int = 0
    ) -> tuple[Value, Value]:
        """A product without the mode pin, as one of its parts makes it."""
        from fewbits.hardware.multipliers.circuits.exact import array  # loads Amaranth: late

        return array(m, multiplier, multiplicand, width, registers)

    def products_per_lane(self, precision: Precision) -> int:
        """1 of 8 bits, 4 of 4 bits."""
        return _PRODUCTS.get(precision.weights, 1)

    def refusal(self, precision: Precision) -> str | None:
        """It has two modes."""
        if precision.weights == precision.inputs and precision.weights in _PRODUCTS:
            return None
        modes = " and ".join(f"fixed{number_format.bits}" for number_format in _PRODUCTS)
        return (
            f"the composable multiplier has two modes, {modes}, not {precision.name}: give one of these, or another "
            "multiplier"
        )


COMPOSABLE = Composable()
