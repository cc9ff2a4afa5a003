"""The fused passes over float32 memory, compiled by numba: each reads and writes every element once.

Every pass takes the addresses of `size` float32 values to read and to write (which may be the same), then constants of
the format, and returns how many of the values are NaN. Addresses, not arrays, because wrapping a tensor as an array
costs ten times the call. No pass scales: its constants already hold the radix point. Two ways of rounding are used,
both to nearest, ties to even:

- Adding and taking away 1.5 * 2**23 units rounds a float32 below 2**22 units to a multiple of the unit: in the sum, the
  last place is one unit (numba does no unsafe float arithmetic unless asked).
- Adding half of the last kept place, less one where that place holds 0, to a float's bit pattern carries into it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import carray, cfunc, types  # pyright: ignore[reportPrivateImportUsage]

_f32, _i32 = np.float32, np.int32
_MAGNITUDE = _i32(0x7FFFFFFF)
_SIGN = _i32(-0x80000000)
_INFINITY = _i32(0x7F800000)
_HALF_BINADE = _i32(0x3FFFFF)


def _fixed(x_address, out_address, size, low, high, magic):
    x, out = carray(x_address, size), carray(out_address, size)
    found = _i32(0)
    for i in range(size):
        v = x[i]
        found += _i32(v != v)
        v = low if v < low else v
        v = high if v > high else v
        out[i] = (v + magic) - magic
    return found


def _fixed_wide(x_address, out_address, size, low, high, magic):
    x, out = carray(x_address, size), carray(out_address, size)
    found = _i32(0)
    for i in range(size):
        v = x[i]
        found += _i32(v != v)
        v = low if v < low else v
        v = high if v > high else v
        signed = magic if v >= _f32(0) else -magic
        rounded = (v + signed) - signed
        out[i] = v if abs(v) >= magic else rounded
    return found


def _binary(x_address, out_address, size, unit):
    x, out = carray(x_address, size), carray(out_address, size)
    found = _i32(0)
    for i in range(size):
        v = x[i]
        found += _i32(v != v)
        out[i] = unit if v >= _f32(0) else -unit
    return found


def _power_of_two(x_address, out_address, size, half, one, top, parity):
    x, out = carray(x_address, size), carray(out_address, size)
    found = _i32(0)
    for i in range(size):
        bits = x[i]
        u = _i32(bits & _MAGNITUDE)
        found += _i32(u > _INFINITY)
        v = top if u > top else u
        r = _i32((v + _HALF_BINADE + (((v >> _i32(23)) ^ parity) & _i32(1))) & _INFINITY)
        r = one if r < one else r
        out[i] = _i32(r | (bits & _SIGN)) if u > half else _i32(0)
    return found


def _small_float(x_address, out_address, size, dropped, magic, normal, top, beyond):
    x, out = carray(x_address, size), carray(out_address, size)
    found = _i32(0)
    half = _i32((_i32(1) << (dropped - _i32(1))) - _i32(1))
    keep = _i32(-(_i32(1) << dropped))
    for i in range(size):
        bits = x[i]
        u = _i32(bits & _MAGNITUDE)
        found += _i32(u > _INFINITY)
        r = _i32((u + half + ((u >> dropped) & _i32(1))) & keep)
        subnormal = _f32((_i32(u).view(_f32) + magic) - magic).view(_i32)
        r = subnormal if u < normal else r
        r = beyond if r > top else r
        out[i] = _i32(r | (bits & _SIGN))
    return found


def _whole_float(x_address, out_address, size, top, beyond):
    x, out = carray(x_address, size), carray(out_address, size)
    found = _i32(0)
    for i in range(size):
        bits = x[i]
        u = _i32(bits & _MAGNITUDE)
        found += _i32(u > _INFINITY)
        r = beyond if u > top else u
        out[i] = _i32(r | (bits & _SIGN))
    return found


_PASSES: dict[str, tuple[Callable[..., object], str, str]] = {
    "fixed": (_fixed, "values", "fff"),
    "fixed_wide": (_fixed_wide, "values", "fff"),
    "binary": (_binary, "values", "f"),
    "power_of_two": (_power_of_two, "bits", "iiii"),
    "small_float": (_small_float, "bits", "ifiii"),
    "whole_float": (_whole_float, "bits", "ii"),
}
"""Name, body, whether it reads values or bit patterns, and its constants: f a float32, i an int32.

- fixed: lowest, highest, 1.5 * 2**23 units. The range lies within 2**22 units.
- fixed_wide: lowest, highest, 2**23 units: a float32 from there on is a multiple of the unit already.
- binary: the unit.
- power_of_two: bit patterns of half a unit, one, and the highest power; the radix point's parity, which makes the
  exponent field's last bit the code's.
- small_float: mantissa bits dropped, 1.5 * 2**23 times the smallest subnormal, bit patterns of the smallest normal
  number, of the largest, and of what lies beyond it.
- whole_float: float32 itself; bit patterns of the largest number and of what lies beyond it.
"""


@cache
def compiled_pass(name: str) -> Callable[..., int]:
    """The pass of that name: takes addresses, size and constants, returns the count of NaN, without Python's lock."""
    constants = _PASSES[name][2]
    arguments = [{"f": ctypes.c_float, "i": ctypes.c_int32}[c] for c in constants]
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t, *arguments)
    return prototype(_machine_code(name).address)


@cache
def _machine_code(name: str) -> Any:
    """A pass compiled; on disk too, where that can be written. The cache keeps the code in memory while it is used."""
    body, pointee, constants = _PASSES[name]
    number = {"f": types.float32, "i": types.int32}
    pointer = types.CPointer(types.float32 if pointee == "values" else types.int32)
    signature = types.int32(pointer, pointer, types.intp, *(number[c] for c in constants))
    try:
        return cfunc(signature, cache=True)(body)
    except (OSError, RuntimeError):  # no folder to keep it in, or a full disk
        return cfunc(signature)(body)
