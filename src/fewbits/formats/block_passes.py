"""The fused passes of block formats over float32 memory, compiled by numba: each element is read and written once.

A tensor is taken as it lies in memory: rows of `length` places with `inner` neighbours at each, blocks along `length`.
The scale of a block is made of bit patterns: adding to those of the largest magnitude what is missing from the rule's
threshold to the next power carries into the exponent. Elements under powers of two are rounded in float32, where
scaling is exact, by the two ways of `fused.py`; those under E4M3 in float64, where a quotient is told from a tie.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types  # pyright: ignore[reportPrivateImportUsage]

_f32, _f64, _i32, _i64 = np.float32, np.float64, np.int32, np.int64
_MAGNITUDE = _i32(0x7FFFFFFF)
_SIGN = _i32(-0x80000000)
_INFINITY = _i32(0x7F800000)
_NORMAL = _i32(0x800000)
"""The smallest normal float32."""

_LIMIT = _i32(0x7E800000)
"""2**126: below, a scale that is rounded up overflows no value."""

WIDTH = 256
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
def _told(v):
    """A product with a reciprocal as the quotient that it stands for: a middle between elements is found exactly.

    A float32 over a factor of 28 bits lies in a middle of up to 9 bits, or 2**-38 of itself or more from it; the
    product errs by 2**-51. So 12 bits of 52 are rounded off.
    """
    return _i64((_f64(v).view(_i64) + _i64(0x800)) & _i64(-0x1000)).view(_f64)


@njit
def _e4m3(ratio, direction):
    """The positive number of E4M3 to which a ratio is rounded: down (-1), up (1) or to nearest (0)."""
    ratio = _f64(448.0) if ratio > _f64(448.0) else ratio
    field = _i64((_f64(ratio).view(_i64) >> _i64(52)) - _i64(1023))
    place = (field if field > _i64(-6) else _i64(-6)) - _i64(3)
    unit = _i64((place + _i64(1023)) << _i64(52)).view(_f64)
    places = ratio * _i64((_i64(1023) - place) << _i64(52)).view(_f64)
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


@njit(inline="always")
def _largest(places, n, rectified):
    """The largest magnitude of a block that lies along memory."""
    most = _i32(0)
    for i in range(n):
        u = _magnitude(places[i], rectified)
        most = u if u > most else most
    return most


@njit
def _maxima(bits, start, n, inner, width, rectified, maxima):
    """The largest magnitude of each of `width` blocks that lie side by side."""
    if inner == 1:
        places = bits[start : start + n]
        if n == 16:
            maxima[0] = _largest(places, 16, rectified)
        elif n == 32:
            maxima[0] = _largest(places, 32, rectified)
        else:
            maxima[0] = _largest(places, n, rectified)
        return
    for j in range(width):
        maxima[j] = _i32(0)
    for i in range(n):
        places = bits[start + i * inner : start + i * inner + width]
        for j in range(width):
            u = _magnitude(places[j], rectified)
            maxima[j] = u if u > maxima[j] else maxima[j]


@njit(inline="always")
def _fixed_block(source, target, n, rectified, inverse, factor, low, high, magic):
    """A block under E4M3 that lies along memory."""
    for i in range(n):
        v = _told(_f64(_rectified(source[i], rectified)) * inverse)
        target[i] = _f32(_fixed_element(v, low, high, magic) * factor)


@njit(inline="always")
def _float_block(source, target, n, rectified, inverse, factor, dropped, magic, normal, top):
    """The same with floating-point elements."""
    for i in range(n):
        v = _told(_f64(_rectified(source[i], rectified)) * inverse)
        target[i] = _f32(_float64_element(v, dropped, magic, normal, top) * factor)


def _powers(  # noqa: C901 - one loop over memory
    x_address, out_address, scratch_address, factor_address, first, last, length, inner, size, rectified, fixed,
    add, shift, lowest_code, highest_code, base, highest_power, dropped, magic, normal, top, low, high,
):  # fmt: skip
    count = (length + size - 1) // size
    total = (last + count - 1) // count * length * inner
    bits, x, out = carray(x_address, total), carray(x_address, total).view(_f32), carray(out_address, total)
    maxima, scratch = carray(scratch_address, WIDTH), carray(factor_address, 2 * WIDTH).view(_f32)
    factors, backward = scratch[:WIDTH], scratch[WIDTH : 2 * WIDTH]
    row, place = first // count * length, first % count * size
    for _ in range(first, last):
        n = min(size, length - place)
        for begin in range(0, inner, WIDTH):
            start = (row + place) * inner + begin
            width = min(WIDTH, inner - begin)
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
                for begun in range(start, start + n * inner, inner):
                    source, target = x[begun : begun + width], out[begun : begun + width]
                    for j in range(width):
                        v = _rectified(source[j], rectified) * factors[j]
                        target[j] = _fixed_element(v, low, high, magic) * backward[j]
            else:
                for begun in range(start, start + n * inner, inner):
                    source, target = x[begun : begun + width], out[begun : begun + width]
                    for j in range(width):
                        v = _rectified(source[j], rectified) * factors[j]
                        rounded = _float32_element(v, dropped, magic, normal, top)
                        target[j] = rounded * backward[j]
        place += size
        if place >= length:
            row, place = row + length, 0
    return _i32(0)


@njit
def _e4m3_factors(maxima, factors, inverses, n, direction, unit_scale, inverse_unit):
    """The factor of each block and its reciprocal; whether float32 ends too near for one."""
    beyond = _i32(0)
    for j in range(n):
        beyond |= _i32(maxima[j] >= _LIMIT)
        scale = _e4m3(_told(_f64(_i32(maxima[j]).view(_f32)) * inverse_unit), direction)
        factors[j] = scale * unit_scale
        inverses[j] = _f64(1.0) / factors[j]
    return beyond


def _under_e4m3(  # noqa: C901 - one loop over memory
    x_address, out_address, scratch_address, factor_address, first, last, length, inner, size, rectified, fixed,
    direction, unit_scale, largest, dropped, magic, normal, top, low, high,
):  # fmt: skip
    count = (length + size - 1) // size
    total = (last + count - 1) // count * length * inner
    bits, x, out = carray(x_address, total), carray(x_address, total).view(_f32), carray(out_address, total)
    maxima, scratch = carray(scratch_address, WIDTH), carray(factor_address, 2 * WIDTH)
    factors, inverses = scratch[:WIDTH], scratch[WIDTH : 2 * WIDTH]
    inverse_unit = _f64(1.0) / (unit_scale * largest)
    row, place = first // count * length, first % count * size
    if inner == 1:  # scales of many blocks together, since one alone waits for its result
        for begin in range(first, last, WIDTH):
            blocks = min(WIDTH, last - begin)
            row_again, place_again = row, place
            for j in range(blocks):
                n = min(size, length - place)
                places = bits[row + place : row + place + n]
                maxima[j] = _largest(places, 16, rectified) if n == 16 else _largest(places, n, rectified)
                place += size
                if place >= length:
                    row, place = row + length, 0
            if _e4m3_factors(maxima, factors, inverses, blocks, direction, unit_scale, inverse_unit):
                return _i32(1)
            row, place = row_again, place_again
            for j in range(blocks):
                n = min(size, length - place)
                factor, inverse = factors[j], inverses[j]
                source, target = x[row + place : row + place + n], out[row + place : row + place + n]
                if fixed:
                    _fixed_block(source, target, n, rectified, inverse, factor, low, high, magic)
                else:
                    _float_block(source, target, n, rectified, inverse, factor, dropped, magic, normal, top)
                place += size
                if place >= length:
                    row, place = row + length, 0
        return _i32(0)
    for _ in range(first, last):
        n = min(size, length - place)
        for begin in range(0, inner, WIDTH):
            start = (row + place) * inner + begin
            width = min(WIDTH, inner - begin)
            _maxima(bits, start, n, inner, width, rectified, maxima)
            if _e4m3_factors(maxima, factors, inverses, width, direction, unit_scale, inverse_unit):
                return _i32(1)
            for begun in range(start, start + n * inner, inner):
                source, target = x[begun : begun + width], out[begun : begun + width]
                if fixed:
                    for j in range(width):
                        v = _told(_f64(_rectified(source[j], rectified)) * inverses[j])
                        target[j] = _f32(_fixed_element(v, low, high, magic) * factors[j])
                else:
                    for j in range(width):
                        v = _told(_f64(_rectified(source[j], rectified)) * inverses[j])
                        target[j] = _f32(_float64_element(v, dropped, magic, normal, top) * factors[j])
        place += size
        if place >= length:
            row, place = row + length, 0
    return _i32(0)


def _largest_bits(x_address, size):
    bits = carray(x_address, size)
    most = _i32(0)
    for i in range(size):
        u = _i32(bits[i] & _MAGNITUDE)
        most = u if u > most else most
    return most


_PASSES: dict[str, tuple[Callable[..., object], str]] = {
    "powers": (_powers, "iiiiiiifiiff"),
    "under_e4m3": (_under_e4m3, "iddldlldd"),
}
"""Name, body and its constants, behind addresses, units, sizes and flags: i an int32, f a float32, l and d of 64 bits.

