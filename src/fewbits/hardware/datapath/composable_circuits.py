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
from fewbits.hardware.datapath.adder_tree import AdderTree, adder_tree_ports
from fewbits.hardware.datapath.composable import LANE_FIELDS
from fewbits.hardware.multipliers.composable import COMPOSED_BITS, PART_BITS, PARTS
from fewbits.hardware.rtl.bit_heap import BitHeap, shared

if TYPE_CHECKING:
    from fewbits.hardware.datapath.composable import Composable

_TOP = PART_BITS - 1


class ComposableLane(Component):
    """Four products of 4 bits a cycle, those of a product of 8 bits or of operands of their own; registered.

    `high` holds them as `LANE_FIELDS` tells.
    """

    def __init__(self, design: Composable) -> None:
        self.design = design
        super().__init__(
            {
                "weight": In(design.weight_lane_bits),
                "value": In(design.input_lane_bits),
                "split": In(1),
                "high": Out(design.high_bits),
                "low": Out(design.low_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Operands chosen, four products; the mixed ones are added, as they weigh the same in both modes."""
        m = Module()
        split: Value = self.split
        w, x = ([port.word_select(k, PART_BITS) for k in range(PARTS)] for port in (self.weight, self.value))
        one = Const(1, 1)
        lower, mixed, upper = (BitHeap(bits) for bits in LANE_FIELDS)
        _add_product(m, lower, w[0], x[0], split, split)
        _add_product(m, mixed, shared(m, Mux(split, w[2], w[0])), shared(m, Mux(split, x[2], x[1])), split, one)
        _add_product(m, mixed, shared(m, Mux(split, w[3], w[1])), shared(m, Mux(split, x[3], x[0])), one, split)
        _add_product(m, upper, w[1], x[1], one, one)
        sums: list[Value] = []
        for heap in (lower, mixed, upper):
            row0, row1 = heap.compress(m)
            sums.append((row0 + row1)[: heap.width])
        m.d.sync += self.high.eq(Cat(*sums))
        return m


def _add_product(m: Module, heap: BitHeap, a: Value, b: Value, a_is_signed: Value, b_is_signed: Value) -> None:
    """Add the product of two halves to a heap, as an unsigned number: too large by `_part_excess`."""
    for i in range(PART_BITS):
        for j in range(PART_BITS):
            bit = a[i] & b[j]
            if i == _TOP:
                bit = bit ^ a_is_signed
            if j == _TOP:
                bit = bit ^ b_is_signed
            heap.add_bit(shared(m, bit, "partial"), i + j)


class ComposableTree(AdderTree):
    """Sums of all lanes' lower, mixed and upper products, which the mode moves to their places and adds.

    Sums first, then places: one shift a neuron in place of one a lane (Ryu et al., "BitBlade: Area and energy-efficient
    precision-scalable neural network accelerator with bitwise summation", DAC 2019).
    """

    design: Composable

    def __init__(self, design: Composable) -> None:
        self.design = design
        Component.__init__(self, {**adder_tree_ports(design), "split": In(1)})

    def rows(self, m: Module, registers: int) -> tuple[Value, Value]:
        """The three sums in two rows each, and those of all three; the registers lie in front of the latter."""
        split: Value = self.split
        heap = BitHeap(self.design.tree_bits)
        lanes = [self.high.word_select(lane, self.design.high_bits) for lane in range(self.design.synapses)]
        start = 0
        for number, bits in enumerate(LANE_FIELDS):
            sums = BitHeap(bits + self.design.tree_levels)
            for lane in lanes:
                sums.add_unsigned(lane[start : start + bits])
            for row in sums.compress(m, registers):
                heap.add_unsigned(_placed(m, row, split, number * PART_BITS))
            start += bits
        mask = (1 << heap.width) - 1
        whole_places, split_places = (-self.design.synapses * excess(is_split) & mask for is_split in (False, True))
        heap.constant += whole_places & split_places
        for place in range(heap.width):
            if (whole_places ^ split_places) >> place & 1:
                heap.add_bit(split if split_places >> place & 1 else ~split, place)
        return heap.compress(m)


def _placed(m: Module, row: Value, split: Value, places: int) -> Value:
    """A row as it is where lanes are split, else moved up by so many places."""
    if places == 0:
        return row
    whole = (~split).replicate(places)
    low, high = row[:places], row[-places:]
    middle = Mux(split, row[places:], row[:-places])
    return shared(m, Cat(low & ~whole, middle, high & whole)[: len(row) + places], "placed")


def _part_excess(a_is_signed: bool, b_is_signed: bool) -> int:
    """What a product of halves is too large by: 2**place for each partial product that is inverted.

    A sign weighs -2**_TOP; a bit of weight -2**k is its inverse at 2**k, less 2**k. Products of two signs are positive.
    """
    places = range(PART_BITS)
    inverted = ((i, j) for i in places for j in places if (i == _TOP and a_is_signed) != (j == _TOP and b_is_signed))
    return sum(1 << (i + j) for i, j in inverted)


def excess(is_split: bool) -> int:
    """What the sum of a lane's products in their places is too large by."""
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
