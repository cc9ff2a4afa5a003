"""What a layer calls where torch captures it: operators on radix points in tensors, or plain arithmetic for ONNX."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional as F

from fewbits.errors import ModelError
from fewbits.formats import Format
from fewbits.formats.capture import is_written_as_onnx
from fewbits.formats.operators import round_bias, round_blocks, round_tensor
from fewbits.formats.scale import LAST, SummedDimension

Points = tuple[Tensor, Tensor]
"""Radix points of weights and inputs: int64 tensors without dimensions."""


def rounded(
    x: Tensor,
    number_format: Format,
    point: Tensor,
    shifts: Tensor | None = None,
    *,
    rectified: bool = False,
    along: SummedDimension = LAST,
) -> Tensor:
    """The nearest values, of max(x, 0) if rectified, with a straight-through gradient.

    point: holds the radix point. shifts: how many places finer each output's is. along: where blocks lie.
    Raises ModelError where ONNX has no form for it.
    """
    if number_format.name == "float32":
        return F.relu(x) if rectified else x
    if is_written_as_onnx():
        return _onnx_rounded(F.relu(x) if rectified else x, number_format, _factors(x, point, shifts))
    if number_format.has_blocks:
        return round_blocks(x, point, number_format.name, rectified, along.dim, along.groups)
    return round_tensor(x, point, shifts, number_format.name, rectified)


def rounded_bias(bias: Tensor, weight_point: Tensor, input_point: Tensor, shifts: Tensor | None) -> Tensor:
    """The bias at its accumulator's radix point, with the identity as gradient."""
    point = weight_point + input_point
    if is_written_as_onnx():
        factors = _factors(bias, point, shifts)
        return ((bias.double() * factors).round() / factors).to(bias.dtype)
    return round_bias(bias, point, shifts)


def captured_padding(number_format: Format, point: Tensor, like: Tensor) -> float | Tensor:
    """What a convolution's padding is: a tensor where zero is rounded to another value."""
    return rounded(like.new_zeros(()), number_format, point) if number_format.rounded_zero else 0.0


def refuse_onnx(name: str) -> None:
    """Raise ModelError where torch.onnx.export captures a layer that a recipe trains."""
    if is_written_as_onnx():
        raise ModelError(
            f"layer {name!r} is trained by a recipe's method, which has no ONNX form: let the recipe end before "
            "torch.onnx.export"
        )


def _onnx_rounded(x: Tensor, number_format: Format, factors: Tensor) -> Tensor:
    """`Format.quantize` by operators that ONNX has; NaN is not refused."""
    if not (number_format.is_uniform or number_format.code_layout == "sign"):
        raise ModelError(
            f"torch.onnx.export writes formats that round to integers (fixed point, ternary, binary), and "
            f"{number_format.name} has no ONNX form: use torch.export or torch.jit.trace"
        )
    largest = float(number_format.carried(number_format.largest, 24, Fraction(1)))
    rounded = number_format.reference_quantize(x.double() * factors, largest)
    return (rounded / factors).to(x.dtype)


def _factors(like: Tensor, point: Tensor, shifts: Tensor | None) -> Tensor:
    """2**fraction_bits of a tensor, or of each output, by operators that ONNX has; float64."""
    exponents = point if shifts is None else (point + shifts).view(-1, *(1,) * (like.ndim - 1))
    return torch.pow(2.0, exponents.double())
