"""Flipped bits of the weights' memory: each stored bit is wrong with the same chance, drawn with a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fewbits.arguments import is_integer, is_real, shown
from fewbits.errors import HardwareError

if TYPE_CHECKING:
    from fewbits.bitexact import BitExactNetwork
    from fewbits.graph.operations import Layer, Operation


def flip_weights(
    network: BitExactNetwork, rate: float, seed: int = 0, bits: Sequence[int] | None = None
) -> BitExactNetwork:
    """The network with bits of its stored weights flipped, each with a chance of `rate`.

    bits: positions in a code that can flip, 0 the lowest; None for all. Accumulators become as wide as the formats'
    worst case. With one seed, the flips of a lower rate are among those of a higher one.
    Raises HardwareError for a rate outside 0 to 1, a position that a code does not have, floats, formats with codes
    that stand for no number, and scales that the weights' numbers hold.
    """
    from fewbits.bitexact import BitExactNetwork
    from fewbits.graph.operations import Layer

    if not is_real(rate, 0, 1):
        raise HardwareError(f"a bit error rate is a number from 0 to 1, not {shown(rate)}")
    if not is_integer(seed, 0):
        raise HardwareError(f"a seed is an integer from 0, not {shown(seed)}")
    generator = np.random.default_rng(seed)
    operations: list[Operation] = [
        _flipped(operation, rate, generator, bits) if isinstance(operation, Layer) else operation
        for operation in network.operations
    ]
    return BitExactNetwork(
        tuple(operations), network.precision, network.input_shape, network.product_bits, network.sum_order
    )


def _flipped(layer: Layer, rate: float, generator: np.random.Generator, bits: Sequence[int] | None) -> Layer:
    number_format = layer.weight_format
    width = number_format.bits
    allowed = range(width) if bits is None else bits
    wrong = [bit for bit in allowed if not is_integer(bit, 0, width - 1)]
    if wrong or not allowed:
        what = shown(wrong[0]) if wrong else "none"
        raise HardwareError(
            f"layer {layer.name!r}: a code of {number_format.name} has bits 0 to {width - 1}, not {what}"
        )
    why = ""
    if number_format.arithmetic != "integer":
        why = "a flipped exponent may leave float32, and no sum is computed then"
    elif number_format.unused_codes:
        why = "some of its codes stand for no number"
    elif layer.weight.scale.multiplier_bits:
        why = "its numbers hold factors of their own"
    if why:
        raise HardwareError(
            f"layer {layer.name!r}: bits of {number_format.name} weights are not flipped: {why}; give weights such as "
            "fixed8"
        )
    drawn = generator.random((*layer.weight.shape, width)) < rate
    chosen = np.isin(np.arange(width), list(allowed))
    mask = ((drawn & chosen) << np.arange(width)).sum(axis=-1)
    weight = replace(layer.weight, codes=layer.weight.codes ^ mask)
    return replace(layer, weight=weight, accumulator_bits=layer.worst_case_accumulator_bits)
