"""How wide the accumulator of a layer is."""

from __future__ import annotations

import math
from typing import Any

from fewbits.bitexact.accumulator import format_range, sums_of_products, table_range, twos_complement_bits, weight_range
from fewbits.formats import Format
from fewbits.formats.encoded import Encoded
from fewbits.formats.product_table import LayerProducts

FLOAT_ACCUMULATOR_BITS = 32
"""Float precisions add in float32 (docs/architecture.md)."""

LARGEST_SUM_BITS = 62
"""Widest accumulator, sign included, of truncated products and of tables: an int64 then holds every sum, and carries of
limbs."""


def accumulator_widths(
    weight: Encoded, input_format: Format, bias: Any, dropped: int = 0, products: LayerProducts | None = None
) -> tuple[int, int]:
    """Accumulator bits with these weights, and with any weights of the format.

    bias: integers (floats in a float precision), or None. dropped: bits that are cut off a product. products: what the
    products are, where they are not exact.
    """
    if input_format.arithmetic == "float32":
        return FLOAT_ACCUMULATOR_BITS, FLOAT_ACCUMULATOR_BITS
    synapses = math.prod(weight.shape[1:])
    moves = weight.scale.moves
    moved = max(moves or (0,))
    if products is not None:
        low, high = products.limits
        return (
            twos_complement_bits(*table_range(products.ranges(weight.codes), moves, bias)),
            twos_complement_bits(*sums_of_products((low << moved, high << moved), synapses, bias)),
        )
    inputs = input_format.integer_limits
    low, high = weight.number_format.integer_limits
    return (
        twos_complement_bits(*weight_range(weight.integers, inputs, bias, dropped)),
        twos_complement_bits(*format_range((low << moved, high << moved), inputs, synapses, bias, dropped)),
    )
