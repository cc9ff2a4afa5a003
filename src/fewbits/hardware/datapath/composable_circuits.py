"""Circuits of a neuron whose multipliers split: its lane of four small multipliers, and its output stage.

A product of 8 bits is that of the operands' halves, ll + 2**4 (lh + hl) + 2**8 hh (Sharma et al., "Bit Fusion", ISCA
2018). The multipliers are arrays of 4 x 4 bits with signs as Baugh and Wooley have them; a half that is no operand's
upper one is unsigned. Where the lane is split, all four take operands of their own, signed ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.datapath.accumulate import OutputStage, output_stage_ports
from fewbits.hardware.multipliers.composable import COMPOSED_BITS, PART_BITS, PARTS
from fewbits.hardware.rtl.bit_heap import BitHeap, shared

if TYPE_CHECKING:
    from fewbits.hardware.datapath.composable import Composable

_TOP = PART_BITS - 1


class ComposableLane(Component):
    """One product of 8 bits or four of 4 bits a cycle, as an unsigned sum `high`, too large by `excess`; registered."""

    def __init__(self, design: Composable) -> None:
        self.design = design
        super().__init__(
            {
                "weight": In(design.weight_lane_bits),
                "value": In(design.input_lane_bits),
                "split": In(1),
                "high": Out(design.high_bits),
                "low": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Operands chosen, four products, each moved to its place, their sum."""
        m = Module()
        split: Value = self.split
        w, x = ([port.word_select(k, PART_BITS) for k in range(PARTS)] for port in (self.weight, self.value))
        one = Const(1, 1)
        ll = _product(m, w[0], x[0], split, split, "ll")
        hh = _product(m, w[1], x[1], one, one, "hh")
        lh = _product(m, shared(m, Mux(split, w[2], w[0])), shared(m, Mux(split, x[2], x[1])), split, one, "lh")
        hl = _product(m, shared(m, Mux(split, w[3], w[1])), shared(m, Mux(split, x[3], x[0])), one, split, "hl")
        whole = ~split
        heap = BitHeap(self.design.high_bits)
        heap.add_unsigned(Cat(ll, hh & whole.replicate(len(hh))))
        heap.add_unsigned(hh & split.replicate(len(hh)))
        for middle in (lh, hl):
            heap.add_unsigned(_placed(m, middle, split))
        row0, row1 = heap.compress(m)
        m.d.sync += self.high.eq(row0 + row1)
        m.d.comb += self.low.eq(split)
        return m


def _placed(m: Module, product: Value, split: Value) -> Value:
    """A product in place 0 where the lane is split, else in place PART_BITS."""
    whole = (~split).replicate(PART_BITS)
    low, high = product[:PART_BITS], product[PART_BITS:]
    return shared(m, Cat(low & ~whole, Mux(split, high, low), high & whole), "placed")


def _product(m: Module, a: Value, b: Value, a_is_signed: Value, b_is_signed: Value, name: str) -> Value:
    """Product of two halves, as an unsigned number of 8 bits: too large by `_part_excess`."""
    heap = BitHeap(2 * PART_BITS)
    for i in range(PART_BITS):
        for j in range(PART_BITS):
            bit = a[i] & b[j]
            if i == _TOP:
                bit = bit ^ a_is_signed
            if j == _TOP:
                bit = bit ^ b_is_signed
            heap.add_bit(shared(m, bit, "partial"), i + j)
    row0, row1 = heap.compress(m)
    return shared(m, (row0 + row1)[: 2 * PART_BITS], name)


def _part_excess(a_is_signed: bool, b_is_signed: bool) -> int:
    """What a product of halves is too large by: 2**place for each partial product that is inverted.

    A sign weighs -2**_TOP; a bit of weight -2**k is its inverse at 2**k, less 2**k. Products of two signs are positive.
    """
    places = range(PART_BITS)
    inverted = ((i, j) for i in places for j in places if (i == _TOP and a_is_signed) != (j == _TOP and b_is_signed))
    return sum(1 << (i + j) for i, j in inverted)


def excess(is_split: bool) -> int:
    """What the sum of a lane is too large by."""
    if is_split:
        return PARTS * _part_excess(True, True)
    middle = _part_excess(True, False) + _part_excess(False, True)
    return (_part_excess(True, True) << COMPOSED_BITS) + (middle << PART_BITS) + _part_excess(False, False)


class TwoFormatOutput(OutputStage):
    """Rounds to 8 bits, or where `narrow` holds to 4, with the sign in the places above."""

    def __init__(self, design: Composable) -> None:
        self.design = design
        Component.__init__(self, {**output_stage_ports(design), "narrow": In(1)})

    def rounded(self, word: Value, guard: Value, sticky: Value) -> Value:
        """Round half to even, saturate at either width, and cut off negatives if `relu` is set."""
        narrow: Value = self.narrow
        sign, above, middle = word[-1], word[COMPOSED_BITS - 1 :], word[_TOP : COMPOSED_BITS - 1]
        fits = ((above == 0) | above.all()) & (~narrow | (middle == sign.replicate(len(middle))))
        up = guard & (sticky | word[0])
        highest = ~sign & word[:_TOP].all() & (narrow | middle.all())
        limit = Cat((~sign).replicate(_TOP), (sign ^ ~narrow).replicate(len(middle)), sign)
        rounded = Mux(fits & ~(highest & up), (word[:COMPOSED_BITS] + up)[:COMPOSED_BITS], limit)
        return Mux(self.relu & sign, 0, rounded)
