"""Lower one pooling module."""

from __future__ import annotations

from typing import Any

from torch import nn

from fewbits.formats import Format
from fewbits.graph.operations import AveragePool, MaxPool, Operation, Pooling
from fewbits.graph.shapes import pooling_windows

_AVERAGING = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)


def lower_pooling(name: str, source: Operation, module: Any, number_format: Format | None) -> Pooling:
    """The operation of a pooling module that takes the result of `source`.

    number_format: that of the values; None for accumulators.
    Raises what `pooling_windows` raises.
    """
    shape = source.output_shape
    windows = pooling_windows(name, module, shape)
    settings: dict[str, Any] = {
        "name": name,
        "inputs": (source.name,),
        "input_shape": shape,
        "output_shape": (shape[0], *windows.positions),
        "kernel": windows.kernel,
        "stride": windows.stride,
        "padding": tuple(before for before, _ in windows.padding),
        "dilation": windows.dilation,
        "ceil_mode": bool(getattr(module, "ceil_mode", False)),
    }
    if isinstance(module, _AVERAGING):
        divisor: int | None = getattr(module, "divisor_override", None)
        include = bool(getattr(module, "count_include_pad", True))
        return AveragePool(**settings, number_format=number_format, count_include_pad=include, divisor_override=divisor)
    return MaxPool(**settings)
