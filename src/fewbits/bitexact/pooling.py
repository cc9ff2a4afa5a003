"""Lower one pooling module."""

from __future__ import annotations

from typing import Any

from torch import nn

from fewbits.bitexact.geometry import pooling_length
from fewbits.bitexact.operations import AveragePool, MaxPool, Operation, Pooling
from fewbits.errors import DataError, ModelError
from fewbits.formats import Format

_MAXIMUM = (nn.MaxPool1d, nn.MaxPool2d)
_AVERAGE = (nn.AvgPool1d, nn.AvgPool2d)
_ADAPTIVE = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)

POOLING = (*_MAXIMUM, *_AVERAGE, *_ADAPTIVE)
"""Modules that `lower_pooling` takes."""


def lower_pooling(name: str, source: Operation, module: Any, number_format: Format | None) -> Pooling:
    """The operation of a pooling module that takes the result of `source`.

    number_format: that of the values; None for accumulators.
    Raises DataError if the input does not fit; ModelError for what pooling cannot do (give indices, adapt to a size
    that does not divide the input's, take windows that hold only padding).
    """
    shape = source.output_shape
    dimensions = 2 if type(module).__name__.endswith("2d") else 1
    if len(shape) != dimensions + 1:
        raise DataError(f"layer {name!r} pools over {dimensions} dimensions, its input has shape {shape}")
    if getattr(module, "return_indices", False):
        raise ModelError(f"layer {name!r} returns indices, which cannot be lowered: set return_indices=False")
    settings = _adaptive(name, shape, module) if isinstance(module, _ADAPTIVE) else _fixed(shape, module)
    ceil_mode = bool(getattr(module, "ceil_mode", False))
    lengths = tuple(
        pooling_length(*along, ceil_mode)
        for along in zip(
            shape[1:], settings["kernel"], settings["stride"], settings["padding"], settings["dilation"], strict=True
        )
    )
    if min(lengths) < 1:
        raise DataError(f"layer {name!r}: window {settings['kernel']} does not fit into an input of shape {shape}")
    settings |= {"name": name, "inputs": (source.name,), "input_shape": shape, "output_shape": (shape[0], *lengths)}
    settings |= {"ceil_mode": ceil_mode}
    if isinstance(module, (*_AVERAGE, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)):
        divisor: int | None = getattr(module, "divisor_override", None)
        include = bool(getattr(module, "count_include_pad", True))
        return AveragePool(**settings, number_format=number_format, count_include_pad=include, divisor_override=divisor)
    pool = MaxPool(**settings)
    if not all(window for along in pool.windows for window in along):
        raise ModelError(f"layer {name!r}: a window holds padding alone, whose maximum is no number; pad less")
    return pool


def _fixed(shape: tuple[int, ...], module: Any) -> dict[str, Any]:
    """Window settings of a pooling of given size, one entry a dimension."""
    dimensions = len(shape) - 1
    return {
        "kernel": _each(module.kernel_size, dimensions),
        "stride": _each(module.stride, dimensions),
        "padding": _each(module.padding, dimensions),
        "dilation": _each(getattr(module, "dilation", 1), dimensions),
    }


def _adaptive(name: str, shape: tuple[int, ...], module: Any) -> dict[str, Any]:
    """Window settings of a pooling to a given output size."""
    dimensions = len(shape) - 1
    sizes = _each(module.output_size, dimensions)
    targets = tuple(length if size is None else size for size, length in zip(sizes, shape[1:], strict=True))
    if any(length % target for length, target in zip(shape[1:], targets, strict=True)):
        raise ModelError(
            f"layer {name!r} adapts {shape[1:]} to {targets}, which gives windows of different sizes: "
            "choose a size that divides the input's"
        )
    kernel = tuple(length // target for length, target in zip(shape[1:], targets, strict=True))
    none = (0,) * dimensions
    return {"kernel": kernel, "stride": kernel, "padding": none, "dilation": (1,) * dimensions}


def _each(setting: Any, dimensions: int) -> tuple[Any, ...]:
    """One entry a dimension."""
    return (setting,) * dimensions if setting is None or isinstance(setting, int) else tuple(setting)
