"""Powers of two times integers: a shifter and a negation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.formats import PowerOfTwo, Precision
from fewbits.hardware.datapath.integer_sums import IntegerSums, takes_integers

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value

WIDEST = 6
"""Of weights, in bits: those of pow2-6 shift by up to 30 places, those of pow2-7 would by up to 62."""


class Shifter(IntegerSums):
    """Weights pow2-N, inputs fixedM or ufixedM."""

    @classmethod
    def computes(cls, precision: Precision) -> bool:
        """Weights of up to six bits."""
        weights = precision.weights
        return isinstance(weights, PowerOfTwo) and weights.bits <= WIDEST and takes_integers(precision)

    @property
    def multiplier_kind(self) -> str:
        """Its multiplier."""
        return "shifter"

    def product_rows(self, m: Module, weight: Value, value: Value) -> tuple[Value, Value]:
        """The input moved left, inverted where the weight is negative, and the one that completes the negation."""
        from amaranth.hdl import Mux, Signal, signed

        bits = self.precision.weights.bits
        k, negative = weight[: bits - 1], weight[bits - 1]
        shifted = Signal(signed(self.full_product_bits))
        enabled = Mux(k == 0, 0, value)
        m.d.comb += shifted.eq(enabled.as_signed() << (k - 1)[: bits - 1])
        return shifted ^ negative.replicate(len(shifted)), negative
