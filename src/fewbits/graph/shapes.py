"""Shapes, without the batch, of what calls give: one rule for `quantize`, `lower` and `cost`, and what does not fit.

The rules are those of torch.nn, written out so that the bit-exact network does not rest on the library that it is
compared with. Each raises DataError where an image of another size would do, ModelError where none does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from fewbits.errors import DataError, ModelError
from fewbits.graph.float_layer import FloatLayer, WrappedLayer, padding_of
from fewbits.graph.functional import (
    Addition,
    Concatenation,
    Meaning,
    Reshape,
    Skipped,
    Squeeze,
    Unsqueeze,
    UnsupportedError,
    View,
)
from fewbits.graph.module_kinds import POOLING

Shape = tuple[int, ...]

_ADAPTIVE = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True)
class Windows:
    """Where the windows of a layer or a pooling lie; one entry a dimension."""

    kernel: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]
    """Elements before and after."""

    dilation: Shape
    positions: Shape
    """Windows along each dimension: the size of the output."""


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


def after_layer(name: str, layer: FloatLayer, shape: Shape) -> Shape:
    """Shape of a layer's result. Raises DataError if the input does not fit."""
    if not isinstance(layer, nn.Linear):
        return (layer.out_channels, *layer_windows(name, layer, shape).positions)
    if shape != (layer.in_features,):
        raise DataError(
            f"layer {name!r} takes {layer.in_features} features, its input has shape {shape}; "
            "check the example's shape, or flatten first"
        )
    return (layer.out_features,)


def pooling_windows(name: str, module: Any, shape: Shape) -> Windows:
    """Windows of a pooling module, one of `module_kinds.POOLING`, on an input of a shape.

    Raises DataError if the input does not fit; ModelError for what pooling cannot do (give indices, adapt to a size
    that does not divide the input's, take the maximum of a window that holds only padding).
    """
    dimensions = 2 if type(module).__name__.endswith("2d") else 1
    if len(shape) != dimensions + 1:
        raise DataError(f"layer {name!r} pools over {dimensions} dimensions, its input has shape {shape}")
    if isinstance(module, _ADAPTIVE):
        return _adapted(name, module, shape)
    kernel, stride = _each(module.kernel_size, dimensions), _each(module.stride, dimensions)
    padding, dilation = _each(module.padding, dimensions), _each(getattr(module, "dilation", 1), dimensions)
    settings = zip(shape[1:], kernel, stride, padding, dilation, strict=True)
    positions = tuple(pooling_length(*along, bool(module.ceil_mode)) for along in settings)
    if min(positions) < 1:
        raise DataError(f"layer {name!r}: window {kernel} does not fit into an input of shape {shape}")
    windows = Windows(kernel, stride, tuple((width, width) for width in padding), dilation, positions)
    if isinstance(module, (nn.MaxPool1d, nn.MaxPool2d)) and _any_holds_padding_alone(windows, shape[1:]):
        reason = "a window holds padding alone, whose maximum is no number; pad less"
        raise UnsupportedError(Skipped(name, type(module).__name__, reason))
    return windows


def _any_holds_padding_alone(windows: Windows, sizes: Shape) -> bool:
    along = zip(
        sizes, windows.kernel, windows.stride, windows.padding, windows.dilation, windows.positions, strict=True
    )
    return any(
        not any(0 <= position * stride - before + tap * dilation < length for tap in range(kernel))
        for length, kernel, stride, (before, _), dilation, positions in along
        for position in range(positions)
    )


