"""How wide an accumulator must be: bounds on every sum of products, in any order of summation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[int, int]
"""Smallest and largest integer."""


def twos_complement_bits(low: int, high: int) -> int:
    """Width of the smallest two's complement integer that holds all from `low` (<= 0) to `high` (>= 0)."""
    return 1 + max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)


def product_range(weights: Range, inputs: Range) -> Range:
    """Smallest and largest product."""
    products = [weight * value for weight in weights for value in inputs]
    return min(products), max(products)


def format_range(weights: Range, inputs: Range, synapses: int, bias: tuple[int, ...] | None, dropped: int = 0) -> Range:
    """Range of every partial sum for any weights and inputs of their formats, on top of this bias.

    dropped: bits that are cut off a product.
    """
    low, high = product_range(weights, inputs)
    return sums_of_products((low >> dropped, high >> dropped), synapses, bias)


def sums_of_products(products: Range, synapses: int, bias: tuple[int, ...] | None) -> Range:
    """Range of every partial sum of so many products within a range, on top of this bias."""
    smallest, largest = min(bias or (0,)), max(bias or (0,))
    return synapses * min(0, products[0]) + min(0, smallest), synapses * max(0, products[1]) + max(0, largest)


def table_range(products: NDArray[np.int64], moves: tuple[int, ...] | None, bias: tuple[int, ...] | None) -> Range:
    """Range of every partial sum of products that tables give; see `weight_range`.

    products: smallest and largest of each weight, outputs x synapses x 2. moves: places by which each output's sums
    move left.
    """
    smallest = _row_sums(np.minimum(products[..., 0], 0))
    largest = _row_sums(np.maximum(products[..., 1], 0))
    each = list(zip(moves or (0,) * len(products), bias or (0,) * len(products), strict=True))
    return (
        min((total << move) + min(0, b) for total, (move, b) in zip(smallest, each, strict=True)),
        max((total << move) + max(0, b) for total, (move, b) in zip(largest, each, strict=True)),
    )


def weight_range(weight: NDArray[Any], inputs: Range, bias: tuple[int, ...] | None, dropped: int = 0) -> Range:
    """Range of every partial sum with these weights, for any inputs within a range (low <= 0 <= high).

    A sum of any of the products, with or without the bias, lies between the sum of those that can be negative and the
    sum of those that can be positive; that also holds for the tree of an adder and for zeros of padding.
    weight: integers, outputs first. dropped: bits that are cut off a product; its magnitude is then below 2**63.
    """
    low, high = inputs
    rows = weight.reshape(len(weight), -1)
    if dropped:
        return _cut_range(rows.astype(np.int64), inputs, bias or (0,) * len(rows), dropped)
    positive, negative = _row_sums(np.where(rows > 0, rows, 0)), _row_sums(np.where(rows < 0, rows, 0))
    biases = bias or (0,) * len(rows)
    smallest = [p * low + n * high + min(0, b) for p, n, b in zip(positive, negative, biases, strict=True)]
    largest = [p * high + n * low + max(0, b) for p, n, b in zip(positive, negative, biases, strict=True)]
    return min(smallest), max(largest)


def _cut_range(rows: NDArray[np.int64], inputs: Range, bias: tuple[int, ...], dropped: int) -> Range:
    """See `weight_range`."""
    ends = [(rows * end) >> dropped for end in inputs]
    smallest = _row_sums(np.minimum(np.minimum(*ends), 0).astype(object))
    largest = _row_sums(np.maximum(np.maximum(*ends), 0).astype(object))
    return (
        min(total + min(0, b) for total, b in zip(smallest, bias, strict=True)),
        max(total + max(0, b) for total, b in zip(largest, bias, strict=True)),
    )


def magnitude(bounds: Range) -> int:
    """The larger distance of the two bounds from zero."""
    return max(-bounds[0], bounds[1])


def _row_sums(rows: NDArray[Any]) -> list[int]:
    """Sums of integers of at most 62 bits, or of Python integers, that cannot overflow."""
    if rows.dtype == object or rows.dtype.itemsize == 8:
        return [int(total) for total in rows.astype(object).sum(axis=1)]
    return [int(total) for total in rows.sum(axis=1, dtype=np.int64)]
