"""The circuit of a conversion: codes taken apart into sign, significand and exponent, then put together as others.

One way to take codes apart and one to put them together for each layout of codes (`Format.code_layout`); any two of
them make a converter. Where numbers are rounded, registers lie between the steps, so that a value passes each cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Const, Module, Mux, Value, signed
from amaranth.lib.wiring import Component, In, Out

from fewbits.errors import HardwareError
from fewbits.formats.format import CodeLayout, MagnitudeCodes
from fewbits.hardware.datapath.accumulate import shift_level
from fewbits.hardware.datapath.conversions import SHIFT_BITS, Conversion, Source, flushes
from fewbits.hardware.datapath.narrow_float_circuits import moved_right
from fewbits.hardware.rtl.bit_heap import registered, shared

if TYPE_CHECKING:
    from fewbits.formats import Format

LEVELS_A_CYCLE = 3
"""Of moving a word left to its leading one: three choices of a place and a word fit 4 ns on a 130 nm process."""


@dataclass
class _Steps:
    """Where registers go: a value of one step is the next one's, a cycle later where there are any."""

    m: Module
    is_registered: bool
    taken: int = 0
    """Cycles."""

    def next(self, **values: Value) -> list[Value]:
        """What the next step sees of them."""
        if not self.is_registered:
            return [shared(self.m, value, name) for name, value in values.items()]
        self.taken += 1
        return [registered(self.m, value, f"{name}{self.taken}") for name, value in values.items()]


@dataclass(frozen=True)
class _Number:
    """0 where no bit of the significand is set, else significand x 2**(exponent - width + 1), its top bit set."""

    sign: Value
    significand: Value
    exponent: Value
    smallest: int
    """Lowest exponent that there can be."""

    def at_least(self, width: int) -> Value:
        """The significand with zeros below, to be so wide."""
        return Cat(Const(0, max(0, width - len(self.significand))), self.significand)


class Converter(Component):
    """One value a cycle: `code` is that of the number of `word` times 2**-`shift`, cut off below zero where `relu` is
    set, `latency` cycles later. An exact conversion has neither of the two pins, and no registers.
    """

    def __init__(self, conversion: Conversion) -> None:
        self.conversion = conversion
        pins = {} if conversion.is_exact else {"shift": In(signed(SHIFT_BITS)), "relu": In(1)}
        super().__init__({"word": In(conversion.source.bits), **pins, "code": Out(conversion.target.bits)})
        self._circuit = Module()
        steps = _Steps(self._circuit, not conversion.is_exact)
        self._circuit.d.comb += self.code.eq(self._build(steps))
        self.latency = steps.taken

    def elaborate(self, platform: object) -> Module:
        """Take apart, put together."""
        return self._circuit

    def _build(self, steps: _Steps) -> Value:
        source, target = self.conversion.source, self.conversion.target
        direct = _DIRECTLY.get((source.code_layout, target.code_layout))
        if direct is not None and not self.conversion.is_exact:
            return direct(steps, self.word, self.shift, self.relu, target)
        number = _TAKEN_APART[source.code_layout](steps, self.word, source)
        if self.conversion.is_exact:
            return _PUT_TOGETHER[target.code_layout](steps, number, target, is_exact=True)
        kept = ~(self.relu & number.sign)
        moved = _Number(
            number.sign & ~self.relu,
            number.significand & kept.replicate(len(number.significand)),
            shared(steps.m, number.exponent - self.shift, "exponent"),
            number.smallest - 2 ** (SHIFT_BITS - 1),
        )
        return _PUT_TOGETHER[target.code_layout](steps, moved, target, is_exact=False)


# Taken apart.


def _of_integer(steps: _Steps, word: Value, source: Source) -> _Number:
    """The magnitude, moved left to its leading one."""
    sign = word[-1]
    magnitude, sign = steps.next(magnitude=Mux(sign, -word.as_signed(), word)[: source.bits], sign=sign)
    return _normalized(steps, sign, magnitude, source.bits - 1, 0)