def _adapted(name: str, module: Any, shape: Shape) -> Windows:
    """Windows of a pooling to a given output size."""
    dimensions = len(shape) - 1
    sizes = _each(module.output_size, dimensions)
    targets = tuple(length if size is None else size for size, length in zip(sizes, shape[1:], strict=True))
    if any(length % target for length, target in zip(shape[1:], targets, strict=True)):
        reason = (
            f"it adapts {shape[1:]} to {targets}, which gives windows of different sizes; choose a size that divides "
            "the input's"
        )
        raise UnsupportedError(Skipped(name, type(module).__name__, reason))
    kernel = tuple(length // target for length, target in zip(shape[1:], targets, strict=True))
    return Windows(kernel, kernel, ((0, 0),) * dimensions, (1,) * dimensions, targets)


def _each(setting: Any, dimensions: int) -> tuple[Any, ...]:
    """One entry a dimension."""
    entries = (setting,) if setting is None or isinstance(setting, int) else tuple(setting)
    return entries * dimensions if len(entries) == 1 else entries


def convolution_length(length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int) -> int:
    """Positions of a kernel along a dimension; below 1 if the kernel does not fit.

    padding: zeros before and after.
    """
    return (length + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


def pooling_length(length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Positions of a pooling window along a dimension; below 1 if it does not fit.

    With `ceil_mode` a last window may run over the end, but it must start inside the input or its left padding.
    """
    span = length + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return span // stride + 1
    positions = -(-span // stride) + 1
    return positions - 1 if (positions - 1) * stride >= length + padding else positions


def is_rearranging(module: Meaning) -> bool:
    """Whether a call only gives an image's values another shape."""
    return type(module) in _REARRANGED


def rearranged(name: str, module: Meaning, shape: Shape) -> Shape:
    """Shape after a flatten, view or the like. Raises ModelError if that mixes images or does not fit."""
    return _REARRANGED[type(module)](name, module, shape)


def _reshaped(name: str, module: Reshape, shape: Shape) -> Shape:
    return _filled(name, (module.features,), math.prod(shape))


def _viewed(name: str, module: View, shape: Shape) -> Shape:
    return _filled(name, module.sizes, math.prod(shape))


def _unsqueezed(name: str, module: Unsqueeze, shape: Shape) -> Shape:
    place = _axis(name, module.dim, len(shape) + 1)
    return (*shape[:place], 1, *shape[place:])


def _squeezed(name: str, module: Squeeze, shape: Shape) -> Shape:
    dropped = {_axis(name, dim, len(shape)) for dim in module.dims}
    return tuple(size for axis, size in enumerate(shape) if axis not in dropped or size != 1)


def _unflattened(name: str, module: nn.Unflatten, shape: Shape) -> Shape:
    place = _axis(name, int(module.dim), len(shape))
    sizes: Any = module.unflattened_size
    return (*shape[:place], *_filled(name, tuple(sizes), shape[place]), *shape[place + 1 :])


def _flattened(name: str, module: nn.Flatten, shape: Shape) -> Shape:
    start, end = _axis(name, module.start_dim, len(shape)), _axis(name, module.end_dim, len(shape))
    return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


_REARRANGED: dict[type[object], Any] = {
    Reshape: _reshaped,
    View: _viewed,
    Unsqueeze: _unsqueezed,
    Squeeze: _squeezed,
    nn.Unflatten: _unflattened,
    nn.Flatten: _flattened,
}


def _axis(name: str, dim: int, rank: int) -> int:
    """A dimension of images of `rank` dimensions, the batch counted in `dim`, not in the result."""
    axis = (dim + rank + 1 if dim < 0 else dim) - 1
    if not 0 <= axis <= rank:
        raise ModelError(
            f"layer {name!r} changes dimension {dim} of {rank + 1}: the batch (0) must stay, so start at 1"
        )
    return axis


def _filled(name: str, sizes: Shape, values: int) -> Shape:
    """Sizes with whatever fits in the place of -1. Raises ModelError if nothing does."""
    known = math.prod(size for size in sizes if size != -1)
    filled = tuple(values // known if size == -1 else size for size in sizes)
    if math.prod(filled) != values:
        wanted = sizes[0] if len(sizes) == 1 else sizes
        raise ModelError(f"call {name!r} views {values} values of an image as {wanted}: is the image's size right?")
    return filled


def joined(name: str, module: Concatenation, shapes: Sequence[Shape]) -> tuple[int, Shape]:
    """Axis (the batch not counted) and shape of a concatenation. Raises UnsupportedError if the shapes do not fit."""
    first = shapes[0]
    rank = len(first) + 1
    axis = (module.dim + rank if module.dim < 0 else module.dim) - 1
    others = {(len(shape), *shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if not 0 <= axis < len(first) or len(others) > 1:
        reason = (
            f"it joins tensors along dimension {module.dim}: all other sizes must be equal, and it cannot be the "
            "batch (0); bring them to one size by pooling or strides, or join along 1"
        )
        raise UnsupportedError(Skipped(name, "cat", reason, is_call=True))
    return axis, (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def added(name: str, shapes: Sequence[Shape]) -> Shape:
    """Shape of a sum. Raises UnsupportedError for operands of different shapes."""
    if shapes[0] != shapes[1]:
        reason = (
            "it adds tensors of different shapes, and nothing repeats the values of one of them; leave it out, or "
            "bring both to one shape by layers"
        )
        raise UnsupportedError(Skipped(name, "add", reason, is_call=True))
    return shapes[0]


def result_shape(name: str, module: Meaning, shapes: Sequence[Shape]) -> Shape:
    """Shape of what a call gives. shapes: of its operands. Raises what the rules above raise."""
    shape = shapes[0]
    if isinstance(module, WrappedLayer):
        module = module.layer
    if isinstance(module, FloatLayer):
        return after_layer(name, module, shape)
    if type(module) in POOLING:
        return (shape[0], *pooling_windows(name, module, shape).positions)
    if isinstance(module, Addition):
        return added(name, shapes)
    if isinstance(module, Concatenation):
        return joined(name, module, shapes)[1]
    return rearranged(name, module, shape) if is_rearranging(module) else shape
