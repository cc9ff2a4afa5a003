"""The fused passes of block formats over float32 memory, compiled by numba: each element is read and written once.

A tensor is taken as it lies in memory: `outer` rows of `length` places with `inner` neighbours at each, blocks along
`length`. The scale of a block is made of bit patterns: adding to those of the largest magnitude what is missing from the
rule's threshold to the next power carries into the exponent. Elements under powers of two are rounded in float32, where
scaling is exact, by the two ways of `fused.py`; those under E4M3 in float64, where a quotient is told from a tie.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import carray, cfunc, njit, types  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor

from fewbits.formats.blocks import BlockFormat
from fewbits.formats.fixed import FixedPoint
from fewbits.formats.format import floor_log2
from fewbits.formats.kernels import in_threads, is_dense
from fewbits.formats.scale import SummedDimension
from fewbits.formats.scale_formats import PowersScale

_f32, _f64, _i32, _i64 = np.float32, np.float64, np.int32, np.int64
_MAGNITUDE = _i32(0x7FFFFFFF)
_SIGN = _i32(-0x80000000)
_INFINITY = _i32(0x7F800000)
_NORMAL = _i32(0x800000)
"""The smallest normal float32."""

_LIMIT = _i32(0x7E800000)
"""2**126: below, a scale that is rounded up overflows no value."""

_WIDTH = 256
"""Neighbours whose blocks are taken together where blocks do not lie along memory."""


@njit
def _power(k):
    """2**k, -127 to 127; the lowest is subnormal."""
    return _f32(_i32((k + _i32(127)) << _i32(23)).view(_f32)) if k > _i32(-127) else _f32(2.0**-127)


@njit
def _float32_element(v, dropped, magic, normal, top):
    """As `small_float` of `fused.py` rounds, saturating."""
    bits = _f32(v).view(_i32)
    u = _i32(bits & _MAGNITUDE)
    half = _i32((_i32(1) << (dropped - _i32(1))) - _i32(1))
    keep = _i32(-(_i32(1) << dropped))
    r = _i32((u + half + ((u >> dropped) & _i32(1))) & keep)
    subnormal = _f32((_i32(u).view(_f32) + magic) - magic).view(_i32)
    r = subnormal if u < normal else r
    r = top if r > top else r
    return _i32(r | (bits & _SIGN)).view(_f32)


@njit
def _float64_element(v, dropped, magic, normal, top):
    """The same in float64."""
    bits = _f64(v).view(_i64)
    u = _i64(bits & _i64(0x7FFFFFFFFFFFFFFF))
    half = _i64((_i64(1) << (dropped - _i64(1))) - _i64(1))
    keep = _i64(-(_i64(1) << dropped))
    r = _i64((u + half + ((u >> dropped) & _i64(1))) & keep)
    subnormal = _f64((_i64(u).view(_f64) + magic) - magic).view(_i64)
    r = subnormal if u < normal else r
    r = top if r > top else r
    return _i64(r | (bits - u)).view(_f64)


@njit
def _fixed_element(v, low, high, magic):
    """Clamp, then round by adding a large number."""
    v = low if v < low else v
    v = high if v > high else v
    return (v + magic) - magic


@njit
def _e4m3(ratio, direction):
    """The positive number of E4M3 to which a ratio is rounded: down (-1), up (1) or to nearest (0)."""
    ratio = _f64(448.0) if ratio > _f64(448.0) else ratio
    field = _i64((_f64(ratio).view(_i64) >> _i64(52)) - _i64(1023))
    place = (field if field > _i64(-6) else _i64(-6)) - _i64(3)
    unit = _i64((place + _i64(1023)) << _i64(52)).view(_f64)
    places = ratio / unit
    whole = (places + _f64(2.0**52)) - _f64(2.0**52)
    if direction < 0 and whole > places:
        whole -= _f64(1.0)
    if direction > 0 and whole < places:
        whole += _f64(1.0)
    scale = whole * unit
    return scale if scale > _f64(2.0**-9) else _f64(2.0**-9)


@njit
def _magnitude(bits, rectified):
    """That of a float32's bits, or of max(x, 0)."""
    return _i32(0) if rectified and bits < _i32(0) else _i32(bits & _MAGNITUDE)


@njit
def _rectified(v, rectified):
    """A float32, or max(x, 0)."""
    return _f32(0) if rectified and v <= _f32(0) else v


