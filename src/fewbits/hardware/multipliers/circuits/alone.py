"""A multiplier as a module of its own, without registers."""

from __future__ import annotations

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal

from fewbits.hardware.multipliers.kinds import MultiplierKind


def combinational_rtlil(kind: MultiplierKind, weight_bits: int, input_bits: int, name: str) -> str:
    """RTLIL of a module with ports `weight`, `value` and `product`, the sum of the multiplier's rows."""
    m = Module()
    weight, value = Signal(weight_bits, name="weight"), Signal(input_bits, name="value")
    product = Signal(weight_bits + input_bits, name="product")
    high, low = kind.rows(m, weight, value, len(product))
    m.d.comb += product.eq(high + low)
    return rtlil.convert(m, name=name, ports=[weight, value, product], emit_src=False)
