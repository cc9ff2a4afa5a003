"""Binary weights with a factor for each output channel: the mean magnitude of the channel's shadow weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fewbits.formats import Binary
from fewbits.quantization.layers.straight_through import StraightThrough
from fewbits.quantization.layers.training_method import TrainingMethod
from fewbits.quantization.methods.scaled_weights import Scale, round_scale, settle_scaled

if TYPE_CHECKING:
    from fewbits.quantization.layers.layer import QuantizedLayer


class ChannelScales(TrainingMethod):
    """Rastegari et al., "XNOR-Net" (arXiv:1603.05279): sign times mean magnitude, of each filter (equation 6).

    Gradients reach the shadow weights through both, the sign where a weight is within 1 (section 3.1, "Training").
    """

    def __init__(self, layer: QuantizedLayer) -> None:
        """Nothing is learned beside the weights."""
        super().__init__()

    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result."""
        shadow = layer.layer.weight
        magnitude = _channel_means(shadow)
        scale = round_scale(magnitude.detach())
        if scale.fraction_bits != layer.weight_fraction_bits:  # where the bias is rounded to
            layer.weight_fraction_bits = scale.fraction_bits
        signs = StraightThrough.apply(shadow, Binary(), 0)
        weight = signs * (magnitude + (scale.values - magnitude.detach()))
        return layer.compute(layer.rounded_input(x), weight)

    def settle(self, layer: QuantizedLayer) -> None:
        """Leave weights of the wider format that holds factor times sign."""
        shadow = layer.layer.weight.detach()
        settle_scaled(layer, Binary().quantize(shadow, 0), scale_of(shadow))


def scale_of(shadow: Tensor) -> Scale:
    """The factors of a layer's channels."""
    return round_scale(_channel_means(shadow.detach()))


def _channel_means(shadow: Tensor) -> Tensor:
    """Mean magnitude of each output channel's weights, which must not be all zero; keeps the dimensions."""
    means = shadow.abs().mean(dim=tuple(range(1, shadow.ndim)), keepdim=True)
    return means.clamp_min(torch.finfo(means.dtype).tiny)
