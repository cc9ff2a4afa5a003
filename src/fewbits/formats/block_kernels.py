"""Block formats over float32 memory: which fused pass, with which constants, on which part of a tensor."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fewbits.formats.block_passes import WIDTH, compiled_block_pass, largest_bits
from fewbits.formats.blocks import BlockFormat
from fewbits.formats.fixed import FixedPoint
from fewbits.formats.format import floor_log2
from fewbits.formats.kernels import in_threads, is_dense
from fewbits.formats.scale import SummedDimension
from fewbits.formats.scale_formats import PowersScale


class _Pass(NamedTuple):
    """A pass with a format's constants."""

    kernel: str
    fixed: bool
    constants: tuple[float, ...]


def quantize_fused(
    number_format: BlockFormat,
    x: Tensor,
    fraction_bits: int | None,
    out: Tensor | None,
    rectified: bool,
    along: SummedDimension,
) -> Tensor | None:
    """`BlockFormat.quantize` in one pass; None where plain torch must do it, or say what is wrong.

    x: detached. fraction_bits: the tensor's factor; None to choose it.
    """
    if x.dtype is not torch.float32 or not x.is_cpu or not x.numel() or not -x.ndim <= along.dim < x.ndim:
        return None
    source = x if is_dense(x) else x.contiguous()
    layout = _layout(source, along)
    if layout is None:
        return None
    factor = 1.0
    if fraction_bits is None and number_format.needs_radix_point:
        if (chosen := _tensor_factor(number_format, source, rectified)) is None:
            return None
        fraction_bits, factor = chosen
    described = _pass(number_format, fraction_bits or 0, factor)
    if described is None:
        return None
    fits = out is not None and out.stride() == source.stride()
    target = out if out is not None and fits else torch.empty_like(source)
    if out is x and not _is_regular(source):
        return None  # where plain torch must do it, what was there is still needed
    if _run(described, source, target, layout, number_format.size, rectified):
        return None
    if out is None:
        return target
    if not fits:
        return out.copy_(target)
    torch.autograd.graph.increment_version(out)
    return out


def _is_regular(x: Tensor) -> bool:
    low, high = torch.aminmax(x)
    return bool(low.isfinite()) and bool(high.isfinite()) and max(-low.item(), high.item()) < 2.0**120


def _layout(x: Tensor, along: SummedDimension) -> tuple[int, int, int] | None:
    """Rows, places in a row, and neighbours at each, as a dense tensor lies in memory; None if blocks are not so."""
    dim, groups = along.dim % x.ndim, along.groups
    length, inner = x.shape[dim], x.stride(dim)
    if groups < 1 or length % groups:
        return None
    if length == 1:
        return x.numel(), 1, 1
    return x.numel() // (length * inner) * groups, length // groups, inner


def _tensor_factor(number_format: BlockFormat, x: Tensor, rectified: bool) -> tuple[int, float] | None:
    """The tensor's factor; None where it holds no finite number other than 0."""
    if rectified:
        most = x.max().double()
    else:
        size, address, magnitudes = x.numel(), x.data_ptr(), largest_bits()
        parts = in_threads(lambda first, last: magnitudes(address + 4 * first, last - first), size, size)
        most = torch.tensor(max(parts), dtype=torch.int32).view(torch.float32).double()
    if not bool(most.isfinite()) or not most.item() > 0:
        return None
    shape = number_format.element_largest, number_format.significand_bits
    return number_format.scales.factor(most.view(1), *shape, number_format.rule)


@lru_cache(maxsize=256)
def _pass(number_format: BlockFormat, fraction_bits: int, factor: float) -> _Pass | None:
    """The pass that quantizes at a tensor's factor; None where it would not be exact."""
    if abs(fraction_bits) > 60:
        return None
    if isinstance(number_format.scales, PowersScale):
        return _pass_of_powers(number_format, number_format.scales, fraction_bits)
    if number_format.significand_bits > 7:
        return None  # middles of more than 9 bits
    unit = 2.0**-fraction_bits * factor
    direction = {"down": -1, "nearest": 0, "up": 1}[number_format.rule.direction or "nearest"]
    element = number_format.element
    largest = float(element.largest)
    if isinstance(element, FixedPoint):
        low = -largest if number_format.symmetric else float(element.lowest)
        constants = (1, 1.5 * 2**52, 0, 0, low, largest)
    else:
        smallest_normal, dropped = 2.0**element.smallest_exponent, 52 - element.mantissa_bits
        magic = 1.5 * smallest_normal * 2.0**dropped
        constants = (dropped, magic, _float64_bits(smallest_normal), _float64_bits(largest), 0.0, 0.0)
    return _Pass("under_e4m3", isinstance(element, FixedPoint), (direction, unit, largest, *constants))


def _pass_of_powers(number_format: BlockFormat, scales: PowersScale, fraction_bits: int) -> _Pass | None:
    """With scales that are powers of two."""
    rule, element, point = number_format.rule, number_format.element, number_format.element_point
    threshold = rule.threshold(number_format.element_largest, number_format.significand_bits)
    place = floor_log2(threshold)
    mantissa = int((threshold / Fraction(2) ** place - 1) * 2**23)
    add = 0
    if mantissa or not rule.takes_threshold:
        add, place = 2**23 - mantissa - (0 if rule.takes_threshold else 1), place + 1
    # amax = (1 + m) * 2**e: from the threshold on the carry makes e + 1 of e; k = e - place, the code k + bias + f
    shift = -127 - place + scales.bias + fraction_bits
    base = -scales.bias - fraction_bits
    described = element.fused_pass(point)
    least = floor_log2(number_format.element.smallest_positive) - point - 127
    if described is None or least < -149:
        return None
    most = max(number_format.element_largest, -number_format.element_lowest)
    ends = (0, scales.top, base, 127 - floor_log2(most))
    if isinstance(element, FixedPoint):
        low, high, magic = described.constants
        low = -high if number_format.symmetric else low
        return _Pass("powers", True, (add, shift, *ends, 1, magic, 0, 0, low, high))
    if described.kernel != "small_float":
        return None
    dropped, magic, normal, top, _ = described.constants
    return _Pass("powers", False, (add, shift, *ends, dropped, magic, normal, top, 0.0, 0.0))


def _float64_bits(x: float) -> int:
    return int(np.float64(x).view(np.int64))


def _run(
    described: _Pass, source: Tensor, target: Tensor, layout: tuple[int, int, int], size: int, rectified: bool
) -> bool:
    """Pass a tensor's blocks through, by as many threads as torch may use; whether plain torch must do it."""
    outer, length, inner = layout
    kernel = compiled_block_pass(described.kernel)
    addresses = source.data_ptr(), target.data_ptr()

    def part(first: int, last: int) -> int:
        maxima, factors = np.empty(WIDTH, np.int32), np.empty(2 * WIDTH, np.float64)
        return kernel(
            *addresses, maxima.ctypes.data, factors.ctypes.data, first, last, length, inner, size, rectified,
            described.fixed, *described.constants,
        )  # fmt: skip

    return any(in_threads(part, outer * -(-length // size), source.numel()))
