"""What a layer calls where torch captures it: operators on radix points in tensors, or plain arithmetic for ONNX."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fewbits.errors import ModelError
from fewbits.formats import Format
from fewbits.formats.format import exact_power

Points = tuple[Tensor, Tensor]
"""Radix points of weights and inputs: int64 tensors without dimensions."""


def rounded(
    x: Tensor, number_format: Format, point: Tensor, shifts: Tensor | None = None, *, rectified: bool = False
) -> Tensor:
    """The nearest values, of max(x, 0) if rectified, with a straight-through gradient.

    point: holds the radix point. shifts: how many places finer each output's is.
    """
    if number_format.name == "float32":
        return F.relu(x) if rectified else x
    return torch.ops.fewbits.round(x, point, shifts, number_format.name, rectified)


def rounded_bias(bias: Tensor, weight_point: Tensor, input_point: Tensor, shifts: Tensor | None) -> Tensor:
    """The bias at its accumulator's radix point, with the identity as gradient."""
    return torch.ops.fewbits.round_bias(bias, weight_point + input_point, shifts)


def captured_padding(number_format: Format, point: Tensor) -> float | Tensor:
    """What a convolution's padding is: a tensor where zero is rounded to another value."""
    zero = number_format.rounded_zero
    return zero * exact_power(-point) if zero else 0.0
