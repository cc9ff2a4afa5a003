"""Quantizing tensors: one fused pass on the CPU, plain torch elsewhere."""
# pyright: reportUnknownMemberType=false, reportUntypedFunctionDecorator=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingParameterType=false

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from fewbits.errors import FormatError
from fewbits.formats.fixed import FixedPoint
from fewbits.formats.floating import FloatFormat
from fewbits.formats.format import Format
from fewbits.formats.power_of_two import PowerOfTwo
from fewbits.formats.units import Ternary

SERIAL_ELEMENTS = 2**17
"""Tensors up to this size are left to one thread: starting a second one takes about as long as quantizing them."""

_FLOAT32_LARGEST = Fraction(torch.finfo(torch.float32).max)
_FLOAT32_SMALLEST = Fraction(torch.finfo(torch.float32).smallest_normal)


def quantize_tensor(number_format: Format, x: Tensor, fraction_bits: int, out: Tensor | None) -> Tensor:
    """What `Format.quantize` documents."""
    if not x.is_floating_point():
        raise FormatError(f"quantize takes a floating-point tensor, not {x.dtype}")
    if out is not None and (out.shape != x.shape or out.dtype != x.dtype or out.device != x.device):
        wanted, given = (f"{t.dtype} of shape {tuple(t.shape)} on {t.device}" for t in (x, out))
        raise FormatError(f"out must be as the input is, {wanted}: it is {given}")
    kernel = _kernel(number_format, fraction_bits) if x.dtype is torch.float32 and x.device.type == "cpu" else None
    if kernel is None:
        result = reference(number_format, x, fraction_bits)
        return result if out is None else out.copy_(result)
    return _run(kernel, number_format, x.detach(), out)


def reference(number_format: Format, x: Tensor, fraction_bits: int) -> Tensor:
    """The same by plain torch operations in float64: any device and dtype, and what the kernels are tested against."""
    exact = x.detach().to(torch.float64)
    if bool(exact.isnan().any()):
        raise FormatError(_nan_message(number_format))
    carried = torch.finfo(x.dtype)
    significant_bits = 1 - math.frexp(carried.eps)[1] + 1
    scale = Fraction(2) ** fraction_bits
    largest = number_format.largest_carried(significant_bits, Fraction(carried.max) * scale)
    exponent = torch.tensor(fraction_bits, device=x.device)
    numbers = number_format.reference_quantize(torch.ldexp(exact, exponent), float(largest))
    return torch.ldexp(numbers, -exponent).to(x.dtype)


def _nan_message(number_format: Format) -> str:
    return f"the tensor holds NaN, which {number_format.name} has no value for: find where it comes from"


@lru_cache(maxsize=1024)
def _kernel(number_format: Format, fraction_bits: int) -> Callable[[Any, Any], bool] | None:
    """The fused pass for float32, or None where float32 arithmetic would not be exact."""
    scale = Fraction(2) ** fraction_bits
    largest = number_format.largest / scale
    smallest = number_format.smallest_positive / scale
    within = Fraction(2) ** -126 <= min(scale, 1 / scale) and smallest >= _FLOAT32_SMALLEST
    if number_format.family == "float":
        assert isinstance(number_format, FloatFormat)
        if number_format.mantissa_bits == 23:
            within = fraction_bits == 0  # float32 itself, the subnormal numbers included
        else:
            within = within or (fraction_bits == 0 and number_format.exponent_bits == 8)
    if not within or largest > _FLOAT32_LARGEST:
        return None
    from fewbits.formats import fused

    forward, backward = float(scale), float(1 / scale)
    if isinstance(number_format, FixedPoint | Ternary):
        low, high = float(number_format.lowest), float(number_format.largest_carried(24, number_format.largest))
        if number_format.bits > 22:
            return lambda x, out: fused.fixed_wide(x, out, forward, backward, low, high)
        return lambda x, out: fused.fixed(x, out, forward, backward, low, high)
    if isinstance(number_format, PowerOfTwo):
        top = float(number_format.largest)
        return lambda x, out: fused.power_of_two(x, out, forward, backward, top)
    if isinstance(number_format, FloatFormat):
        top, over, dropped = float(number_format.largest), number_format.overflowed, 23 - number_format.mantissa_bits
        if dropped == 0:
            return lambda x, out: fused.float32(x, out, top, over)
        smallest_normal = math.ldexp(1.0, number_format.smallest_exponent)
        magic = math.ldexp(1.5, number_format.smallest_exponent + dropped)
        return lambda x, out: fused.small_float(x, out, forward, backward, top, over, dropped, smallest_normal, magic)
    return lambda x, out: fused.binary(x, out, backward)


def _run(kernel: Callable[[Any, Any], bool], number_format: Format, x: Tensor, out: Tensor | None) -> Tensor:
    """Pass a tensor through a kernel, by as many threads as torch may use."""
    source = x.contiguous()
    target = out if out is not None and out.is_contiguous() else torch.empty_like(source)
    a, b = source.view(-1).numpy(), target.detach().view(-1).numpy()
    threads = torch.get_num_threads() if a.size > SERIAL_ELEMENTS else 1
    if threads == 1:
        found_nan = kernel(a, b)
    else:
        step = -(-a.size // threads)
        sources, targets = ([array[i : i + step] for i in range(0, a.size, step)] for array in (a, b))
        found_nan = any(list(_threads(os.getpid(), threads).map(kernel, sources, targets)))
    if found_nan:
        raise FormatError(_nan_message(number_format))
    if out is None or target is out:
        return target
    return out.copy_(target)


@lru_cache(maxsize=4)
def _threads(process: int, count: int) -> ThreadPoolExecutor:
    """A pool for this process: one inherited by a fork has no threads left."""
    return ThreadPoolExecutor(count, thread_name_prefix=f"fewbits-{process}")
