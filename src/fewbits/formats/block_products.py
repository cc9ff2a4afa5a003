"""Products of blocks, summed exactly: elements as integers of their format's least unit, and the width that sums take.

A block's sum is sum(a * b) * unit_a * unit_b * scale_a * scale_b: the first factor is an integer of few bits, so that a
block needs no float until its sum meets the accumulator.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fewbits.errors import FormatError
from fewbits.formats.blocks import BlockFormat


def element_integers(number_format: BlockFormat, codes: NDArray[Any]) -> NDArray[Any]:
    """Elements in units of the format's least one above zero: int64, any shape.

    Raises FormatError for a code of infinity or NaN, or what `Format.decode` refuses.
    """
    element = number_format.element
    numbers = element.decode(torch.from_numpy(np.asarray(codes).astype(np.int64)))
    if not bool(numbers.isfinite().all()):
        raise FormatError(f"an element {element.name} is infinite or NaN, which is summed with no integers")
    return (numbers / float(element.smallest_positive)).to(torch.int64).numpy()


def block_dot(
    weights: BlockFormat, weight_codes: NDArray[Any], inputs: BlockFormat, input_codes: NDArray[Any]
) -> NDArray[Any]:
    """Exact sums of products along the last dimension, in units of `product_unit`.

    Codes of elements: shapes that broadcast. int64 where `sum_bits` allows, else Python integers as objects.
    """
    first, second = element_integers(weights, weight_codes), element_integers(inputs, input_codes)
    terms = max(first.shape[-1], second.shape[-1])
    if sum_bits(weights, inputs, terms) > 64:
        first, second = first.astype(object), second.astype(object)
    return np.sum(first * second, axis=-1)


def sum_bits(weights: BlockFormat, inputs: BlockFormat, terms: int) -> int:
    """The smallest two's complement width that holds every sum of so many products of elements."""
    (low, high), (lowest, highest) = _range(weights), _range(inputs)
    products = [a * b * terms for a in (low, high) for b in (lowest, highest)]
    return max(max(products).bit_length(), (-min(products) - 1).bit_length()) + 1


def product_unit(weights: BlockFormat, inputs: BlockFormat) -> Fraction:
    """What a unit of `block_dot` is worth, before the scales of the two blocks: a power of two."""
    units = [one.element.smallest_positive / 2**one.element_point for one in (weights, inputs)]
    return units[0] * units[1]


def _range(number_format: BlockFormat) -> tuple[int, int]:
    unit = number_format.element.smallest_positive / 2**number_format.element_point
    return int(number_format.element_lowest / unit), int(number_format.element_largest / unit)
