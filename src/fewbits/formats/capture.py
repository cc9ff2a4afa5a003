"""Whether torch captures or transforms what is computed, so that operators must stand for fewbits' kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

_functorch: Any = torch._C._functorch  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


def is_captured(x: Tensor) -> bool:
    """Whether torch captures or transforms what is computed of `x`, so that its operators must stand for the kernels.

    By torch.compile, torch.export, torch.jit.trace, torch.onnx.export, make_fx, torch.func's transforms, forward-mode
    differentiation, a dispatch mode (fake tensors), a tensor subclass, or a proxy of torch.fx.
    """
    return (
        torch.compiler.is_compiling()
        or (type(x) is not Tensor and type(x) is not nn.Parameter)
        or torch._C._is_tracing()  # pyright: ignore[reportPrivateUsage]
        or torch._C._len_torch_dispatch_stack() > 0  # pyright: ignore[reportPrivateUsage]
        or is_transformed()
    )


def is_transformed() -> bool:
    """Whether a transform of torch.func, or forward-mode differentiation, is at work."""
    return _functorch.maybe_current_level() is not None or forward_ad._current_level >= 0  # pyright: ignore[reportPrivateUsage]


def is_written_as_onnx() -> bool:
    """Whether torch.onnx.export captures, which knows torch's own operators alone."""
    return not torch.compiler.is_dynamo_compiling() and torch.onnx.is_in_onnx_export()
