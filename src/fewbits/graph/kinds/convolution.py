"""Convolution over one or two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from fewbits.errors import DataError
from fewbits.graph import operations
from fewbits.graph.float_layer import padding_of
from fewbits.graph.geometry import Shape, Windows, convolution_length, height_and_width, image_of_rank
from fewbits.graph.kind import LayerWork, Lowering
from fewbits.graph.kinds.layer import KindOfLayer, plain


class Convolution(KindOfLayer):
    """`nn.Conv1d`, `nn.Conv2d`: any stride, padding with zeros, dilation, groups."""

    name = "convolution"
    meanings = (nn.Conv1d, nn.Conv2d)
    size_names = ("out_channels", "in_channels")

    def shape(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> Shape:
        layer = plain(meaning)
        return (layer.out_channels, *layer_windows(name, layer, shapes[0]).positions)

    def work(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> LayerWork:
        layer, shape = plain(meaning), shapes[0]
        windows = layer_windows(name, layer, shape)
        return LayerWork(
            kind="convolution",
            input_channels=layer.in_channels,
            input_size=height_and_width(shape[1:]),
            neurons=layer.out_channels,
            output_size=height_and_width(windows.positions),
            kernel=height_and_width(windows.kernel),
            stride=height_and_width(windows.stride),
            dilation=height_and_width(windows.dilation),
            groups=layer.groups,
            has_bias=layer.bias is not None,
        )

    def operation(self, call: Lowering, shape: Shape) -> operations.Convolution:
        settings, layer = call.layer_settings(), plain(call.meaning)
        windows = layer_windows(call.name, layer, shape)
        return operations.Convolution(
            **settings,
            output_shape=(layer.out_channels, *windows.positions),
            stride=windows.stride,
            padding=windows.padding,
            dilation=windows.dilation,
            groups=layer.groups,
        )

    def spatial_dims(self, meaning: Any) -> int:
        return len(plain(meaning).kernel_size)

    def takes_channels(self, meaning: Any, channels: int, are_last: bool, of_vectors: bool) -> bool:
        return not are_last and plain(meaning).groups == 1

    def image_shape(self, meaning: Any, example: Shape) -> Shape:
        return image_of_rank(1 + len(plain(meaning).kernel_size), example)


def layer_windows(name: str, layer: nn.Conv1d | nn.Conv2d, shape: Shape) -> Windows:
    """Windows of a convolution on images of a shape. Raises DataError if it does not fit."""
    kernel, stride, dilation = tuple(layer.kernel_size), tuple(layer.stride), tuple(layer.dilation)
    padding = padding_of(layer)
    if len(shape) != len(kernel) + 1 or shape[0] != layer.in_channels:
        raise DataError(
            f"layer {name!r} takes {layer.in_channels} channels of {len(kernel)} dimensions, "
            f"its input has shape {shape}; check the example's shape"
        )
    positions = tuple(map(convolution_length, shape[1:], kernel, stride, padding, dilation))
    if min(positions) < 1:
        raise DataError(f"layer {name!r}: kernel {kernel} does not fit into an input of shape {shape}")
    return Windows(kernel, stride, padding, dilation, positions)
