"""Weights that are small integers times a factor of a few bits: one factor a layer, or one an output channel.

The hardware sums products with the small integers and multiplies each sum by the factor. Multiplication distributes
over the sum, so the integers are those of a layer with weights `factor x integer` in a wider fixed-point format: that
is how such a layer is stored and lowered. `QuantizedLayer.scale_bits` says that the factor is there, for the cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fewbits.errors import ModelError
from fewbits.formats import Format, Precision, parse_format
from fewbits.quantization.layers.layer_formats import LayerFormats

if TYPE_CHECKING:
    from fewbits.quantization.layers.layer import QuantizedLayer

SCALE_BITS = 8
"""Width of a factor, without sign: each is then at most 2**-8 of the largest from the one wanted."""

_LARGEST = 2**SCALE_BITS - 1

_FLOAT32_INTEGERS = 2**24
"""Weights are kept as float32, which holds integers up to this."""


@dataclass(frozen=True, eq=False)
class Scale:
    """Factors as the hardware holds them."""

    values: Tensor
    """Integers of SCALE_BITS bits, at least 1, times 2**-fraction_bits; any shape that broadcasts with the weights."""

    fraction_bits: int


def round_scale(scale: Tensor) -> Scale:
    """The factors nearest to positive ones; the largest uses all bits, so it sets the radix point of all."""
    fraction_bits = math.floor(math.log2(_LARGEST / scale.max().item()))
    unit = 2.0**-fraction_bits
    return Scale((scale / unit).round().clamp_(1, _LARGEST).mul_(unit), fraction_bits)


def scaled_format(weight_format: Format) -> Format:
    """The fixed-point format of `factor x integer`. Raises ModelError where float32 could not hold its values."""
    largest = max(map(abs, weight_format.integer_limits)) * _LARGEST
    if largest > _FLOAT32_INTEGERS:
        raise ModelError(
            f"a factor of {SCALE_BITS} bits behind {weight_format.name} weights gives integers of more than 24 bits: "
            "give weights of at most 16 bits"
        )
    return parse_format(f"fixed{largest.bit_length() + 1}")


def settle_scaled(layer: QuantizedLayer, integers: Tensor, scale: Scale) -> None:
    """Turn a layer into one with weights `factor x integer`. integers: values of its weight format at radix point 0."""
    formats = LayerFormats(Precision(scaled_format(layer.weight_format), layer.input_format), SCALE_BITS)
    with torch.no_grad():
        layer.layer.weight.copy_(integers * scale.values)
    inputs = layer.input_fraction_bits
    layer.set_formats(formats)
    layer.weight_fraction_bits, layer.input_fraction_bits = scale.fraction_bits, inputs
