"""Weights that are small integers times a multiplier of a few bits: one a layer, or one an output channel.

The hardware sums products with the small integers and multiplies each sum. Multiplication distributes over the sum, so
the integers are those of a layer with weights `multiplier x integer` in a wider fixed-point format: that is how such a
layer is stored and lowered. For the cost, its scale says that multipliers are part of the integers (`Scale.merged`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fewbits.errors import ModelError
from fewbits.formats import Binary, Format, Multipliers, Precision, Scale, parse_format
from fewbits.formats.capture import is_captured
from fewbits.quantization.layers.captured import rounded
from fewbits.quantization.layers.straight_through import StraightThrough
from fewbits.quantization.layers.training_method import TrainingMethod
from fewbits.quantization.methods import operators

if TYPE_CHECKING:
    from fewbits.quantization.layers.layer import QuantizedLayer

SCALE_BITS = 8
"""Width of a multiplier, without sign: each is then at most 2**-8 of the largest from the one wanted."""

_FLOAT32_INTEGERS = 2**24
"""Weights are kept as float32, which holds integers up to this."""


class ChannelScales(TrainingMethod):
    """Rastegari et al., "XNOR-Net" (arXiv:1603.05279): sign times mean magnitude, of each filter (equation 6).

    Binary weights with a multiplier for each output channel. Gradients reach the shadow weights through both, the sign
    where a weight is within 1 (section 3.1, "Training").
    """

    def __init__(self, layer: QuantizedLayer) -> None:
        """Nothing is learned beside the weights."""
        super().__init__()

    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result."""
        if is_captured(x):
            return self._captured(layer, x)
        shadow = layer.layer.weight
        magnitude = _channel_means(shadow)
        multipliers = Multipliers.nearest(magnitude, SCALE_BITS)
        if multipliers.fraction_bits != layer.weight_fraction_bits:  # where the bias is rounded to
            layer.weight_fraction_bits = multipliers.fraction_bits
        values = Scale("channel", multipliers).multiplier_values(shadow)
        signs = StraightThrough.apply(shadow, Binary(), 0)
        weight = signs * (magnitude + (values - magnitude.detach()))
        return layer.compute(layer.rounded_input(x), weight)

    def _captured(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The same by operators: the multipliers' radix point is a tensor, that of the layer stays as it is."""
        shadow = layer.layer.weight
        magnitude = _channel_means(shadow)
        values, point = operators.multipliers(magnitude.detach(), SCALE_BITS)
        weight = rounded(shadow, Binary(), operators.origin()) * (magnitude + (values - magnitude.detach()))
        return layer.compute(layer.rounded_input(x), weight, (point, layer.input_point))

    def settle(self, layer: QuantizedLayer) -> None:
        """Leave weights of the wider format that holds multiplier times sign."""
        shadow = layer.layer.weight.detach()
        multipliers = Multipliers.nearest(_channel_means(shadow), SCALE_BITS)
        values = Scale("channel", multipliers).multiplier_values(shadow)
        settle_scaled(layer, Binary().quantize(shadow).mul_(values), multipliers)


def _channel_means(shadow: Tensor) -> Tensor:
    """Mean magnitude of each output channel's weights, which must not be all zero; keeps the dimensions."""
    means = shadow.abs().mean(dim=tuple(range(1, shadow.ndim)), keepdim=True)
    return means.clamp_min(torch.finfo(means.dtype).tiny)


def scaled_format(weight_format: Format) -> Format:
    """The fixed-point format of `multiplier x integer`. Raises ModelError where float32 could not hold its values."""
    largest = max(map(abs, weight_format.integer_limits)) * (2**SCALE_BITS - 1)
    if largest > _FLOAT32_INTEGERS:
        raise ModelError(
            f"a factor of {SCALE_BITS} bits behind {weight_format.name} weights gives integers of more than 24 bits: "
            "give weights of at most 16 bits"
        )
    return parse_format(f"fixed{largest.bit_length() + 1}")


def settle_scaled(layer: QuantizedLayer, weight: Tensor, multipliers: Multipliers) -> None:
    """Turn a layer into one with weights `multiplier x integer` of the wider format. weight: those values."""
    wide = Precision(scaled_format(layer.weight_format), layer.input_format)
    with torch.no_grad():
        layer.layer.weight.copy_(weight)
    inputs = layer.input_fraction_bits
    layer.set_formats(wide, multipliers.bits)
    layer.weight_fraction_bits, layer.input_fraction_bits = multipliers.fraction_bits, inputs
