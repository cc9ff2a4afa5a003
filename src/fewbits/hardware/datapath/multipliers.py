"""The multiplier of one synapse for integers, whatever makes its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Const, Module, Shape
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.rtl.bit_heap import registered

if TYPE_CHECKING:
    from fewbits.hardware.datapath.integer_sums import IntegerSums


class Multiplier(Component):
    """One product a cycle, as a signed row `high` and a second row or bit `low` that is added to it.

    `low` is the carry-save partner of a product, or the one that completes a negation; 1 bit of constant zero where a
    product is one row. Outputs are registered. A truncated product is one row: the top bits of the rows' sum.
    """

    def __init__(self, design: IntegerSums) -> None:
        self.design = design
        weights, inputs = design.precision.weights, design.precision.inputs
        super().__init__(
            {"weight": In(weights.bits), "value": In(Shape(inputs.bits, signed=inputs.is_signed)),
             "high": Out(design.high_bits), "low": Out(design.low_bits)}
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The rows and their registers."""
        m = Module()
        high, low = self.design.product_rows(m, self.weight, self.design.with_sign(self.value))
        if self.design.adds_rows_apart:
            high, low = registered(m, high, "high_row"), registered(m, low, "low_row")
        if self.design.kept_product_bits is not None:
            high, low = (high + low)[self.design.dropped_product_bits : self.design.full_product_bits], Const(0, 1)
        m.d.sync += [self.high.eq(high), self.low.eq(low)]
        return m
