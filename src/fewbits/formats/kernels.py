"""Quantizing tensors: one fused pass on the CPU, plain torch elsewhere."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from fewbits.errors import FormatError
from fewbits.formats.capture import is_captured as is_captured
from fewbits.formats.format import Format, checked_factors
from fewbits.formats.scale import Scale

SERIAL_ELEMENTS = 2**19
"""Tensors up to this size are left to one thread: waking a second one takes about as long as quantizing them."""


class _Pass(NamedTuple):
    """A compiled pass with a format's constants."""

    kernel: Callable[..., int]
    constants: tuple[float, ...]
    clamps: bool
    """Whether the first constant is the lowest value that is let through."""

    def rectified(self) -> _Pass:
        """The same behind a ReLU."""
        return self._replace(constants=(0.0, *self.constants[1:]))


def quantize_tensor(
    number_format: Format, x: Tensor, fraction_bits: int, out: Tensor | None, rectified: bool = False
) -> Tensor:
    """What `Format.quantize` documents."""
    refuse_unfit(x, out)
    fused = _fused_pass(number_format, fraction_bits) if x.dtype is torch.float32 and x.is_cpu else None
    if rectified:
        if fused is None or not fused.clamps:
            x = x.detach().clamp_min(0.0)
        else:
            fused = fused.rectified()
    if fused is None:
        result = reference(number_format, x, fraction_bits)
        return result if out is None else out.copy_(result)
    source = x if x.is_contiguous() or is_dense(x) else x.detach().contiguous()
    fits = out is not None and out.stride() == source.stride()
    target = out if out is not None and fits else torch.empty_like(source)
    found = _run(fused, source.data_ptr(), target.data_ptr(), source.numel())
    if found:
        raise FormatError(nan_message(number_format, found, x.numel()))
    if out is None:
        return target
    if not fits:
        return out.copy_(target)
    torch.autograd.graph.increment_version(out)  # as torch's own in-place operations do, for autograd to check
    return out


def refuse_unfit(x: Tensor, out: Tensor | None) -> None:
    """Raise FormatError for a tensor that is not of floats, or memory for the result that is not as it is."""
    if not x.is_floating_point():
        raise FormatError(f"quantize takes a floating-point tensor, not {x.dtype}")
    if out is not None and (out.shape != x.shape or out.dtype != x.dtype or out.device != x.device):
        wanted, given = (f"{t.dtype} of shape {tuple(t.shape)} on {t.device}" for t in (x, out))
        raise FormatError(f"out must be as the input is, {wanted}: it is {given}")


def quantize_scaled(
    number_format: Format, x: Tensor, scale: Scale, out: Tensor | None, rectified: bool = False
) -> Tensor:
    """The same with any scale that has arithmetic: numbers are brought to one radix point, rounded and put back."""
    if scale.block is not None:
        factors = checked_factors(scale, x)
        rounded = quantize_tensor(number_format, x.detach().double() / factors, 0, None, rectified).mul_(factors)
        return rounded.to(x.dtype) if out is None else out.copy_(rounded)
    if scale.multiplies:
        factors = scale.multiplier_values(x)
        scaled = torch.div(x.detach(), factors, out=out)
        return quantize_tensor(number_format, scaled, 0, scaled, rectified).mul_(factors)
    if scale.shifts is None:
        return quantize_tensor(number_format, x, scale.fraction_bits, out, rectified)
    factors = scale.shift_factors(x)
    scaled = torch.mul(x.detach(), factors, out=out)
    return quantize_tensor(number_format, scaled, scale.coarsest, scaled, rectified).div_(factors)


