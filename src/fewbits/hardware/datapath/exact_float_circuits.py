"""The circuits of floats whose products are summed exactly: the product at its place, and the one rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from fewbits.hardware.datapath.accumulate import OutputStage
from fewbits.hardware.datapath.narrow_float_circuits import operand
from fewbits.hardware.rtl.bit_heap import registered, shared

if TYPE_CHECKING:
    from fewbits.hardware.datapath.exact_float import ExactFloatSums


def exact_product(m: Module, design: ExactFloatSums, weight: Value, value: Value) -> tuple[Value, Value]:
    """A product as a signed row and the one that completes a negation; a register lies within."""
    weights, inputs = design.formats
    a, b = operand(m, weight, weights), operand(m, value, inputs)
    bits = len(a.significand) + len(b.significand)
    zero = Const(0, 1)
    rows = design.multiplier_made.rows(m, Cat(a.significand, zero), Cat(b.significand, zero), bits)
    product = registered(m, (rows[0] + rows[1])[:bits], "significands")
    furthest = 2**weights.exponent_bits + 2**inputs.exponent_bits - 4
    places = registered(m, (a.exponent + b.exponent - 2)[: furthest.bit_length()], "places")
    sign = registered(m, a.sign ^ b.sign, "sign1")
    moved = Signal(signed(design.full_product_bits))
    m.d.comb += moved.eq(product << places)
    return moved ^ sign.replicate(len(moved)), sign


class ExactFloatOutputStage(OutputStage):
    """The accumulator times 2**-shift, rounded to a float, five cycles later.

    Nearest, ties to even, with subnormal numbers; beyond the largest number that; zero is +0. `shift` and `relu` are
    settings of a layer. A negative total is taken as its complement, which is one less than its magnitude: ones without
    end behind the point make up for it, and rounding carries them.
    """

    def __init__(self, design: ExactFloatSums) -> None:
        self.number_format = design.formats[1]
        super().__init__(design)

    def elaborate(self, platform: object) -> Module:
        """The leading one in two steps, the exponent, the move right of a subnormal result, rounding."""
        m = Module()
        mantissa_bits = self.number_format.mantissa_bits
        sign = self.total[-1]
        word: Value = Cat(sign, self.total[:-1] ^ sign.replicate(len(self.total) - 1))  # its lowest bit is a half
        width, levels = len(word), (len(word) - 1).bit_length()
        places: list[Value] = []
        for cycle, steps in enumerate((range(levels // 2, levels), range(levels // 2))):
            word, taken = _moved_left(m, word, steps, sign)
            places = [registered(m, place, f"place{cycle}") for place in (*taken, *places)]
            word, sign = registered(m, word, f"word{cycle}"), registered(m, sign, f"sign{cycle}")
        # The leading one stood at place width - 2 - places of the total. Integer 2**mantissa_bits is the float's
        # smallest normal number, whose field is 1.
        field = shared(m, (width - 1 - mantissa_bits) - Cat(*places) - self.shift, "field")
        furthest = mantissa_bits + 2
        below = shared(m, 1 - field, "below")
        is_small = field < 1
        distance = registered(
            m, Mux(is_small, Mux(below > furthest, furthest, below), 0)[: furthest.bit_length()], "distance"
        )
        base = registered(m, Mux(is_small, Const(0, signed(len(field))), field - 1)[: len(field) - 1], "base")
        top = registered(m, word[width - mantissa_bits - 2 :], "top")  # the significand and a guard bit
        under = word[: width - mantissa_bits - 2]
        inexact = registered(m, (under ^ sign.replicate(len(under))).any(), "inexact")
        sign = registered(m, sign, "sign2")
        significand, inexact = _moved_right(m, top, distance, sign, inexact)
        guard, kept = significand[0], significand[1:]
        up = Mux(sign, guard | (~inexact & kept[0]), guard & (inexact | kept[0]))
        pattern = registered(m, Cat(Const(0, mantissa_bits), base) + kept, "pattern")
        up = registered(m, up, "up")
        sign = registered(m, sign, "sign3")
        rounded = shared(m, pattern + up, "rounded")
        largest = self.number_format.magnitude_codes.largest
        limited = Mux(rounded > largest, largest, rounded)[: self.number_format.bits - 1]
        m.d.sync += self.output.eq(Mux(sign & self.relu, 0, Cat(limited, sign & limited.any())))
        return m


def _moved_left(m: Module, word: Value, levels: range, fill: Value) -> tuple[Value, list[Value]]:
    """The word moved left by powers of two while its top bits are zeros, and by which, from the lowest."""
    width, taken = len(word), []
    for level in reversed(levels):
        places = 1 << level
        empty = shared(m, ~word[max(0, width - places) :].any(), "empty")
        word = shared(m, Mux(empty, Cat(fill.replicate(places), word)[:width], word), "word")
        taken.insert(0, empty)
    return word, taken


def _moved_right(m: Module, word: Value, places: Value, sign: Value, inexact: Value) -> tuple[Value, Value]:
    """A logical shift, and whether anything but copies of the sign fell out."""
    for level in range(len(places)):
        distance = min(1 << level, len(word))
        falling = inexact | (word[:distance] ^ sign.replicate(distance)).any()
        inexact = shared(m, Mux(places[level], falling, inexact)[:1], "inexact")
        moved = Cat(word[distance:], Const(0, distance))
        word = shared(m, Mux(places[level], moved, word)[: len(word)], "moved")
    return word, inexact
