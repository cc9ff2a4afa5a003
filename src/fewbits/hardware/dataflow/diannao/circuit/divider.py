"""Dividers of the average: a sum by a small count, rounded half to even, one a cycle."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.diannao.latency import FLOAT_QUOTIENT_BITS, QUOTIENT_BITS_PER_STAGE, division_stages
from fewbits.hardware.dataflow.diannao.program import COUNT_BITS
from fewbits.hardware.datapath.floating import BITS as FLOAT_BITS
from fewbits.hardware.datapath.floating import EXPONENT, MANTISSA, SIGNIFICAND, fields, packed
from fewbits.hardware.process.datapath_key import Accumulation
from fewbits.hardware.rtl.bit_heap import delayed, registered, shared


class IntegerAverage(Component):
    """A sum over a count: rounded half to even, saturated, `integer_average_stages` cycles later.

    is_signed: whether the sum, and the average, are two's complement; else they have no sign.
    """

    def __init__(self, output_bits: int, is_signed: bool = True) -> None:
        self.output_bits = output_bits
        self.is_signed = is_signed
        self.sum_bits = output_bits + COUNT_BITS
        super().__init__({"sum": In(self.sum_bits), "count": In(COUNT_BITS), "average": Out(output_bits)})

    def elaborate(self, platform: object) -> Module:
        """Magnitude; long division; rounding; sign."""
        m = Module()
        negative = self.sum[-1] if self.is_signed else Const(0, 1)
        magnitude = registered(
            m, ((self.sum ^ negative.replicate(self.sum_bits)) + negative)[: self.sum_bits], "magnitude"
        )
        count = registered(m, self.count, "first_count")
        quotient, remainder, count = _divide(m, magnitude, count, self.sum_bits)
        sign = delayed(m, negative, division_stages(self.sum_bits) + 2, "sign")
        twice = Cat(Const(0, 1), remainder)
        up = shared(m, (twice > count) | ((twice == count) & quotient[0]), "up")
        rounded = registered(m, quotient + up, "rounded")
        top = 1 << (self.output_bits - self.is_signed)
        limited = shared(m, Mux(rounded > top - 1 + sign, top - 1 + sign, rounded), "limited")[: self.output_bits]
        m.d.sync += self.average.eq((limited ^ sign.replicate(self.output_bits)) + sign)
        return m


class FloatAverage(Component):
    """A float32 over a count, rounded to the nearest float32 (ties to even), `float_average_stages` cycles later.

    Infinity stays; subnormal results become zeros.
    """

    def __init__(self) -> None:
        super().__init__({"sum": In(FLOAT_BITS), "count": In(COUNT_BITS), "average": Out(FLOAT_BITS)})

    def elaborate(self, platform: object) -> Module:
        """Long division of the significand, normalization, rounding."""
        m = Module()
        mantissa, exponent, sign = fields(self.sum)
        dividend = Cat(Const(0, FLOAT_QUOTIENT_BITS - SIGNIFICAND), mantissa, Const(1, 1))
        quotient, remainder, _ = _divide(m, dividend, self.count, FLOAT_QUOTIENT_BITS)
        stages = division_stages(FLOAT_QUOTIENT_BITS)
        exponent, sign = delayed(m, exponent, stages, "exponent"), delayed(m, sign, stages, "sign")
        word, places = self._normalized(m, quotient)
        registers = [
            Signal(len(value), name=f"normalized_{name}", reset_less=True)
            for name, value in (("word", word), ("rest", remainder), ("places", places))
        ]
        m.d.sync += [r.eq(v) for r, v in zip(registers, (word, remainder, places), strict=True)]
        self._round(m, registers, delayed(m, exponent, 1, "exponent_last"), delayed(m, sign, 1, "sign_last"))
        return m

    def _normalized(self, m: Module, quotient: Value) -> tuple[Value, Value]:
        """The leading one at the top, and by how many places it was moved."""
        word: Value = quotient
        width = FLOAT_QUOTIENT_BITS
        moved: list[Value] = []
        for level in reversed(range(COUNT_BITS.bit_length())):
            places = 1 << level
            empty = shared(m, word[width - places :] == 0, "empty")
            word = shared(m, Mux(empty, word << places, word)[:width], "word")
            moved.insert(0, empty)
        return word, Cat(*moved)

    def _round(self, m: Module, registers: list[Signal], exponent: Value, sign: Value) -> None:
        word, rest, places = registers
        low = FLOAT_QUOTIENT_BITS - SIGNIFICAND
        significand, guard = word[low:], word[low - 1]
        sticky = word[: low - 1].any() | rest.any()
        up = shared(m, guard & (sticky | significand[0]), "up")
        raised = shared(m, exponent - places + (significand.all() & up), "raised")
        number = packed(sign, raised, (significand[:MANTISSA] + up)[:MANTISSA])
        zero, infinite = exponent == 0, exponent == (1 << EXPONENT) - 1
        special = Cat(Const(0, MANTISSA), infinite.replicate(EXPONENT), sign)
        m.d.sync += self.average.eq(Mux(zero | infinite, special, number))


DIVIDERS: Mapping[Accumulation, Callable[[int, bool], IntegerAverage | FloatAverage]] = {
    "integer": IntegerAverage,
    "float32": lambda _bits, _is_signed: FloatAverage(),
}
"""What makes an average of a sum, by what the sum is held in, the bits of an output and whether it has a sign."""


def _divide(m: Module, dividend: Value, divisor: Value, bits: int) -> tuple[Value, Value, Value]:
    """Quotient, remainder and divisor after `division_stages(bits)` cycles of restoring long division."""
    remainder: Value = Const(0, COUNT_BITS)
    rest: Value = dividend
    for start in range(0, bits, QUOTIENT_BITS_PER_STAGE):
        for _ in range(min(QUOTIENT_BITS_PER_STAGE, bits - start)):
            trial = shared(m, Cat(rest[-1], remainder), "trial")
            fits = shared(m, trial >= divisor, "fits")
            remainder = shared(m, Mux(fits, trial - divisor, trial)[:COUNT_BITS], "remainder")
            rest = Cat(fits, rest[:-1])
        names = ("rest", "remainder", "divisor")
        registers = [
            Signal(len(value), name=f"{name}_{start}", reset_less=True)
            for name, value in zip(names, (rest, remainder, divisor), strict=True)
        ]
        m.d.sync += [r.eq(v) for r, v in zip(registers, (rest, remainder, divisor), strict=True)]
        rest, remainder, divisor = registers
    return rest, remainder, divisor
