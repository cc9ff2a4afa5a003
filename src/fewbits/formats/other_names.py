"""What other tools and papers call the formats: for suggestions alone, none of these names is taken."""

from __future__ import annotations

import re

_FP8 = "fp8-e4m3 or fp8-e5m2"

_NAMES = {
    **dict.fromkeys(("fp32", "f32", "single", "float", "fp", "full", "e8m23", "tf32", "tensorfloat32"), "float32"),
    **dict.fromkeys(("fp64", "f64", "float64", "double"), "float32"),
    **dict.fromkeys(("fp16", "f16", "half", "e5m10"), "float16"),
    **dict.fromkeys(("bf16", "bfloat", "brainfloat", "brainfloat16", "e8m7"), "bfloat16"),
    **dict.fromkeys(("fp8", "float8", "f8"), _FP8),
    **dict.fromkeys(("e4m3", "e4m3fn", "fp8e4m3fn", "float8e4m3fn", "float8e4m3", "f8e4m3", "f8e4m3fn"), "fp8-e4m3"),
    **dict.fromkeys(("e5m2", "float8e5m2", "f8e5m2"), "fp8-e5m2"),
    **dict.fromkeys(("fp4", "float4", "f4"), "float-e2m1"),
    **dict.fromkeys(("fp6", "float6", "f6"), "float-e3m2 or float-e2m3"),
    **dict.fromkeys(("mxfp8", "mx8", "mx"), "mxfp8-e4m3 or mxfp8-e5m2"),
    **dict.fromkeys(("mxfp6", "mx6"), "mxfp6-e3m2 or mxfp6-e2m3"),
    **dict.fromkeys(("mx4", "mxfp4e2m1"), "mxfp4"),
    **dict.fromkeys(("nv4", "nvf4", "nvfp"), "nvfp4"),
    **dict.fromkeys(("bool", "boolean", "sign", "bin", "bnn", "xnor"), "binary"),
    **dict.fromkeys(("1.58bit", "tern", "trit", "bitnet"), "ternary"),
    **dict.fromkeys(("int", "integer", "fixed", "fixedpoint"), "fixed8"),
    **dict.fromkeys(("pow2", "poweroftwo", "powersoftwo", "pot", "po2", "log", "log2"), "pow2-6"),
}
"""Names without spaces, hyphens and underscores; float64's and TF32's widest counterpart here is float32."""

_INTEGER = re.compile(
    r"(?:torch\.)?[usq]?(?:int|i|u|s|q|fixed|fixedpoint|fx|fxp|bit|bits|integer)(\d{1,3})(?:t|bits?)?"
)
_BITS = re.compile(r"(\d{1,3})(?:b|bits?)?(?:int|fixed|fixedpoint|integer)?")
_POINT = re.compile(r"u?q(\d{1,2})\.(\d{1,2})")
"""ARM's Qm.n: m places before the radix point, n behind it."""

_AP_FIXED = re.compile(r"apu?fixed<?(\d{1,2})[.,]-?(\d{1,2})>?")
"""Vitis HLS's ap_fixed<width, places before the radix point>."""

_POWER = re.compile(r"(?:pow2|pot|po2|log|log2|poweroftwo)(\d)")
_SMALL = re.compile(r"(?:fp|float|f)?\d?e([2-7])m([1-9]|1\d|2[0-2])(?:fn|fnuz)?")


def plain_name(text: str) -> str:
    """A name in small letters, without spaces, hyphens and underscores."""
    return re.sub(r"[\s_-]+", "", text.lower())


def other_name(text: str) -> str | None:
    """What a name of another tool is called here; None if it is not known or has no counterpart.

    An unsigned integer's counterpart is the signed format of its width, as inputs and weights have a sign here.
    """
    plain = plain_name(text)
    if plain in _NAMES:
        return _NAMES[plain]
    if fixed := _POINT.fullmatch(plain):
        return _fixed(int(fixed[1]) + int(fixed[2]))
    if fixed := _AP_FIXED.fullmatch(plain):
        return _fixed(int(fixed[1]))
    if power := _POWER.fullmatch(plain):
        return f"pow2-{power[1]}" if 2 <= int(power[1]) <= 8 else None
    if integer := _INTEGER.fullmatch(plain) or _BITS.fullmatch(plain):
        return _fixed(int(integer[1]))
    if small := _SMALL.fullmatch(plain):
        return f"float-e{small[1]}m{small[2]}"
    return None


def _fixed(bits: int) -> str | None:
    return f"fixed{bits}" if 2 <= bits <= 32 else "binary" if bits == 1 else None