@njit
def _maxima(bits, start, n, inner, width, rectified, maxima):
    """The largest magnitude of each of `width` blocks that lie side by side."""
    if inner == 1:
        most, places = _i32(0), bits[start : start + n]
        for i in range(n):
            u = _magnitude(places[i], rectified)
            most = u if u > most else most
        maxima[0] = most
        return
    for j in range(width):
        maxima[j] = _i32(0)
    for i in range(n):
        places = bits[start + i * inner : start + i * inner + width]
        for j in range(width):
            u = _magnitude(places[j], rectified)
            maxima[j] = u if u > maxima[j] else maxima[j]


def _powers(
    x_address, out_address, scratch_address, factor_address, first, last, length, inner, size, rectified, fixed,
    add, shift, lowest_code, highest_code, base, highest_power, dropped, magic, normal, top, low, high,
):  # fmt: skip
    count = (length + size - 1) // size
    total = (last + count - 1) // count * length * inner
    bits, x, out = carray(x_address, total), carray(x_address, total).view(_f32), carray(out_address, total)
    maxima, scratch = carray(scratch_address, _WIDTH), carray(factor_address, 2 * _WIDTH).view(_f32)
    factors, backward = scratch[:_WIDTH], scratch[_WIDTH : 2 * _WIDTH]
    for unit in range(first, last):
        n = min(size, length - unit % count * size)
        for begin in range(0, inner, _WIDTH):
            start = (unit // count * length + unit % count * size) * inner + begin
            width = min(_WIDTH, inner - begin)
            _maxima(bits, start, n, inner, width, rectified, maxima)
            for j in range(width):
                most = maxima[j]
                code = _i32(((most + add) >> _i32(23)) + shift)
                if most >= _INFINITY or (most < _NORMAL and most > 0 and code > lowest_code):
                    return _i32(1)
                code = lowest_code if code < lowest_code or most == 0 else code
                code = highest_code if code > highest_code else code
                k = _i32(code + base)
                if k > highest_power or k < _i32(-127):
                    return _i32(1)
                factors[j] = _power(_i32(-k))
                backward[j] = _power(k)
            inverse, factor = factors[0], backward[0]
            source, target = x[start : start + n], out[start : start + n]
            if inner == 1 and fixed:
                for i in range(n):
                    v = _rectified(source[i], rectified) * inverse
                    target[i] = _fixed_element(v, low, high, magic) * factor
            elif inner == 1:
                for i in range(n):
                    v = _rectified(source[i], rectified) * inverse
                    target[i] = _float32_element(v, dropped, magic, normal, top) * factor
            elif fixed:
                for row in range(start, start + n * inner, inner):
                    source, target = x[row : row + width], out[row : row + width]
                    for j in range(width):
                        v = _rectified(source[j], rectified) * factors[j]
                        target[j] = _fixed_element(v, low, high, magic) * backward[j]
            else:
                for row in range(start, start + n * inner, inner):
                    source, target = x[row : row + width], out[row : row + width]
                    for j in range(width):
                        v = _rectified(source[j], rectified) * factors[j]
                        rounded = _float32_element(v, dropped, magic, normal, top)
                        target[j] = rounded * backward[j]
    return _i32(0)


def _under_e4m3(
    x_address, out_address, scratch_address, factor_address, first, last, length, inner, size, rectified, fixed,
    direction, unit_scale, largest, dropped, magic, normal, top, low, high,
):  # fmt: skip
    count = (length + size - 1) // size
    total = (last + count - 1) // count * length * inner
    bits, x, out = carray(x_address, total), carray(x_address, total).view(_f32), carray(out_address, total)
    maxima, factors = carray(scratch_address, _WIDTH), carray(factor_address, _WIDTH)
    divisor = unit_scale * largest
    for unit in range(first, last):
        n = min(size, length - unit % count * size)
        for begin in range(0, inner, _WIDTH):
            start = (unit // count * length + unit % count * size) * inner + begin
            width = min(_WIDTH, inner - begin)
            _maxima(bits, start, n, inner, width, rectified, maxima)
            for j in range(width):
                if maxima[j] >= _LIMIT:
                    return _i32(1)
                factors[j] = _e4m3(_f64(_i32(maxima[j]).view(_f32)) / divisor, direction) * unit_scale
            factor = factors[0]
            source, target = x[start : start + n], out[start : start + n]
            if inner == 1 and fixed:
                for i in range(n):
                    v = _f64(_rectified(source[i], rectified)) / factor
                    target[i] = _f32(_fixed_element(v, low, high, magic) * factor)
            elif inner == 1:
                for i in range(n):
                    v = _f64(_rectified(source[i], rectified)) / factor
                    target[i] = _f32(_float64_element(v, dropped, magic, normal, top) * factor)
            elif fixed:
                for row in range(start, start + n * inner, inner):
                    source, target = x[row : row + width], out[row : row + width]
                    for j in range(width):
                        v = _f64(_rectified(source[j], rectified)) / factors[j]
                        target[j] = _f32(_fixed_element(v, low, high, magic) * factors[j])
            else:
                for row in range(start, start + n * inner, inner):
                    source, target = x[row : row + width], out[row : row + width]
                    for j in range(width):
                        v = _f64(_rectified(source[j], rectified)) / factors[j]
                        target[j] = _f32(_float64_element(v, dropped, magic, normal, top) * factors[j])
    return _i32(0)


_PASSES: dict[str, tuple[Callable[..., object], str]] = {
    "powers": (_powers, "iiiiiiifiiff"),
    "under_e4m3": (_under_e4m3, "iddldlldd"),
}
"""Name, body and its constants, behind addresses, units, sizes and flags: i an int32, f a float32, l and d of 64 bits.

Each returns 1 where plain torch must do it: for NaN, infinity and values at the ends of float32.
- powers: what is added to the bits of the largest magnitude, what then to the exponent's field to make the code, lowest
  and highest code, the power of code 0, the highest power at which float32 holds all elements; then of elements:
  mantissa bits dropped, 1.5 * 2**23 units, bit patterns of the smallest normal number and of the largest; lowest, highest.
- under_e4m3: the rule's direction, the tensor's factor, the largest element; then of elements the same in float64.
"""

_C = {"i": ctypes.c_int32, "f": ctypes.c_float, "l": ctypes.c_int64, "d": ctypes.c_double}
_N = {"i": types.int32, "f": types.float32, "l": types.int64, "d": types.float64}


@cache
def _compiled(name: str) -> Callable[..., int]:
    """The pass of that name, without Python's lock."""
    constants = _PASSES[name][1]
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_int32, *[ctypes.c_void_p] * 4, *[ctypes.c_ssize_t] * 5, *[ctypes.c_int32] * 2, *(_C[c] for c in constants)
    )
    return prototype(_machine_code(name).address)


@cache
def _machine_code(name: str) -> Any:
    """See `fused.py`."""
    body, constants = _PASSES[name]
    bits, values, factors = (types.CPointer(each) for each in (types.int32, types.float32, types.float64))
    signature = types.int32(
        bits, values, bits, factors, *[types.intp] * 5, *[types.int32] * 2, *(_N[c] for c in constants)
    )
    try:
        return cfunc(signature, cache=True)(body)
    except (OSError, RuntimeError):  # no folder to keep it in, or a full disk
        return cfunc(signature)(body)


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
    low, high = torch.aminmax(x)
    most = torch.stack((high.clamp_min(0.0) if rectified else torch.maximum(-low, high),)).double()
    if not bool(most.isfinite().all()) or not bool(most.any()):
        return None
    shape = number_format.element_largest, number_format.significand_bits
    return number_format.scales.factor(most, *shape, number_format.rule)


@lru_cache(maxsize=256)
def _pass(number_format: BlockFormat, fraction_bits: int, factor: float) -> _Pass | None:
    """The pass that quantizes at a tensor's factor; None where it would not be exact."""
    if abs(fraction_bits) > 60:
        return None
    if isinstance(number_format.scales, PowersScale):
        return _pass_of_powers(number_format, number_format.scales, fraction_bits)
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
    if mantissa == 0 and rule.takes_threshold:
        add, place = 0, place
    else:
        add, place = 2**23 - mantissa - (0 if rule.takes_threshold else 1), place + 1
    # amax = (1 + m) * 2**e: the carry makes e + 1 of it from the threshold on; k = e - place then, and the code k + bias + f
    shift = -127 - place + scales.bias + fraction_bits
    base = -scales.bias - fraction_bits
    described = element.fused_pass(point)
    least = floor_log2(number_format.element.smallest_positive) - point - 127
    if described is None or least < -149:
        return None
    ends = (scales_low := 0, scales.top, base, 127 - floor_log2(number_format.element_largest))
    del scales_low
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
    kernel = _compiled(described.kernel)
    addresses = source.data_ptr(), target.data_ptr()

    def part(first: int, last: int) -> int:
        maxima, factors = np.empty(_WIDTH, np.int32), np.empty(2 * _WIDTH, np.float64)
        return kernel(
            *addresses, maxima.ctypes.data, factors.ctypes.data, first, last, length, inner, size, rectified,
            described.fixed, *described.constants,
        )  # fmt: skip

    return any(in_threads(part, outer * -(-length // size), source.numel()))
