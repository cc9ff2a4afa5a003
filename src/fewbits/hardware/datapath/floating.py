"""A float multiplier and adder: round to nearest even; subnormal numbers are zeros of their sign.

Results are those of IEEE 754 binary32, a subnormal result then replaced by a zero of its sign; operands that are
subnormal count as zeros. Overflow gives infinity, which stays; NaN is not made or understood, for an accelerator's
operands are finite and the bit-exact network refuses a result that is not.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.multipliers.kinds import MultiplierKind
from fewbits.hardware.multipliers.registry import multiplier_kind
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER
from fewbits.hardware.rtl.bit_heap import registered, shared

EXPONENT, MANTISSA = 8, 23
BITS = 1 + EXPONENT + MANTISSA
SIGNIFICAND = MANTISSA + 1
BIAS = 2 ** (EXPONENT - 1) - 1
TOP = 2**EXPONENT - 1


def fields(number: Value) -> tuple[Value, Value, Value]:
    """Mantissa, exponent and sign."""
    return number[:MANTISSA], number[MANTISSA : MANTISSA + EXPONENT], number[-1]


def packed(sign: Value, exponent: Value, mantissa: Value) -> Value:
    """A number from a signed exponent field: zero below 1, infinity from the top on."""
    small, large = exponent < 1, exponent >= TOP
    field = Mux(small, 0, Mux(large, TOP, exponent))[:EXPONENT]
    return Cat(mantissa & (~(small | large)).replicate(MANTISSA), field, sign)


class FloatMultiplier(Component):
    """The product, three cycles later: compressed rows, their sum, the rounded number."""

    def __init__(self, multiplier: MultiplierKind | None = None) -> None:
        """multiplier: of the significands; None is the one by default."""
        self.multiplier = multiplier or multiplier_kind(DEFAULT_MULTIPLIER)
        super().__init__({"weight": In(BITS), "value": In(BITS), "product": Out(BITS)})

    def elaborate(self, platform: object) -> Module:
        """Three stages."""
        m = Module()
        (mantissa_a, exponent_a, sign_a), (mantissa_b, exponent_b, sign_b) = fields(self.weight), fields(self.value)
        one = Const(1, 1)
        significands = (Cat(mantissa, one, Const(0, 1)) for mantissa in (mantissa_a, mantissa_b))
        rows = self.multiplier.rows(m, *significands, 2 * SIGNIFICAND)
        zero = registered(m, (exponent_a == 0) | (exponent_b == 0), "zero1")
        exponent = registered(m, exponent_a + exponent_b - BIAS, "exponent1")
        sign = registered(m, sign_a ^ sign_b, "sign1")
        row0, row1 = (registered(m, row, f"row{i}") for i, row in enumerate(rows))
        product = registered(m, (row0 + row1)[: 2 * SIGNIFICAND], "significands")
        zero, exponent, sign = (
            registered(m, v, f"{n}2") for v, n in ((zero, "zero"), (exponent, "exponent"), (sign, "sign"))
        )
        m.d.sync += self.product.eq(_rounded_product(m, product, exponent, sign, zero))
        return m


def _rounded_product(m: Module, product: Value, exponent: Value, sign: Value, zero: Value) -> Value:
    """Normalize by at most one place, round, pack.

    Just below the smallest normal number, IEEE rounding has one bit less: all ones round up to that number.
    """
    high = product[-1]
    aligned = shared(m, Mux(high, product, product << 1)[: 2 * SIGNIFICAND], "aligned")
    significand, guard = aligned[SIGNIFICAND:], aligned[SIGNIFICAND - 1]
    sticky = aligned[: SIGNIFICAND - 1].any()
    normalized = shared(m, Mux(high, exponent + 1, exponent), "normalized")
    all_ones = shared(m, significand.all(), "all_ones")
    up = shared(m, Mux(normalized == 0, all_ones, guard & (sticky | significand[0]))[:1], "up")
    mantissa = (significand[:MANTISSA] + up)[:MANTISSA]
    rounded = shared(m, Mux(all_ones & up, normalized + 1, normalized), "rounded")
    number = packed(sign, rounded, mantissa)
    return Mux(zero, Cat(Const(0, BITS - 1), sign), number)


class FloatAdder(Component):
    """The sum, five cycles later: order by magnitude, align, add, normalize, round."""

    def __init__(self) -> None:
        super().__init__({"a": In(BITS), "b": In(BITS), "sum": Out(BITS)})

    def elaborate(self, platform: object) -> Module:
        """Five stages; the aligned number carries guard, round and sticky bits."""
        m = Module()
        big, small, difference, subtract, big_zero, sign = self._ordered(m)
        aligned = self._aligned(m, small, difference)
        exponent = registered(m, registered(m, big[MANTISSA : MANTISSA + EXPONENT], "exponent2"), "exponent3")
        significand = registered(m, _significand(big, big_zero), "significand2")
        subtract2 = registered(m, subtract, "subtract2")
        wide = Cat(Const(0, 3), significand)
        total = registered(m, Mux(subtract2, wide - aligned, wide + aligned)[: SIGNIFICAND + 4], "total")
        sign3 = registered(m, registered(m, sign, "sign2"), "sign3")
        cancels3 = registered(m, subtract2, "subtract3")
        self._normalized(m, total, exponent, sign3, cancels3)
        return m

    def _ordered(self, m: Module) -> tuple[Signal, Signal, Signal, Signal, Signal, Signal]:
        """Stage 1: the operand of larger magnitude first."""
        swap = shared(m, self.b[:-1] > self.a[:-1], "swap")
        big = shared(m, Mux(swap, self.b, self.a), "big")
        small = shared(m, Mux(swap, self.a, self.b), "small")
        exponents = [value[MANTISSA : MANTISSA + EXPONENT] for value in (big, small)]
        big_zero = exponents[0] == 0
        return (
            registered(m, big, "big1"),
            registered(m, small, "small1"),
            registered(m, (exponents[0] - exponents[1])[:EXPONENT], "difference1"),
            registered(m, big[-1] ^ small[-1], "subtract1"),
            registered(m, big_zero, "zero1"),
            registered(m, Mux(big_zero, big[-1] & small[-1], big[-1]), "sign1"),
        )

    def _aligned(self, m: Module, small: Value, difference: Value) -> Signal:
        """Stage 2: the smaller significand moved right, with what falls out in a sticky bit."""
        word = Cat(Const(0, 3), _significand(small, small[MANTISSA : MANTISSA + EXPONENT] == 0))
        far = (difference >> 5).any()
        for level in range(5):
            places = 1 << level
            shifted = Cat(word[: places + 1].any(), word[places + 1 :], Const(0, places))
            word = shared(m, Mux(difference[level], shifted, word)[: SIGNIFICAND + 3], "word")
        return registered(m, Mux(far, word.any(), word)[: SIGNIFICAND + 3], "aligned")

    def _normalized(self, m: Module, total: Value, exponent: Value, sign: Value, cancels: Value) -> None:
        """Stages 4 and 5: the leading one moved to its place, then rounding."""
        width = SIGNIFICAND + 4
        word: Value = total
        places_taken: list[Value] = []
        for level in reversed(range(5)):
            places = 1 << level
            empty = shared(m, word[width - places :] == 0, "empty")
            word = shared(m, Mux(empty, word << places, word)[:width], "word")
            places_taken.insert(0, empty)
        word4 = registered(m, word, "word4")
        exponent4 = registered(m, exponent + 1 - Cat(*places_taken), "exponent4")
        nothing = total == 0
        sign4 = registered(m, Mux(nothing & cancels, 0, sign), "sign4")
        infinite = registered(m, exponent == TOP, "infinite4")
        zero4 = registered(m, nothing, "zero4")
        significand, guard, sticky = word4[4:], word4[3], word4[:3].any()
        up = shared(m, guard & (sticky | significand[0]), "up")
        mantissa = (significand[:MANTISSA] + up)[:MANTISSA]
        rounded = shared(m, Mux(significand.all() & up, exponent4 + 1, exponent4), "rounded")
        number = packed(sign4, Mux(infinite, Const(TOP, signed(EXPONENT + 2)), rounded), mantissa)
        m.d.sync += self.sum.eq(Mux(zero4, Cat(Const(0, BITS - 1), sign4), number))


def _significand(number: Value, zero: Value) -> Value:
    """Mantissa with its leading one; nothing if the number is zero or subnormal."""
    return Cat(number[:MANTISSA], Const(1, 1)) & (~zero).replicate(SIGNIFICAND)
