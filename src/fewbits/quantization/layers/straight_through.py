"""The straight-through estimator: quantize forward, pass the gradient backward where nothing saturated."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from fewbits.formats import Format
from fewbits.formats.scale import LAST, SummedDimension


class StraightThrough(torch.autograd.Function):
    """Quantize a tensor; its gradient is the identity inside the format's limits and zero outside.

    The identity is Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic neurons"
    (arXiv:1308.3432, section 4); cancelling it where the value saturates is Hubara et al., "Binarized neural
    networks" (NIPS 2016, equation 4). A block's scale follows its values, so that what the block clips keeps its
    gradient: the limits of a block format are those of its highest scale.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        number_format: Format,
        fraction_bits: int,
        rectified: bool = False,
        along: SummedDimension = LAST,
    ) -> Tensor:
        """Quantize `x`, rectified: behind a ReLU, with its gradient too. A channels-last tensor stays one."""
        ctx.save_for_backward(x)
        ctx.gate = gate(number_format, fraction_bits, x.dtype)
        if rectified:
            ctx.gate = (0.0, ctx.gate[1])
        return number_format.quantize(x, fraction_bits, rectified=rectified, along=along)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Mask the gradient, in place where that is safe."""
        (x,) = ctx.saved_tensors
        return mask_gradient(gradients[0], x, ctx.gate), None, None, None, None


@lru_cache(maxsize=1024)
def gate(number_format: Format, fraction_bits: int, dtype: torch.dtype) -> tuple[float, float]:
    """The open interval in which gradients pass: the nearest values of `dtype` outside the format's closed limits."""
    low, high = (torch.tensor(limit, dtype=dtype) for limit in number_format.limits(fraction_bits))
    return (
        torch.nextafter(low, torch.tensor(-math.inf, dtype=dtype)).item(),
        torch.nextafter(high, torch.tensor(math.inf, dtype=dtype)).item(),
    )


def mask_gradient(gradient: Tensor, x: Tensor, interval: tuple[float, float]) -> Tensor:
    """The gradient where x lies in an open interval, see `gate`; zero elsewhere.

    Overwrites `gradient` unless the backward pass is itself differentiated. That is safe for the layers of this
    package alone: the quantized tensor has one consumer, a convolution or matrix product, whose backward pass makes
    its gradient afresh.
    """
    low, high = interval
    if torch.is_grad_enabled() or gradient.stride() != x.stride():
        return torch.where((x > low) & (x < high), gradient, 0.0)
    return MASK(gradient, x, low, high, grad_input=gradient)


MASK = torch.ops.aten.hardtanh_backward.grad_input
"""torch's one pass that keeps a gradient inside an open interval of the input."""
