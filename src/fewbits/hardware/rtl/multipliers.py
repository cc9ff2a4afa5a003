"""Multipliers of one synapse for integer precisions: Booth, shifter and sign selection, with registered outputs."""

# Amaranth is not typed: its operators and ports give values that a type checker cannot follow.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false, reportReturnType=false, reportOperatorIssue=false, reportAssignmentType=false
# pyright: reportInconsistentConstructor=false, reportCallIssue=false, reportUnnecessaryComparison=false
from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from fewbits.formats import FixedPoint, PowerOfTwo
from fewbits.hardware.rtl.bit_heap import BitHeap, shared
from fewbits.hardware.rtl.design import NeuronDesign


class Multiplier(Component):
    """One product a cycle, as a signed row `high` and a second row or bit `low` that is added to it.

    `low` is the carry-save partner of a Booth product, or the one that completes a negation; 1 bit of constant zero
    where a product is whole.
    """

    def __init__(self, design: NeuronDesign) -> None:
        self.design = design
        weights, inputs = design.precision.weights, design.precision.inputs
        super().__init__(
            {"weight": In(weights.bits), "value": In(signed(inputs.bits)),
             "high": Out(design.high_bits), "low": Out(design.low_bits)}
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The rows and their registers."""
        m = Module()
        high, low = self._rows(m)
        m.d.sync += [self.high.eq(high), self.low.eq(low)]
        return m

    def _rows(self, m: Module) -> tuple[Value, Value]:
        weights = self.design.precision.weights
        if isinstance(weights, FixedPoint):
            rows = booth(m, self.weight, self.value, self.design.high_bits)
            return rows if self.design.carry_save_products else ((rows[0] + rows[1])[: len(self.high)], Const(0, 1))
        if isinstance(weights, PowerOfTwo):
            k, negative = self.weight[: weights.bits - 1], self.weight[weights.bits - 1]
            shifted = Signal(signed(self.design.product_bits))
            enabled = Mux(k == 0, 0, self.value)
            m.d.comb += shifted.eq(enabled.as_signed() << (k - 1)[: weights.bits - 1])
            return shifted ^ negative.replicate(len(shifted)), negative
        if weights.family == "binary":
            negative = self.weight[0]
            return self._extended(self.value) ^ negative.replicate(len(self.high)), negative
        negative = self.weight[1]
        kept = self._extended(self.value) & self.weight[0].replicate(len(self.high))
        return kept ^ negative.replicate(len(self.high)), negative

    def _extended(self, value: Value) -> Value:
        return Cat(value, value[-1].replicate(self.design.product_bits - len(value)))


def booth(m: Module, multiplier: Value, multiplicand: Value, width: int) -> tuple[Value, Value]:
    """Two rows that sum to the product of two signed numbers modulo 2**width; above their bits, plus 2**`excess`.

    Radix-4 recoding: MacSorley, "High-speed arithmetic in binary computers" (Proceedings of the IRE, 1961). A row's
    sign weighs -2**top = 2**top + 2**(top + 1) - 2**(top + 2): its inverse, a one above it, and what the next row's
    sign takes up. For the last row nothing does, so that the sum is too large by 2**excess, excess = len(multiplicand)
    + 2 * digits, no less than the product's width: out of range, or cancelled in a tree of 2**n products that is n bits
    wider than they are. The one that completes a negated row lies in the free places below the next row.
    """
    digits = (len(multiplier) + 1) // 2
    extended = Cat(Const(0, 1), multiplier, multiplier[-1].replicate(2))
    once = Cat(multiplicand, multiplicand[-1])
    twice = Cat(Const(0, 1), multiplicand)
    heap = BitHeap(width)
    below_row: Value = Const(0, 0)
    for digit in range(digits):
        below, middle, above = (extended[2 * digit + i] for i in range(3))
        is_one = shared(m, below ^ middle)
        is_two = shared(m, (above & ~middle & ~below) | (~above & middle & below))
        negative = shared(m, above & ~(middle & below))
        row = (once & is_one.replicate(len(once))) | (twice & is_two.replicate(len(twice)))
        row = shared(m, row ^ Cat(negative.replicate(len(once) - 1), ~negative))
        heap.add_unsigned(Cat(below_row, row, Const(1, 1)), 2 * digit - len(below_row))
        below_row = Cat(negative, Const(0, 1))
    heap.add_bit(negative, 2 * digits - 2)
    heap.constant += 2 ** (len(once) - 1)
    return heap.compress(m)
