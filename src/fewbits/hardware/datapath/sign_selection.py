"""Signs times integers: the input, its negative, or with ternary weights nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.formats import Binary, Precision, Ternary
from fewbits.hardware.datapath.integer_sums import IntegerSums, takes_integers

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value


class SignSelection(IntegerSums):
    """Weights binary, inputs fixedM or ufixedM."""

    @classmethod
    def computes(cls, precision: Precision) -> bool:
        """Binary weights, fixed point inputs."""
        return isinstance(precision.weights, Binary) and takes_integers(precision)

    @property
    def multiplier_kind(self) -> str:
        """Its multiplier."""
        return "sign selection"

    def product_rows(self, m: Module, weight: Value, value: Value) -> tuple[Value, Value]:
        """The input, inverted where the weight is -1, and the one that completes the negation."""
        negative = weight[0]
        return self.extended(value) ^ negative.replicate(self.full_product_bits), negative


class TernarySelection(SignSelection):
    """Weights ternary, inputs fixedM or ufixedM."""

    @classmethod
    def computes(cls, precision: Precision) -> bool:
        """Ternary weights, fixed point inputs."""
        return isinstance(precision.weights, Ternary) and takes_integers(precision)

    def product_rows(self, m: Module, weight: Value, value: Value) -> tuple[Value, Value]:
        """The same, nothing where the weight is 0."""
        negative = weight[1]
        kept = self.extended(value) & weight[0].replicate(self.full_product_bits)
        return kept ^ negative.replicate(self.full_product_bits), negative
