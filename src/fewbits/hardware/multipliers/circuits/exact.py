"""Circuits of exact multipliers: Booth, array and plain multiplication."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed

from fewbits.hardware.rtl.bit_heap import BitHeap, registered, shared


def array(m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int = 0) -> tuple[Value, Value]:
    """Two rows that sum to the product of two signed numbers modulo 2**width; a partial product for each bit.

    Signs: Baugh and Wooley, "A two's complement parallel array multiplication algorithm" (IEEE Transactions on
    Computers, 1973): where one of two bits is a sign, the product's inverse is added, and constants make up for it.
    """
    heap = BitHeap(width)
    signs = len(multiplier) - 1, len(multiplicand) - 1
    for place, bit in enumerate(multiplier):
        row = multiplicand & bit.replicate(len(multiplicand))
        inverted = Const(1, 1).replicate(signs[1]) if place == signs[0] else Const(0, signs[1])
        heap.add_unsigned(shared(m, row ^ Cat(inverted, Const(int(place != signs[0]), 1))), place)
    # -(x + y) for rows x of signs[1] bits at signs[0] and y of signs[0] bits at signs[1]: inverse and 1, less 2**width
    heap.constant += 2 ** signs[0] + 2 ** signs[1] - 2 ** (sum(signs) + 1)
    return heap.compress(m, registers)


def booth(m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int = 0) -> tuple[Value, Value]:
    """Two rows that sum to the product of two signed numbers modulo 2**width; above their bits, plus 2**`excess`.

    Radix-4 recoding: MacSorley, "High-speed arithmetic in binary computers" (Proceedings of the IRE, 1961). A row's
    sign weighs -2**top = 2**top + 2**(top + 1) - 2**(top + 2): its inverse, a one above it, and what the next row's
    sign takes up. For the last row nothing does, so that the sum is too large by 2**excess, excess = len(multiplicand)
    + 2 * digits, no less than the product's width: out of range, or taken off again in a tree
    (`MultiplierKind.excess`).
    The one that completes a negated row lies in the free places below the next row.
    """
    digits = (len(multiplier) + 1) // 2
    extended = Cat(Const(0, 1), multiplier, multiplier[-1].replicate(2))
    once = Cat(multiplicand, multiplicand[-1])
    twice = Cat(Const(0, 1), multiplicand)
    heap = BitHeap(width)
    below_row: Value = Const(0, 0)
    negative: Value = Const(0, 1)
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
    return heap.compress(m, registers)


def operator(m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int = 0) -> tuple[Value, Value]:
    """The product of two signed numbers modulo 2**width as one row, and a row of zeros: synthesis makes it.

    registers: so many lie behind it, which retiming and DSP blocks take up.
    """
    product = Signal(signed(width), name="product")
    m.d.comb += product.eq(multiplier.as_signed() * multiplicand.as_signed())
    row: Value = product
    for _ in range(registers):
        row = registered(m, row, "product")
    return row.as_unsigned(), Const(0, width)
