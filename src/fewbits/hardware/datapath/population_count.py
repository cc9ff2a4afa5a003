"""Signs times signs: an XNOR, and the count of the ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.formats import Binary, Precision
from fewbits.hardware.datapath.integer_sums import IntegerSums

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value

    from fewbits.hardware.rtl.bit_heap import BitHeap


class PopulationCount(IntegerSums):
    """Weights and inputs binary: of n products that are 1, the sum is 2 * n - synapses."""

    truncation_refusal = "are single bits"
    average_refusal = "averages binary values, which has no hardware: take the maximum"

    @classmethod
    def computes(cls, precision: Precision) -> bool:
        """Both formats binary."""
        return isinstance(precision.weights, Binary) and isinstance(precision.inputs, Binary)

    @property
    def high_bits(self) -> int:
        """A product is a bit."""
        return 1

    @property
    def output_stages(self) -> int:
        """A register: the sign."""
        return 1

    @property
    def multiplier_kind(self) -> str:
        """As a whole: a product alone is the XNOR."""
        return "XNOR and population count"

    def lane_padding(self, synapses: int) -> int:
        """A weight and an input of code 0, both +1, are a product of 1."""
        return -synapses % self.synapses

    def output_shift(self, shift: int) -> int:
        """None is needed: an output is the sign."""
        return 0

    def product_rows(self, m: Module, weight: Value, value: Value) -> tuple[Value, Value]:
        """One where the signs are equal."""
        from amaranth.hdl import Const

        return ~(weight ^ value[0]), Const(0, 1)

    def product_value(self, high: Value, low: Value) -> Value:
        """+1 or -1."""
        from amaranth.hdl import Cat, Const

        return Cat(Const(1, 1), ~high).as_signed()

    def add_products(self, heap: BitHeap, high: Value, low: Value) -> None:
        """Twice each one, less the synapses."""
        heap.constant -= self.synapses
        for bit in high:
            heap.add_bit(bit, 1)

    def exceeds(self, a: Value, b: Value) -> Value:
        """Code 0 is +1."""
        return ~a & b
