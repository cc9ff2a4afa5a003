"""The fused passes over float32 arrays, compiled by numba: each reads and writes every element once.

All take flat arrays `x` and `out` (which may be the same) and return whether a NaN was found. `forward` is
2**fraction_bits and `backward` its inverse; both are powers of two, so that multiplying is exact. Adding and
subtracting 1.5 * 2**23 rounds a float32 below 2**22 to the nearest integer, ties to even (no fast-math here).
"""
# pyright: reportUnknownMemberType=false, reportUntypedFunctionDecorator=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingParameterType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

_F = np.float32
_MAGIC = _F(1.5 * 2**23)
_ONE, _HALF, _ZERO = _F(1.0), _F(0.5), _F(0.0)
_INTEGER_FROM = _F(2**23)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without the interpreter's lock; keep the machine code on disk where that can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no folder for its cache
        return numba.njit(nogil=True)(function)


@_compiled
def _fixed(x, out, forward, backward, low, high):
    bad = np.int32(0)
    for i in range(x.size):
        v = x[i] * forward
        bad |= np.int32(v != v)
        v = low if v < low else v
        v = high if v > high else v
        out[i] = ((v + _MAGIC) - _MAGIC + _ZERO) * backward
    return bad != 0


@_compiled
def _fixed_wide(x, out, forward, backward, low, high):
    bad = np.int32(0)
    for i in range(x.size):
        v = x[i] * forward
        bad |= np.int32(v != v)
        v = low if v < low else v
        v = high if v > high else v
        magic = _INTEGER_FROM if v >= _ZERO else -_INTEGER_FROM
        rounded = (v + magic) - magic + _ZERO
        out[i] = (v if abs(v) >= _INTEGER_FROM else rounded) * backward
    return bad != 0


@_compiled
def _binary(x, out, unit):
    bad = np.int32(0)
    for i in range(x.size):
        v = x[i]
        bad |= np.int32(v != v)
        out[i] = unit if v >= _ZERO else -unit
    return bad != 0


@_compiled
def _power_of_two(x, x_bits, out, out_bits, forward, backward, top):
    bad = np.int32(0)
    for i in range(x.size):
        v = x[i] * forward
        bad |= np.int32(v != v)
        v = abs(v)
        v = top if v > top else v
        sign = x_bits[i] & np.int32(-0x80000000)
        out[i] = v
        u = out_bits[i]
        u = (u + np.int32(0x3FFFFF) + ((u >> np.int32(23)) & np.int32(1))) & np.int32(0x7F800000)
        out_bits[i] = u
        r = out[i]
        r = _ONE if r < _ONE else r
        r = top if r > top else r
        out[i] = r * backward
        out_bits[i] = (out_bits[i] | sign) if v > _HALF else np.int32(0)
    return bad != 0


@_compiled
def _float32(x, out, top, over):
    bad = np.int32(0)
    for i in range(x.size):
        v = x[i]
        bad |= np.int32(v != v)
        v = over if v > top else v
        out[i] = -over if v < -top else v
    return bad != 0


@_compiled
def _small_float(x, x_bits, out, out_bits, forward, backward, top, over, dropped, smallest_normal, magic):
    bad = np.int32(0)
    half = np.int32((1 << (dropped - 1)) - 1)
    keep = np.int32(-(1 << dropped))
    for i in range(x.size):
        v = x[i] * forward
        bad |= np.int32(v != v)
        v = abs(v)
        sign = x_bits[i] & np.int32(-0x80000000)
        subnormal = (v + magic) - magic
        out[i] = v
        u = out_bits[i]
        out_bits[i] = (u + half + ((u >> dropped) & np.int32(1))) & keep
        r = out[i]
        r = subnormal if v < smallest_normal else r
        r = over if r > top else r
        out[i] = r * backward
        out_bits[i] |= sign
    return bad != 0


def fixed(x: Any, out: Any, forward: float, backward: float, low: float, high: float) -> bool:
    """Integers from `low` to `high`, both below 2**22 in magnitude."""
    return _fixed(x, out, _F(forward), _F(backward), _F(low), _F(high))


def fixed_wide(x: Any, out: Any, forward: float, backward: float, low: float, high: float) -> bool:
    """Integers of any width: a float32 from 2**23 on is one already; 2**23 of the same sign rounds all below."""
    return _fixed_wide(x, out, _F(forward), _F(backward), _F(low), _F(high))


def binary(x: Any, out: Any, unit: float) -> bool:
    """`unit` with the sign of x."""
    return _binary(x, out, _F(unit))


def power_of_two(x: Any, out: Any, forward: float, backward: float, top: float) -> bool:
    """0, or powers of two from 1 to `top`: the mantissa is rounded into the exponent field, ties to even."""
    return _power_of_two(x, x.view(np.int32), out, out.view(np.int32), _F(forward), _F(backward), _F(top))


def float32(x: Any, out: Any, top: float, over: float) -> bool:
    """The same values, but for infinity."""
    return _float32(x, out, _F(top), _F(over))


def small_float(
    x: Any,
    out: Any,
    forward: float,
    backward: float,
    top: float,
    over: float,
    dropped: int,
    smallest_normal: float,
    magic: float,
) -> bool:
    """Floats whose mantissa is shorter by `dropped` bits; `magic` is 1.5 * 2**23 times the subnormals' last place."""
    return _small_float(
        x,
        x.view(np.int32),
        out,
        out.view(np.int32),
        _F(forward),
        _F(backward),
        _F(top),
        _F(over),
        np.int32(dropped),
        _F(smallest_normal),
        _F(magic),
    )