def _of_magnitude(steps: _Steps, word: Value, source: Source) -> _Number:
    """The fields; a subnormal number is moved left to its leading one, or counts as zero."""
    codes = _codes_of(source)
    mantissa, field, sign = word[: codes.mantissa_bits], word[codes.mantissa_bits : -1], word[-1]
    leading = shared(steps.m, field.any(), "leading")
    exponent = field - codes.bias
    if flushes(codes) or not codes.mantissa_bits:  # without a mantissa, field 0 is zero alone
        significand = Cat(mantissa, Const(1, 1)) & leading.replicate(codes.mantissa_bits + 1)
        return _Number(sign, significand, exponent, 1 - codes.bias)
    exponent = shared(steps.m, exponent + ~leading, "stored_exponent")
    return _normalized(steps, sign, Cat(mantissa, leading), exponent, 1 - codes.bias - codes.mantissa_bits)


def _of_sign(steps: _Steps, word: Value, source: Source) -> _Number:
    """1, or -1 where the code is set."""
    return _Number(word[0], Const(1, 1), Const(0, signed(2)), 0)


def _normalized(steps: _Steps, sign: Value, word: Value, exponent: Value | int, smallest: int) -> _Number:
    """A word moved left until its top bit is set. exponent: of the top bit as it stands."""
    width, places_taken = len(word), []
    levels = list(reversed(range((width - 1).bit_length())))
    for number, level in enumerate(levels):
        places = 1 << level
        empty = shared(steps.m, word[max(0, width - places) :] == 0, "empty")
        word = shared(steps.m, Mux(empty, word << places, word)[:width], "word")
        places_taken.insert(0, empty)
        if (len(levels) - number - 1) % LEVELS_A_CYCLE == 0:
            given = {} if isinstance(exponent, int) else {"exponent": exponent}
            word, places, sign, *rest = steps.next(word=word, places=Cat(*places_taken), sign=sign, **given)
            places_taken = [places]
            exponent = rest[0] if rest else exponent
    return _Number(sign, word, shared(steps.m, exponent - Cat(*places_taken), "leading_exponent"), smallest)


_TAKEN_APART: Mapping[CodeLayout, Callable[[_Steps, Value, Source], _Number]] = {
    "two's complement": _of_integer,
    "sign and magnitude": _of_magnitude,
    "sign": _of_sign,
}


# Put together.


def _to_magnitude(steps: _Steps, number: _Number, target: Format, *, is_exact: bool) -> Value:
    """The field of the exponent and the mantissa, rounded as one number: a carry of the mantissa raises the field."""
    codes = _codes_of(target)
    kept = codes.mantissa_bits
    significand = number.at_least(kept + 3)
    field = shared(steps.m, number.exponent + codes.bias, "field")
    if is_exact and number.smallest + codes.bias >= 1:
        pattern = Cat(significand[len(significand) - 1 - kept : -1], field[: target.bits - 1 - kept])
        return Cat(pattern & significand[-1].replicate(target.bits - 1), number.sign & _keeps_sign(codes, significand))
    below = shared(steps.m, 1 - field, "below")
    furthest = kept + 2
    places = Mux(below > furthest, furthest, below)[: furthest.bit_length()]
    is_small = field < 1
    significand, places, field, sign = steps.next(
        significand=significand,
        places=Mux(is_small, places, 0),
        field=Mux(is_small | ~significand[-1], Const(0, signed(len(field))), field),
        sign=number.sign,
    )
    word, fallen = moved_right(steps.m, significand, places)
    top, guard = word[len(word) - 1 - kept :], word[len(word) - 2 - kept]
    sticky = fallen | word[: len(word) - 2 - kept].any()
    # The leading one is not stored: it is one unit of the field, so a field less 1 is what it adds to.
    base = shared(steps.m, Mux(field > 0, field - 1, 0), "base")
    pattern = shared(steps.m, Cat(Const(0, kept), base).as_unsigned() + top, "unrounded")
    pattern, up, sign = steps.next(pattern=pattern, up=guard & (sticky | pattern[0]), sign=sign)
    rounded = shared(steps.m, pattern + up, "rounded")
    limited = shared(steps.m, Mux(rounded > codes.largest, codes.beyond, rounded)[: target.bits - 1], "limited")
    (code,) = steps.next(code=Cat(limited, sign & _keeps_sign(codes, limited)))
    return code


