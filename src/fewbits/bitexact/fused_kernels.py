"""Compiled loops around matrix products of integers: gather operands, carry, round, pool; one pass each.

Integers are float32 or float64 arrays in which they are exact. Adding and subtracting 1.5 * 2**(p-1), p the bits of the
type's significand, rounds to the nearest integer, ties to even, once the value has been limited to the format's range.
"""

from __future__ import annotations

import numpy as np

from fewbits.bitexact.wide import LIMB_BITS
from fewbits.compiled import compiled

_MASK = 2**LIMB_BITS - 1
_BEYOND = 2**40
"""A partial result this large saturates every format of up to 32 bits after the shift that is still to come (< 16)."""


@compiled  # pragma: no cover (runs as machine code)
def round_flat(x, out, scale, low, high, magic):
    """Out = x * scale, rounded and limited. x, out: flat; all scalars in the dtype of x."""
    for index in range(x.size):
        value = x[index] * scale
        value = low if value < low else value
        value = high if value > high else value
        out[index] = (value + magic) - magic


@compiled  # pragma: no cover (runs as machine code)
def add_flat(a, b, scale_a, scale_b, out, low, high, magic):
    """Out = a * scale_a + b * scale_b, rounded and limited. a, b, out: flat; all scalars float64."""
    for index in range(a.size):
        value = a[index] * scale_a + b[index] * scale_b
        value = low if value < low else value
        value = high if value > high else value
        out[index] = (value + magic) - magic


@compiled  # pragma: no cover (runs as machine code)
def round_images(x, out, scale, low, high, magic):
    """The same for images; returns whether one was NaN."""
    bad = np.int32(0)
    for index in range(x.size):
        value = x[index] * scale
        bad |= np.int32(value != value)
        value = low if value < low else value
        value = high if value > high else value
        out[index] = (value + magic) - magic
    return bad != 0


@compiled  # pragma: no cover (runs as machine code)
def round_maps(x, rows, columns, out, swap, scale, low, high, magic):
    """Largest value of each window, rounded and limited; rounding never changes an order, so it comes last.

    x: A x B x height x width; rows, columns: positions x elements of the window (an element repeated where there is
    padding). out: flat, for maps A x B, or B x A if `swap`.
    """
    outer, inner, _, width = x.shape
    size = len(rows) * len(columns)
    best = np.empty(width, x.dtype)
    for a in range(outer):
        for b in range(inner):
            target = (b * outer + a if swap else a * inner + b) * size
            for i in range(len(rows)):
                first = x[a, b, rows[i, 0]]
                for column in range(width):
                    best[column] = first[column]
                for k in range(1, rows.shape[1]):
                    other = x[a, b, rows[i, k]]
                    for column in range(width):
                        best[column] = other[column] if other[column] > best[column] else best[column]
                for j in range(len(columns)):
                    largest = best[columns[j, 0]]
                    for k in range(1, columns.shape[1]):
                        candidate = best[columns[j, k]]
                        largest = candidate if candidate > largest else largest
                    value = largest * scale
                    value = low if value < low else value
                    value = high if value > high else value
                    out[target + i * len(columns) + j] = (value + magic) - magic


@compiled  # pragma: no cover (runs as machine code)
def average_maps(x, rows, columns, divisors, out, low, high, magic):
    """Sum of each window, divided, rounded and limited.

    x: maps x height x width; rows, columns: positions x elements, -1 for padding; divisors: float64, positions; out:
    maps x positions. low, high, magic: float64.
    """
    width = x.shape[2]
    sums = np.empty(width, np.float64)
    for index in range(len(x)):
        for i in range(len(rows)):
            sums[:] = 0
            for row in rows[i]:
                if row >= 0:
                    values = x[index, row]
                    for column in range(width):
                        sums[column] += values[column]
            for j in range(len(columns)):
                total = 0.0
                for column in columns[j]:
                    if column >= 0:
                        total += sums[column]
                value = total / divisors[i, j]
                value = low if value < low else value
                value = high if value > high else value
                out[index, i, j] = (value + magic) - magic


@compiled  # pragma: no cover (runs as machine code)
def split(columns, low):
    """Integers to limbs of 16 bits, in place: what lies above stays (signed), the rest (0 to 2**16 - 1) goes to `low`.

    columns, low: flat, float64.
    """
    for index in range(columns.size):
        above = np.floor(columns[index] * (1.0 / (_MASK + 1)))
        low[index] = columns[index] - above * (_MASK + 1)
        columns[index] = above


@compiled  # pragma: no cover (runs as machine code)
def round_wide(sums, bias, shift, relu, low, high, out):
    """Carry sums of limb products, then ReLU, round half to even and limit.

    sums: limbs x outputs x elements, float64 integers; entry t counts 2**(16 * t). bias: limbs x outputs, int64. shift:
    places to the right, at least 1. out: outputs x elements, float64.
    """
    limbs, outputs, elements = sums.shape
    whole = (shift - 1) // LIMB_BITS  # limbs that the shift drops altogether
    count = max(limbs, whole)
    digits = np.empty(count, np.int64)
    rest = shift - whole * LIMB_BITS  # 1 to 16
    half = 1 << (rest - 1)
    for output in range(outputs):
        for element in range(elements):
            carry = np.int64(0)
            for limb in range(count):
                total = carry
                if limb < limbs:
                    total += np.int64(sums[limb, output, element]) + bias[limb, output]
                digits[limb] = total & _MASK
                carry = total >> LIMB_BITS
            if relu and carry < 0:
                out[output, element] = 0
                continue
            head = carry
            for limb in range(count - 1, whole - 1, -1):
                head = min(max(head, -_BEYOND), _BEYOND) * (_MASK + 1) + digits[limb]
            below = np.int64(0)
            for limb in range(whole):
                below |= digits[limb]
            quotient = head >> rest
            remainder = head & ((1 << rest) - 1)
            if remainder > half or (remainder == half and (below != 0 or quotient & 1)):
                quotient += 1
            out[output, element] = min(max(quotient, low), high)
