"""Integers times integers: Booth, array or plain multipliers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.formats import FixedPoint, Precision
from fewbits.hardware.datapath.integer_sums import IntegerSums, takes_integers

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value

    from fewbits.hardware.rtl.bit_heap import BitHeap


class Integer(IntegerSums):
    """Weights fixedN, inputs fixedM or ufixedM."""

    @classmethod
    def computes(cls, precision: Precision) -> bool:
        """Both formats fixed point."""
        return isinstance(precision.weights, FixedPoint) and takes_integers(precision)

    @property
    def _adds_two_rows(self) -> bool:
        return not self.multiplier_made.is_one_row and self.full_product_bits >= self.pipelining.adds_products_below

    @property
    def carry_save_products(self) -> bool:
        """For wide products that are whole.

        Where Booth recoding, compression and a carry-propagating addition do not fit one period, they do without the
        addition, and the tree compresses 32 rows as well as 16. Truncating a product takes its sum.
        """
        return self._adds_two_rows and self.kept_product_bits is None

    @property
    def adds_rows_apart(self) -> bool:
        """For wide products that are truncated."""
        return self._adds_two_rows and self.kept_product_bits is not None

    def lane_padding(self, synapses: int) -> int:
        """What the multiplier makes of two codes 0, in each lane that a layer leaves over."""
        table = self.multiplier_made.table(self.precision)
        return 0 if table is None else -synapses % self.synapses * int(table.values[0, 0])

    @property
    def multiply_stages(self) -> int:
        """Those of the compression of partial products, and of rows that are added apart."""
        return self.pipelining.multiply_cycles + self.adds_rows_apart

    @property
    def multiplier_kind(self) -> str:
        """How partial products are made."""
        return self.multiplier_made.words

    @property
    def multiplier(self) -> str:
        """With the product's width and form."""
        if self.kept_product_bits is not None:
            return super().multiplier
        if not self.multiplier_made.is_exact:
            return self.multiplier_kind
        return f"{self.multiplier_kind}, full product" + (" in carry-save form" if self.carry_save_products else "")

    @property
    def element_multiplier(self) -> str:
        """Wide products are added in a cycle of their own, whole ones too."""
        if self.kept_product_bits is not None:
            return self.multiplier
        apart = ", its two rows added in a cycle of their own" if self.carry_save_products else ""
        return f"{self.multiplier_kind}, full product{apart}"

    def add_products(self, heap: BitHeap, high: Value, low: Value) -> None:
        """Less what rows in carry-save form are too large by; nothing for 2**n of them, which wrap around."""
        super().add_products(heap, high, low)
        if self.carry_save_products:
            excess = self.multiplier_made.excess(self.precision.weights.bits, self.signed_input_bits)
            heap.constant -= self.synapses * excess

    def product_rows(self, m: Module, weight: Value, value: Value) -> tuple[Value, Value]:
        """The compressed partial products, added where that fits the cycle."""
        from amaranth.hdl import Const  # late, as all circuits: a cost builds none

        two_rows, width = self.carry_save_products, self.full_product_bits
        rows = self.multiplier_made.rows(
            m, weight, value, self.high_bits if two_rows else width, self.pipelining.multiply_cycles - 1
        )
        return rows if two_rows or self.adds_rows_apart else ((rows[0] + rows[1])[:width], Const(0, 1))