def _keeps_sign(codes: MagnitudeCodes, magnitude: Value) -> Value:
    """Whether a negative number has a sign: a zero may have none."""
    return Const(1, 1) if codes.has_negative_zero else magnitude.any()


def _to_integer(steps: _Steps, number: _Number, target: Format, *, is_exact: bool) -> Value:
    """The significand moved right to its place, rounded, limited, then negated where the sign says so."""
    low, high = target.integer_limits
    whole = max(high, -low).bit_length()  # bits of a magnitude; the leading one of the word weighs 2**whole
    significand = number.at_least(whole + 3)
    distance = shared(steps.m, whole - number.exponent, "distance")
    furthest = whole + 2
    places = Mux(distance < 0, 0, Mux(distance > furthest, furthest, distance))[: furthest.bit_length()]
    significand, places, sign = steps.next(significand=significand, places=places, sign=number.sign)
    word, fallen = moved_right(steps.m, significand, places)
    integer, guard = word[len(word) - 1 - whole :], word[len(word) - 2 - whole]
    if is_exact:
        return Mux(sign, -integer, integer)[: target.bits]
    sticky = fallen | word[: len(word) - 2 - whole].any()
    integer, up, sign = steps.next(integer=integer, up=guard & (sticky | integer[0]), sign=sign)
    rounded = shared(steps.m, integer + up, "rounded")
    limit = shared(steps.m, Mux(sign, -low, high), "limit")
    limited, sign = steps.next(limited=Mux(rounded > limit, limit, rounded), sign=sign)
    (code,) = steps.next(code=Mux(sign, -limited, limited)[: target.bits])
    return code


def _to_sign(steps: _Steps, number: _Number, target: Format, *, is_exact: bool) -> Value:
    """Set below zero."""
    (code,) = steps.next(code=number.sign & number.significand.any())
    return code


_PUT_TOGETHER: Mapping[CodeLayout, Callable[..., Value]] = {
    "two's complement": _to_integer,
    "sign and magnitude": _to_magnitude,
    "sign": _to_sign,
}


# Integers to integers: nothing is taken apart.


def _integer_to_integer(steps: _Steps, word: Value, shift: Value, relu: Value, target: Format) -> Value:
    """Moved as two's complement, as an integer neuron's output stage does (`accumulate.OutputStage`); to the left, too,
    for which there are as many places below as the target has bits: beyond them all but zero is out of its range.
    """
    low, high = target.integer_limits
    bits, width = max(high, ~low).bit_length() + 1, len(word) + target.bits
    wanted = shared(steps.m, shift + target.bits, "wanted")
    places = Mux(wanted < 0, 0, Mux(wanted > width, width, wanted))[: width.bit_length()]
    places = shared(steps.m, places, "places")
    moved: list[Value] = [Cat(Const(0, target.bits), word), Const(0, 1), Const(0, 1)]
    levels = list(reversed(range(len(places))))
    for number, level in enumerate(levels):
        moved = list(shift_level(steps.m, *moved, 1 << level, places[level]))
        if number in (len(levels) // 2, len(levels) - 1):
            moved = steps.next(word=moved[0], guard=moved[1], sticky=moved[2])
    word, guard, sticky = moved
    sign, above = word[-1], word[bits - 1 :]
    fits = shared(steps.m, (above == 0) | above.all(), "fits")
    inside = shared(steps.m, Mux(fits, word[:bits], Cat((~sign).replicate(bits - 1), sign)), "inside")
    up = shared(steps.m, fits & guard & (sticky | word[0]), "up")
    rounded, cut = steps.next(rounded=inside.as_signed() + up, cut=relu & sign)
    limited = Mux(rounded > high, high, Mux(rounded < low, low, rounded))
    (code,) = steps.next(code=Mux(cut, 0, limited)[: target.bits])
    return code


_DIRECTLY: Mapping[tuple[CodeLayout, CodeLayout], Callable[..., Value]] = {
    ("two's complement", "two's complement"): _integer_to_integer,
}
"""Layouts between which there is a shorter way: of the source and of the target."""


def _codes_of(one: Source | Format) -> MagnitudeCodes:
    if one.magnitude_codes is None:
        raise HardwareError(f"codes of {one.name} are of a layout of their own, which no circuit converts")
    return one.magnitude_codes
