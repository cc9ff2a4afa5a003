"""Floats whose products are summed exactly: significands multiplied, moved to their place, added as integers.

What a float adder does in every addition, aligning, normalizing and rounding, is done once for an output, behind the
accumulator (U. Kulisch, "Computer Arithmetic and Validity", 2nd ed., 2013, chapter 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.formats import ExactFloat, FloatFormat, Precision
from fewbits.hardware.datapath.float_sums import ordered_code
from fewbits.hardware.datapath.integer_sums import IntegerSums

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value

    from fewbits.hardware.datapath.accumulate import OutputStage
    from fewbits.hardware.datapath.neuron import Neuron

WIDEST_PRODUCT = 80
"""Bits of a product, sign included: those of fp8-e5m2:exact have 65, and a tree of wider ones is larger than one of
float32 adders; float16:exact would have 81."""

OUTPUT_STAGES = 5
"""Cycles of `exact_float_circuits.ExactFloatOutputStage`."""


class ExactFloatSums(IntegerSums):
    """Weights and inputs floats of exact sums: two registers for the product, five for the rounded output."""

    average_refusal = "averages: that has hardware for integers without gaps and float32 only"

    @classmethod
    def computes(cls, precision: Precision) -> bool:
        """Both formats floats of exact sums, of products that are not too wide."""
        weights, inputs = precision.weights, precision.inputs
        if not (isinstance(weights, ExactFloat) and isinstance(inputs, ExactFloat)):
            return False
        return 1 + int(weights.largest * inputs.largest).bit_length() <= WIDEST_PRODUCT

    @property
    def formats(self) -> tuple[FloatFormat, FloatFormat]:
        """The floats of weights and inputs."""
        weights, inputs = self.precision.weights, self.precision.inputs
        assert isinstance(weights, ExactFloat), "as `computes` has it"
        assert isinstance(inputs, ExactFloat), "as `computes` has it"
        return weights.of, inputs.of

    @property
    def multiplier_kind(self) -> str:
        """That of the significands."""
        return f"{self.multiplier_made.words} significand, exact product as an integer"

    @property
    def multiply_stages(self) -> int:
        """The significands' product, then its place; and rows that are added apart."""
        return 2 + self.adds_rows_apart

    @property
    def output_stages(self) -> int:
        """The leading one in two steps, the exponent, the move right of a subnormal result, rounding."""
        return OUTPUT_STAGES

    def product_rows(self, m: Module, weight: Value, value: Value) -> tuple[Value, Value]:
        """The significands' product moved left, inverted where negative, and the one that completes the negation."""
        from fewbits.hardware.datapath.exact_float_circuits import exact_product

        return exact_product(m, self, weight, value)

    def output_stage(self, m: Module, neuron: Neuron) -> OutputStage:
        """Rounds to the inputs' float."""
        from fewbits.hardware.datapath.exact_float_circuits import ExactFloatOutputStage

        return ExactFloatOutputStage(self)

    def exceeds(self, a: Value, b: Value) -> Value:
        """Codes as unsigned numbers of the same order."""
        return ordered_code(a) > ordered_code(b)
