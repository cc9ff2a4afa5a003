"""Pooling: the maximum or the average of windows, of windows adapted to an output's size, of the whole image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import fx, nn
from torch.nn import functional as F

from fewbits.errors import DataError
from fewbits.graph import operations
from fewbits.graph.geometry import Shape, Windows, each, height_and_width, image_of_rank, pooling_length
from fewbits.graph.kind import KindOfOperation, LayerWork, Lowering
from fewbits.graph.refusals import Skipped, UnsupportedError, unsupported
from fewbits.graph.spelling import Application, Reading, spelled

_WINDOW = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
_AVERAGE = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")

MEANS: frozenset[Any] = frozenset((torch.mean, "mean"))
"""Functions and methods that average; global ones are written as pooling before (`global_average.py`)."""

WHOLE_IMAGE: dict[Any, Any] = {
    F.avg_pool2d: F.adaptive_avg_pool2d,
    F.max_pool2d: F.adaptive_max_pool2d,
    F.avg_pool1d: F.adaptive_avg_pool1d,
    F.max_pool1d: F.adaptive_max_pool1d,
}
"""Pooling functions, and what they are with the whole image as their window."""

GLOBAL_AVERAGES: dict[int, Any] = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d}
"""By the dimensions behind batch and channels: the function that averages all of them, of output size 1."""

_DIMENSIONS: dict[type, int] = {
    **dict.fromkeys((nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveMaxPool1d, nn.AdaptiveAvgPool1d), 1),
    **dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d), 2),
}


def _mean(node: fx.Node) -> Application:
    raise unsupported(
        node,
        "its arithmetic stays float: only the mean over all spatial dimensions of what a convolution makes can be "
        "lowered, as x.mean((2, 3)); use nn.AdaptiveAvgPool2d or nn.AdaptiveAvgPool1d",
    )


class KindOfPooling(KindOfOperation):
    """Pooling over one or two dimensions of each channel."""

    keeps_dims = True

    adaptive: ClassVar[tuple[type, ...]]
    """Those of the meanings that are given an output size."""

    work_kind: ClassVar[Literal["max-pool", "average-pool"]]

    def refusal(self, meaning: Any) -> str | None:
        if getattr(meaning, "return_indices", False):
            return "it returns indices, which cannot be lowered: set return_indices=False"
        return None

    def windows(self, name: str, meaning: Any, shape: Shape) -> Windows:
        """Windows on an input of a shape.

        Raises DataError if the input does not fit; ModelError for what pooling cannot do (adapt to a size that does not
        divide the input's, take the maximum of a window that holds only padding).
        """
        dimensions = _DIMENSIONS[type(meaning)]
        if len(shape) != dimensions + 1:
            raise DataError(f"layer {name!r} pools over {dimensions} dimensions, its input has shape {shape}")
        if isinstance(meaning, self.adaptive):
            return _adapted(name, meaning, shape)
        kernel, stride = each(meaning.kernel_size, dimensions), each(meaning.stride, dimensions)
        padding, dilation = each(meaning.padding, dimensions), each(getattr(meaning, "dilation", 1), dimensions)
        settings = zip(shape[1:], kernel, stride, padding, dilation, strict=True)
        positions = tuple(pooling_length(*along, bool(meaning.ceil_mode)) for along in settings)
        if min(positions) < 1:
            raise DataError(f"layer {name!r}: window {kernel} does not fit into an input of shape {shape}")
        return Windows(kernel, stride, tuple((width, width) for width in padding), dilation, positions)

    def shape(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> Shape:
        return (shapes[0][0], *self.windows(name, meaning, shapes[0]).positions)

    def work(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> LayerWork:
        shape = shapes[0]
        windows = self.windows(name, meaning, shape)
        return LayerWork(
            kind=self.work_kind,
            input_channels=shape[0],
            input_size=height_and_width(shape[1:]),
            neurons=shape[0],
            output_size=height_and_width(windows.positions),
            kernel=height_and_width(windows.kernel),
            stride=height_and_width(windows.stride),
            dilation=height_and_width(windows.dilation),
        )

    def lower(self, call: Lowering) -> None:
        (source,) = call.sources
        shape = source.output_shape
        windows = self.windows(call.name, call.meaning, shape)
        settings: dict[str, Any] = {
            "name": call.name,
            "inputs": (source.name,),
            "input_shape": shape,
            "output_shape": (shape[0], *windows.positions),
            "kernel": windows.kernel,
            "stride": windows.stride,
            "padding": tuple(before for before, _ in windows.padding),
            "dilation": windows.dilation,
            "ceil_mode": bool(getattr(call.meaning, "ceil_mode", False)),
        }
        call.add(self.pooled(call, settings), call.codes(source))

    def pooled(self, call: Lowering, settings: dict[str, Any]) -> operations.Pooling:
        """The operation, given what all poolings have."""
        raise NotImplementedError

    def channels_last(self, meaning: Any, are_last: bool) -> bool | None:
        return None if are_last else False

    def image_shape(self, meaning: Any, example: Shape) -> Shape:
        return image_of_rank(1 + _DIMENSIONS[type(meaning)], example)


class MaximumPooling(KindOfPooling):
    """The largest value of each window."""

    name = "maximum pooling"
    meanings = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
    calls: ClassVar[Mapping[Any, Reading]] = {
        F.max_pool1d: spelled(nn.MaxPool1d, *_WINDOW, "return_indices"),
        F.max_pool2d: spelled(nn.MaxPool2d, *_WINDOW, "return_indices"),
        torch.max_pool1d: spelled(nn.MaxPool1d, *_WINDOW),
        torch.max_pool2d: spelled(nn.MaxPool2d, *_WINDOW),
        F.adaptive_max_pool1d: spelled(nn.AdaptiveMaxPool1d, "output_size", "return_indices"),
        F.adaptive_max_pool2d: spelled(nn.AdaptiveMaxPool2d, "output_size", "return_indices"),
    }
    effect = "keeps"
    adaptive = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
    work_kind = "max-pool"

    def windows(self, name: str, meaning: Any, shape: Shape) -> Windows:
        windows = super().windows(name, meaning, shape)
        if not isinstance(meaning, self.adaptive) and _any_holds_padding_alone(windows, shape[1:]):
            reason = "a window holds padding alone, whose maximum is no number; pad less"
            raise UnsupportedError(Skipped(name, type(meaning).__name__, reason))
        return windows

    def pooled(self, call: Lowering, settings: dict[str, Any]) -> operations.Pooling:
        return operations.MaxPool(**settings)

    def commutes_with_rectifying(self, meaning: Any) -> bool:
        return not isinstance(meaning, self.adaptive) and not meaning.return_indices


class AveragePooling(KindOfPooling):
    """The mean of each window; a mean over the whole image too."""

    name = "average pooling"
    meanings = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
    calls: ClassVar[Mapping[Any, Reading]] = {
        F.avg_pool1d: spelled(nn.AvgPool1d, *_AVERAGE),
        F.avg_pool2d: spelled(nn.AvgPool2d, *_AVERAGE, "divisor_override"),
        F.adaptive_avg_pool1d: spelled(nn.AdaptiveAvgPool1d, "output_size"),
        F.adaptive_avg_pool2d: spelled(nn.AdaptiveAvgPool2d, "output_size"),
        **dict.fromkeys(MEANS, _mean),
    }
    effect = "averages"
    adaptive = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
    work_kind = "average-pool"

    def pooled(self, call: Lowering, settings: dict[str, Any]) -> operations.Pooling:
        codes = call.codes(call.sources[0])
        return operations.AveragePool(
            **settings,
            number_format=None if codes is None else codes.number_format,
            count_include_pad=bool(getattr(call.meaning, "count_include_pad", True)),
            divisor_override=getattr(call.meaning, "divisor_override", None),
        )


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
    sizes = each(module.output_size, dimensions)
    targets = tuple(length if size is None else size for size, length in zip(sizes, shape[1:], strict=True))
    if any(length % target for length, target in zip(shape[1:], targets, strict=True)):
        reason = (
            f"it adapts {shape[1:]} to {targets}, which gives windows of different sizes; choose a size that divides "
            "the input's"
        )
        raise UnsupportedError(Skipped(name, type(module).__name__, reason))
    kernel = tuple(length // target for length, target in zip(shape[1:], targets, strict=True))
    return Windows(kernel, kernel, ((0, 0),) * dimensions, (1,) * dimensions, targets)
