"""The circuits of floats narrower than float32: the multiplier of significands, and rounding back to the format."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Value, signed
from amaranth.lib.wiring import Component, In, Out

from fewbits.formats import FloatFormat
from fewbits.hardware.datapath.floating import BIAS, BITS, EXPONENT, MANTISSA, SIGNIFICAND, fields, packed
from fewbits.hardware.multipliers.kinds import MultiplierKind
from fewbits.hardware.rtl.bit_heap import registered, shared


@dataclass(frozen=True)
class Operand:
    """A number taken apart: significand times 2**(exponent - bias - mantissa_bits)."""

    significand: Value
    exponent: Value
    sign: Value


class NarrowFloatMultiplier(Component):
    """The product of two narrow floats as a float32, two cycles later: significands' product, then normalization."""

    def __init__(self, weights: FloatFormat, inputs: FloatFormat, multiplier: MultiplierKind) -> None:
        self.multiplier = multiplier
        self.formats = (weights, inputs)
        super().__init__({"weight": In(weights.bits), "value": In(inputs.bits), "product": Out(BITS)})

    def elaborate(self, platform: object) -> Module:
        """Two stages."""
        m = Module()
        weights, inputs = self.formats
        a, b = operand(m, self.weight, weights), operand(m, self.value, inputs)
        bits = len(a.significand) + len(b.significand)
        zero = Const(0, 1)
        rows = self.multiplier.rows(m, Cat(a.significand, zero), Cat(b.significand, zero), bits)
        product = registered(m, (rows[0] + rows[1])[:bits], "significands")
        exponent = registered(m, a.exponent + b.exponent + (BIAS + 1 - weights.bias - inputs.bias), "exponent1")
        sign = registered(m, a.sign ^ b.sign, "sign1")
        flushes = all(map(_flushes, self.formats))
        normal, places = _normalized(m, product, 1 if flushes else bits - 1)
        mantissa = Cat(Const(0, MANTISSA + 1 - bits), normal[: bits - 1])
        number = packed(sign, exponent - places, mantissa)
        m.d.sync += self.product.eq(Mux(product == 0, Cat(Const(0, BITS - 1), sign), number))
        return m


def operand(m: Module, code: Value, number_format: FloatFormat) -> Operand:
    """The fields of a code; a subnormal number has the smallest exponent and no leading one, or counts as zero."""
    stored, field = code[: number_format.mantissa_bits], code[number_format.mantissa_bits : -1]
    leading = shared(m, field.any(), "leading")
    if _flushes(number_format):
        return Operand(Cat(stored & leading.replicate(len(stored)), leading), field, code[-1])
    return Operand(Cat(stored, leading), Cat(field[0] | ~leading, field[1:]), code[-1])


def _flushes(number_format: FloatFormat) -> bool:
    """Whether the format's subnormal numbers are subnormal in float32, too."""
    return number_format.exponent_bits == EXPONENT


def _normalized(m: Module, word: Value, furthest: int) -> tuple[Value, Value]:
    """The word moved left until its top bit is one, and by how many places, up to `furthest`."""
    width, places_taken = len(word), []
    for level in reversed(range(furthest.bit_length())):
        places = 1 << level
        empty = shared(m, word[max(0, width - places) :] == 0, "empty")
        word = shared(m, Mux(empty, word << places, word)[:width], "word")
        places_taken.insert(0, empty)
    return word, Cat(*places_taken)


class FloatOutputStage(Component):
    """The accumulator times 2**-shift, rounded to a narrow format, three cycles later.

    Nearest, ties to even, with subnormal numbers; beyond the largest number as the format has it. Zeros keep their
    sign, but for ReLU, which makes +0 of negatives and -0. `shift` (signed) and `relu` are settings of a layer.
    """

    def __init__(self, number_format: FloatFormat, shift_bits: int) -> None:
        self.number_format = number_format
        super().__init__(
            {
                "total": In(BITS),
                "shift": In(signed(shift_bits)),
                "relu": In(1),
                "output": Out(number_format.bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The new exponent, the move right of a subnormal result, rounding."""
        m = Module()
        mantissa, field, sign = fields(self.total)
        kept_bits = self.number_format.mantissa_bits
        exponent = shared(m, field - self.shift + (self.number_format.bias - BIAS), "target")
        below = shared(m, 1 - exponent, "below")
        places = shared(m, Mux(below > kept_bits + 2, kept_bits + 2, below)[: (kept_bits + 2).bit_length()], "places")
        is_small = exponent < 1
        kept = (field != 0) & ~(self.relu & sign)
        sign1 = registered(m, sign & ~self.relu, "sign1")
        places1 = registered(m, Mux(is_small, places, 0), "places1")
        exponent1 = registered(m, Mux(is_small, Const(0, signed(len(exponent))), exponent), "exponent1")
        significand = registered(m, Cat(mantissa, Const(1, 1)) & kept.replicate(SIGNIFICAND), "significand1")
        exponent1 = Mux(significand[-1], exponent1, 0)
        word, sticky = _moved_right(m, significand, places1)
        top = shared(m, word[MANTISSA - kept_bits :], "top")
        guard = word[MANTISSA - kept_bits - 1]
        sticky = sticky | word[: MANTISSA - kept_bits - 1].any()
        # The leading one is not stored: it is one unit of the exponent, so a normal field less 1 is what it adds to.
        base = shared(m, Mux(exponent1 > 0, exponent1 - 1, 0), "base")
        pattern = registered(m, (Cat(Const(0, kept_bits), base).as_unsigned() + top), "pattern2")
        up = registered(m, guard & (sticky | top[0]), "up2")
        sign2 = registered(m, sign1, "sign2")
        rounded = shared(m, pattern + up, "rounded")
        largest = largest_code(self.number_format)
        limited = Mux(rounded > largest, beyond_code(self.number_format), rounded)
        m.d.sync += self.output.eq(Cat(limited[: self.number_format.bits - 1], sign2))
        return m


def _moved_right(m: Module, word: Value, places: Value) -> tuple[Value, Value]:
    """A logical shift, and whether a one fell out."""
    sticky: Value = Const(0, 1)
    for level in range(len(places)):
        distance = min(1 << level, len(word))
        falling = sticky | word[:distance].any()
        moved = Cat(word[distance:], Const(0, distance))
        sticky = shared(m, Mux(places[level], falling, sticky)[:1], "sticky")
        word = shared(m, Mux(places[level], moved, word)[: len(word)], "word")
    return word, sticky


def largest_code(number_format: FloatFormat) -> int:
    """Code of the largest number."""
    ones = 2 ** (number_format.bits - 1) - 1
    return {
        "infinity": ones - 2**number_format.mantissa_bits,
        "nan": ones - 1,
        "none": ones,
    }[number_format.specials]


def beyond_code(number_format: FloatFormat) -> int:
    """Code of what a value beyond the largest number becomes: that number, infinity, or NaN where there is none."""
    largest = largest_code(number_format)
    return largest if number_format.overflow == "saturate" else largest + 1
