"""GELU as an operation: a table of correctly rounded results, one for each code of an input of up to 8 bits.

GELU(x) = x * Phi(x), Phi the normal distribution's integral; or, approximate="tanh", x / 2 * (1 + tanh(sqrt(2 / pi) *
(x + 0.044715 x**3))) (Hendrycks and Gimpel, "Gaussian error linear units", 2016, equations 1 and 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, getcontext, localcontext
from fractions import Fraction
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fewbits import Format, Operation
from fewbits.bitexact import FLOAT, FUSED, INTEGER, ONE_BY_ONE, REFERENCE, UNROUNDED
from fewbits.graph import Codes, KindOfOperation, Lowering, SettingError, Skipped, UnsupportedError, spelled
from fewbits.hardware import WORKLOAD

Curve = Literal["none", "tanh"]
"""Torch's names: the exact one, and the approximation."""

WIDEST = 8
"""Bits of an input: a table of 256 results."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GeluTable(Operation):
    """Each code of the input to the code of the result that is nearest to GELU of its value, ties to even."""

    curve: Curve
    inputs_codes: Codes
    result_codes: Codes
    integers: NDArray[np.float64]
    """What the input's codes stand for, ascending: value times 2**fraction_bits."""

    results: NDArray[np.float64]
    """For each of them the result's integer."""

    @property
    def result_fraction_bits(self) -> int:
        """Radix point of the result."""
        return self.result_codes.fraction_bits

    @property
    def uncounted(self) -> str:
        """What a cost leaves out."""
        return _uncounted(self.name)

    def value_range(self, sources: object) -> tuple[float, float]:
        """Smallest and largest result."""
        return float(self.results.min()), float(self.results.max())


def _uncounted(place: str) -> str:
    return f"the table of {place!r} (GELU) is looked up on the way to memory, without a cycle; its area is in no figure"


class Gelu(KindOfOperation):
    """`nn.GELU`, `F.gelu`."""

    name = "gelu"
    meanings = (nn.GELU,)
    calls: ClassVar = {F.gelu: spelled(lambda approximate="none": _module(approximate), "approximate")}
    effect = "operands"
    keeps_dims = True

    def uncounted(self, place: str) -> str:
        return _uncounted(place)

    def lower(self, call: Lowering) -> None:
        (source,) = call.sources
        taken, wanted = call.operand(source), call.wanted()
        if wanted is None:
            raise _refused(call, "no layer takes its result, whose codes are not known so: put a layer behind it")
        for codes in (taken, wanted):
            if codes.number_format.arithmetic != "integer":
                raise _refused(call, f"{codes.number_format.name} is no format of integers: quantize to one, as fixed8")
        if taken.number_format.bits > WIDEST:
            raise _refused(
                call,
                f"its input is {taken.number_format.name}, and its table is made for up to {WIDEST} bits: quantize the "
                "layers before and behind it to narrower inputs, as fixed8",
            )
        integers = _integers(taken.number_format)
        curve = call.meaning.approximate
        results = [nearest(curve, Fraction(one), taken, wanted) for one in integers]
        table = GeluTable(
            name=call.name,
            inputs=(source.name,),
            output_shape=source.output_shape,
            curve=curve,
            inputs_codes=taken,
            result_codes=wanted,
            integers=integers,
            results=np.array(results, dtype=np.float64),
        )
        call.add(table, wanted)


def _module(approximate: str) -> nn.GELU:
    if approximate not in ("none", "tanh"):
        raise SettingError(f"approximate is 'none' or 'tanh', not {approximate!r}")
    return nn.GELU(approximate)


def _refused(call: Lowering, reason: str) -> UnsupportedError:
    return UnsupportedError(Skipped(call.name, "GELU", reason))


def _integers(number_format: Format) -> NDArray[np.float64]:
    """What the codes of a format stand for, ascending."""
    codes = [code for code in range(2**number_format.bits) if code not in number_format.unused_codes]
    return np.unique(number_format.decode(torch.tensor(codes)).numpy())


# The table, correctly rounded: the true value is enclosed between two decimals without a tie between them.


def nearest(curve: Curve, integer: Fraction, taken: Codes, wanted: Codes) -> float:
    """The integer of the wanted codes nearest to GELU of an input's.

    All ties of a format of integers are multiples of a half, so that all numbers strictly between two neighbours of
    these are rounded alike. More digits tell between which GELU lies, unless it were one itself.
    """
    if integer == 0:
        return float(wanted.number_format.nearest(Fraction(0)))
    x, halves = integer / Fraction(2) ** taken.fraction_bits, Fraction(2) ** (wanted.fraction_bits + 1)
    digits = 30
    while True:
        low, high = (bound * halves for bound in enclosure(curve, x, digits))
        cell = math.floor(low)
        if high <= cell + 1:
            return float(wanted.number_format.nearest(Fraction(2 * cell + 1, 4)))
        digits *= 2


