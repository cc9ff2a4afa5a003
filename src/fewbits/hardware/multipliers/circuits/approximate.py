"""Circuits of the named approximations: arrays that lack partial products, and Mitchell's logarithms.

What each computes is defined in `formats/approximation_kinds.py`; circuit and formula agree on every pair of codes.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Value
from numpy.typing import NDArray

from fewbits.hardware.rtl.bit_heap import BitHeap, registered, shared


def partial_products(
    m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int, kept: NDArray[np.bool_]
) -> tuple[Value, Value]:
    """Two rows that sum to the partial products that are kept, modulo 2**width.

    kept: bits of the multiplier x bits of the multiplicand. A partial product of one sign is negative: its inverse is
    added, and a constant makes up for it (`circuits.exact.array`).
    """
    heap = BitHeap(width)
    signs = len(multiplier) - 1, len(multiplicand) - 1
    for place, columns in enumerate(kept):
        inverted = [(place == signs[0]) != (j == signs[1]) for j in range(len(multiplicand))]
        for first, last in _runs(columns):
            bits = multiplicand[first:last] & multiplier[place].replicate(last - first)
            mask = Const(sum(inverted[j] << (j - first) for j in range(first, last)), last - first)
            heap.add_unsigned(shared(m, bits ^ mask), place + first)
            heap.constant -= sum(2 ** (place + j) for j in range(first, last) if inverted[j])
    return heap.compress(m, registers)


def _runs(columns: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and end of each run of kept columns."""
    runs: list[tuple[int, int]] = []
    place = 0
    for is_kept, members in groupby(columns.tolist()):
        end = place + len(list(members))
        if is_kept:
            runs.append((place, end))
        place = end
    return runs


def mitchell(m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int) -> tuple[Value, Value]:
    """The product of magnitudes whose logarithms are added, with the sign: a row, and a row of zeros.

    Mitchell (1962), equations 17 and 18: the sum of characteristics and fractions is the logarithm of the product; its
    fraction with a one before it, moved by its characteristic, is the product.
    """
    (k1, fraction1, any1), (k2, fraction2, any2) = (_logarithm(m, one) for one in (multiplier, multiplicand))
    places = max(len(fraction1), len(fraction2))
    logarithms = [
        Cat(Const(0, places - len(fraction)), fraction, k) for k, fraction in ((k1, fraction1), (k2, fraction2))
    ]
    total = shared(m, logarithms[0] + logarithms[1])
    moved = shared(m, Cat(total[:places], Const(1, 1)) << total[places:])
    magnitude = Cat(moved[places:], Const(0, width))[:width]
    negative = multiplier[-1] ^ multiplicand[-1]
    product = shared(m, Mux(any1 & any2, Mux(negative, -magnitude, magnitude), 0)[:width])
    row: Value = product
    for _ in range(registers):
        row = registered(m, row, "product")
    return row, Const(0, width)


def _logarithm(m: Module, number: Value) -> tuple[Value, Value, Value]:
    """Of a signed number's magnitude: the place of its leading one, the bits below it from the highest, whether any."""
    bits = len(number)
    magnitude = shared(m, Mux(number[-1], -number.as_signed(), number)[:bits])
    place: Value = Const(0, max(1, (bits - 1).bit_length()))
    for bit in range(bits):
        place = Mux(magnitude[bit], Const(bit, len(place)), place)
    place = shared(m, place)
    normalized = shared(m, magnitude << (bits - 1 - place)[: len(place)])
    return place, normalized[: bits - 1], magnitude.any()