Each returns 1 where plain torch must do it: for NaN, infinity and values at the ends of float32.
- powers: what is added to the bits of the largest magnitude, what then to the exponent's field to make the code, lowest
  and highest code, the power of code 0, the highest power at which float32 holds all elements; then of elements:
  mantissa bits dropped, 1.5 * 2**23 units, bit patterns of the smallest normal number and the largest; lowest, highest.
- under_e4m3: the rule's direction, the tensor's factor, the largest element; then of elements the same in float64.
"""

_C = {"i": ctypes.c_int32, "f": ctypes.c_float, "l": ctypes.c_int64, "d": ctypes.c_double}
_N = {"i": types.int32, "f": types.float32, "l": types.int64, "d": types.float64}


@cache
def compiled_block_pass(name: str) -> Callable[..., int]:
    """The pass of that name, without Python's lock."""
    constants = _PASSES[name][1]
    prototype = ctypes.CFUNCTYPE(
        ctypes.c_int32,
        *[ctypes.c_void_p] * 4,
        *[ctypes.c_ssize_t] * 5,
        *[ctypes.c_int32] * 2,
        *(_C[c] for c in constants),
    )
    return prototype(_machine_code(name).address)


@cache
def largest_bits() -> Callable[[int, int], int]:
    """The pass from an address and a count of float32 to the bits of the largest magnitude; NaN is the largest."""
    signature = types.int32(types.CPointer(types.int32), types.intp)
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_ssize_t)
    return prototype(_kept(signature, _largest_bits).address)


@cache
def _machine_code(name: str) -> Any:
    """See `fused.py`."""
    body, constants = _PASSES[name]
    bits, values, factors = (types.CPointer(each) for each in (types.int32, types.float32, types.float64))
    signature = types.int32(
        bits, values, bits, factors, *[types.intp] * 5, *[types.int32] * 2, *(_N[c] for c in constants)
    )
    return _kept(signature, body)


@cache
def _kept(signature: Any, body: Callable[..., object]) -> Any:
    """Machine code, on disk too, where that can be written; it is kept in memory while it is used."""
    try:
        return cfunc(signature, cache=True)(body)
    except (OSError, RuntimeError):  # no folder to keep it in, or a full disk
        return cfunc(signature)(body)
