"""The float layers that can be quantized, and their operation with other weights than their own."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from fewbits.formats import Format
from fewbits.formats.scale import LAST, SummedDimension

FloatLayer = nn.Conv1d | nn.Conv2d | nn.Linear
"""The layers that can be quantized."""


OF_WEIGHTS = SummedDimension(1)
"""The dimension of a layer's weights along which products are summed first: input channels, of a group."""


def summed_dimension(layer: FloatLayer) -> SummedDimension:
    """That of a layer's input: channels of a convolution, with or without a dimension of images in front."""
    if isinstance(layer, nn.Linear):
        return LAST
    return SummedDimension(-1 - len(layer.kernel_size), layer.groups)


class WrappedLayer(nn.Module):
    """A module around a float layer, which readers of networks take for that layer: a quantized one."""

    layer: FloatLayer
    rounds_inputs: bool
    """Whether the input is rounded here."""

    input_format: Format

    multiplies_exactly: bool = False
    """Whether its products are exact for now, whatever tables it has."""

    @property
    def input_fraction_bits(self) -> int:
        """Radix point of the input."""
        raise NotImplementedError

    def keep_rounded_weight(self) -> None:
        """Make the weights what they are rounded to, so that a wider float type rounds them to the same."""
        raise NotImplementedError


class ValueRounding(nn.Module):
    """A module that rounds values and leaves their shape: readers of networks take it for a rounding."""

    rounds: bool
    """Whether it does; else it hands values on."""

    number_format: Format

    @property
    def fraction_bits(self) -> int:
        """Radix point of the result."""
        raise NotImplementedError


class TracedNetwork(fx.GraphModule):
    """A network that has its graph of calls already."""


def padding_of(layer: nn.Conv1d | nn.Conv2d) -> tuple[tuple[int, int], ...]:
    """Elements before and after along each dimension; for 'same' an odd one goes after, as torch does it."""
    if layer.padding == "valid":
        return ((0, 0),) * len(layer.kernel_size)
    if layer.padding == "same":
        totals = [dilation * (kernel - 1) for dilation, kernel in zip(layer.dilation, layer.kernel_size, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((int(width), int(width)) for width in layer.padding)


def apply_layer(
    layer: FloatLayer, x: Tensor, weight: Tensor, bias: Tensor | None, padding_value: float | Tensor = 0.0
) -> Tensor:
    """The float layer's operation with other weights, and with another value than zero in a convolution's padding.

    The result is in the dtype of the weights, also where autocast multiplies in a shorter one: what rounds it to a
    format computes in that.
    """
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias).to(weight.dtype)
    padding = layer.padding
    if not isinstance(padding_value, (int, float)) or padding_value:
        x = _padded(x, [width for along in reversed(padding_of(layer)) for width in along], padding_value)
        padding = 0
    if isinstance(layer, nn.Conv2d):
        return F.conv2d(x, weight, bias, layer.stride, padding, layer.dilation, layer.groups).to(weight.dtype)
    return F.conv1d(x, weight, bias, layer.stride, padding, layer.dilation, layer.groups).to(weight.dtype)


def _padded(x: Tensor, widths: list[int], value: float | Tensor) -> Tensor:
    """A padded tensor; a value in a tensor without dimensions, where torch captures the layer, goes in by a mask."""
    if isinstance(value, (int, float)):
        return F.pad(x, widths, value=value)
    inside = F.pad(torch.ones_like(x, dtype=torch.bool), widths, value=False)
    return torch.where(inside, F.pad(x, widths), value.to(x.dtype))