def enclosure(curve: Curve, x: Fraction, digits: int) -> tuple[Fraction, Fraction]:
    """Numbers below and above GELU(x), x not 0, some 10**-digits apart; neither is outside of 0 and x.

    GELU(x) = x - x q for x > 0, and x q below, where q is what is missing to 1 at |x|: from 0 to 1/2.
    """
    q, error = _missing(curve, abs(x), digits)
    low, high = max(q - error, Fraction(0)), min(q + error, Fraction(1, 2))
    return (x - x * high, x - x * low) if x > 0 else (x * high, x * low)


def _missing(curve: Curve, x: Fraction, digits: int) -> tuple[Fraction, Fraction]:
    """1 - Phi(x), or 1 - (1 + tanh(u)) / 2 = 1 / (1 + exp(2 u)), x > 0, and a bound of its error.

    Both are below exp(-x**2 / 2) (u > 0.79 x and, as 0.035 x**3 comes to it, 2 u > x**2 / 2).
    """
    if x * x / 2 > 3 * digits:  # exp(-3 digits) < 10**-digits
        return Fraction(0), Fraction(1, 10**digits)
    with localcontext() as context:
        # Terms of the series reach x * exp(x**2 / 2) < x * 10**(1.31 digits); there are some 20 digits of them, each
        # rounded a few times, so that less than 10**-(2 digits) of an error is left.
        context.prec = 4 * digits + 20
        value = Decimal(x.numerator) / Decimal(x.denominator)
        q = 1 / (1 + (2 * _inner(value)).exp()) if curve == "tanh" else Decimal("0.5") - _area(value, digits)
        return Fraction(q), Fraction(1, 10**digits)


def _inner(x: Decimal) -> Decimal:
    return (2 / _pi()).sqrt() * (x + Decimal("0.044715") * x**3)


def _area(x: Decimal, digits: int) -> Decimal:
    """Phi(x) - 1/2: the series of exp(-t**2 / 2), integrated; it alternates, so that a term bounds what is cut off."""
    power = total = x
    k = 0
    while abs(power) > Decimal(10) ** (-2 * digits) or k < x * x:
        k += 1
        power = -power * x * x / (2 * k)
        total += power / (2 * k + 1)
    return total / (2 * _pi()).sqrt()


def _pi() -> Decimal:
    """Machin's formula, to the context's precision."""

    def arctangent_of_inverse(n: int) -> Decimal:
        total = power = Decimal(1) / n
        k = 1
        while abs(power) > total.scaleb(-getcontext().prec):
            power /= -n * n
            total += power / (2 * k + 1)
            k += 1
        return total

    return 4 * (4 * arctangent_of_inverse(5) - arctangent_of_inverse(239))


# What computes it.


@INTEGER.register(GeluTable)
def _looked_up(operation: GeluTable) -> Callable[[Tensor], Tensor]:
    integers, results = torch.tensor(operation.integers), torch.tensor(operation.results)  # copies: they may be locked

    def look_up(source: Tensor) -> Tensor:
        codes = source.to(torch.float64)
        return results.to(codes.device)[torch.searchsorted(integers.to(codes.device), codes)]

    return look_up


FUSED.register(GeluTable)(ONE_BY_ONE)
FLOAT.refuse(GeluTable, "is a table of integers: quantize to a format of integers, as fixed8")


@REFERENCE.register(GeluTable)
def _reference(operation: GeluTable, sources: list[NDArray[Any]], _: object) -> NDArray[Any]:
    """From the definition in the library's functions, one number at a time, without the table."""
    result = np.empty(operation.output_shape, dtype=object)
    for index in np.ndindex(*operation.output_shape):
        x = Fraction(sources[0][index]) / Fraction(2) ** operation.inputs_codes.fraction_bits
        exact = max(x, Fraction(0)) - abs(x) * _missing_in_float64(operation.curve, float(abs(x)))
        scaled = exact * Fraction(2) ** operation.result_fraction_bits
        result[index] = int(operation.result_codes.number_format.nearest(scaled))
    return result


def _missing_in_float64(curve: Curve, x: float) -> Fraction:
    """See `_missing`; where float64 underflows, its smallest number, as it is never 0."""
    if curve == "tanh":
        twice = 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        q = math.exp(-twice) / (1 + math.exp(-twice))
    else:
        q = math.erfc(x / math.sqrt(2)) / 2
    return Fraction(q or 5e-324)


@UNROUNDED.register(GeluTable)
def _values(operation: GeluTable, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=operation.curve)


@WORKLOAD.register(GeluTable)
def _without_cycles(operation: GeluTable, _: object) -> None:
    """The output stage looks values up on their way; `uncounted` says so in the notes."""


GELU = Gelu()