def reference(number_format: Format, x: Tensor, fraction_bits: int) -> Tensor:
    """The same by plain torch operations in float64: any device and dtype, and what the fused passes must equal."""
    exact = x.detach().to(torch.float64)
    refuse_nan(number_format, exact)
    lowest, largest = _carried_limits(number_format, fraction_bits, x.dtype)
    scaled = exact * 2.0**fraction_bits
    # What underflows stays on its side of zero, for `binary`.
    scaled = torch.where((scaled == 0) & (exact != 0), torch.copysign(torch.full_like(exact, 5e-324), exact), scaled)
    numbers = number_format.reference_quantize(scaled, largest, lowest)
    return (numbers * 2.0**-fraction_bits).to(x.dtype)


@lru_cache(maxsize=1024)
def _carried_limits(number_format: Format, fraction_bits: int, dtype: torch.dtype) -> tuple[float, float]:
    """Lowest and highest number of the format, at fraction_bits 0, whose value a dtype carries."""
    info = torch.finfo(dtype)
    significant_bits = 2 - math.frexp(info.eps)[1]  # eps is 2**(1 - significant bits), frexp's mantissa 0.5
    scale = Fraction(2) ** fraction_bits
    bound, quantum = Fraction(info.max) * scale, Fraction(info.smallest_normal) * Fraction(info.eps) * scale
    largest, lowest = (
        number_format.carried(min(magnitude, bound), significant_bits, quantum)
        for magnitude in (number_format.largest, -number_format.lowest)
    )
    if not largest:
        raise FormatError(
            f"{dtype} carries no value of {number_format.name} with fraction_bits {fraction_bits} but zero: "
            "choose another radix point or a wider dtype"
        )
    return -float(lowest), float(largest)


def refuse_nan(number_format: Format, x: Tensor) -> None:
    """Raise FormatError where a tensor holds NaN."""
    found = int(x.isnan().sum())
    if found:
        raise FormatError(nan_message(number_format, found, x.numel()))


def nan_message(number_format: Format, found: int, size: int) -> str:
    """What a tensor with NaN is refused with."""
    return f"{found} of the tensor's {size} elements are NaN, which {number_format.name} has no value for"


@lru_cache(maxsize=1024)
def _fused_pass(number_format: Format, fraction_bits: int) -> _Pass | None:
    """The compiled pass of a format with its constants, or None where float32 arithmetic would not be exact."""
    described = number_format.fused_pass(fraction_bits)
    if described is None:
        return None
    from fewbits.formats.fused import compiled_pass

    return _Pass(compiled_pass(described.kernel), described.constants, described.clamps)


def is_dense(x: Tensor) -> bool:
    """Whether the elements fill one block of memory in some order of the dimensions, as channels-last ones do."""
    order = sorted(range(x.ndim), key=x.stride, reverse=True)
    return x.permute(order).is_contiguous()


def _run(fused: _Pass, source: int, target: int, size: int) -> int:
    """Pass `size` float32 values through, by as many threads as torch may use; the count of NaN among them."""
    kernel, constants = fused.kernel, fused.constants
    return sum(
        in_threads(
            lambda first, last: kernel(source + 4 * first, target + 4 * first, last - first, *constants), size, size
        )
    )


def in_threads(part: Callable[[int, int], int], count: int, elements: int) -> list[int]:
    """What a function gives for parts of 0 to `count`, from first to last, by as many threads as torch may use.

    elements: of the tensor; up to `SERIAL_ELEMENTS` it is left to one thread.
    """
    threads = min(count, torch.get_num_threads()) if elements > SERIAL_ELEMENTS else 1
    if threads <= 1:
        return [part(0, count)]
    step = -(-count // threads)
    pool = _threads(os.getpid(), threads - 1)
    others = [pool.submit(part, start, min(start + step, count)) for start in range(step, count, step)]
    return [part(0, step), *(other.result() for other in others)]


@lru_cache(maxsize=4)
def _threads(process: int, count: int) -> ThreadPoolExecutor:
    """A pool for this process: one inherited by a fork has no threads left."""
    return ThreadPoolExecutor(count, thread_name_prefix=f"fewbits-{process}")
