"""The kinds of approximate multipliers: what each computes, by a formula on Python integers and on arrays.

Multipliers of partial products see two's complement operands as Baugh and Wooley's array does ("A two's complement
parallel array multiplication algorithm", IEEE Transactions on Computers, 1973): bit i of the weight makes a row, bit j
of the input a column in it, and a partial product counts 2**(i + j), negative where one of the two bits is a sign. What
is left out counts as zero: the array's constants are those of the partial products that it has. A weight or input of
zero so gives zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewbits.formats.format import Format

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Parameter:
    """A number in an approximation's name."""

    words: str
    """What it counts."""

    largest: Callable[[int, int], int]
    """Its largest value, of the widths of weights and inputs; the smallest is 0."""

    default: int | None = None
    """Where a name leaves it out; None: it must be there."""


@dataclass(frozen=True)
class ApproximationKind:
    """One way to multiply approximately."""

    name: str
    """How names begin, before the parameters."""

    words: str
    """What it does."""

    source: str
    """Where it was published."""

    parameters: tuple[Parameter, ...] = ()

    @property
    def pattern(self) -> str:
        """How its names look, for lists and errors: `truncated-COLUMNS`."""
        return "-".join((self.name, *(parameter.words.upper().replace(" ", "_") for parameter in self.parameters)))

    def words_for(self, *values: int) -> str:
        """What it does with the parameters' values."""
        words = self.words
        for parameter, value in zip(self.parameters, values, strict=True):
            words = re.sub(rf"\b{parameter.words.upper()}\b", str(value), words)
        return words

    def refusal(self, weights: Format, inputs: Format) -> str | None:
        """Why it does not multiply two formats, as a sentence's end; None if it does."""
        del weights, inputs
        return None

    def misfit(self, weight_bits: int, input_bits: int, *parameters: int) -> str | None:
        """Which parameter is out of range for operands of two widths, as a sentence's end; None if all fit."""
        for value, parameter in zip(parameters, self.parameters, strict=True):
            if value > (largest := parameter.largest(weight_bits, input_bits)):
                return f"has {parameter.words} {value}: it is 0 to {largest}"
        return None

    def product(self, weight: int, value: int, weight_bits: int, input_bits: int, *parameters: int) -> int:
        """Of one weight and one input, from its definition."""
        raise NotImplementedError

    def products(
        self, weights: Integers, inputs: Integers, weight_bits: int, input_bits: int, *parameters: int
    ) -> Integers:
        """The same of arrays that broadcast."""
        raise NotImplementedError


class _Exact(ApproximationKind):
    """Weight times input."""

    def product(self, weight: int, value: int, weight_bits: int, input_bits: int, *parameters: int) -> int:
        return weight * value

    def products(
        self, weights: Integers, inputs: Integers, weight_bits: int, input_bits: int, *parameters: int
    ) -> Integers:
        return weights * inputs


@dataclass(frozen=True)
class PartialProducts(ApproximationKind):
    """An array that has some of the partial products."""

    keeps: Callable[..., bool] = lambda *_: True
    """Whether the array has the partial product of bit i of the weight and bit j of the input; also takes the
    parameters."""

    def kept(self, weight_bits: int, input_bits: int, *parameters: int) -> NDArray[np.bool_]:
        """Which partial products the array has: bits of the weight x bits of the input, from the lowest."""
        rows = [[self.keeps(i, j, *parameters) for j in range(input_bits)] for i in range(weight_bits)]
        return np.array(rows, dtype=np.bool_)

    def refusal(self, weights: Format, inputs: Format) -> str | None:
        """It takes two's complement."""
        other = next((one for one in (weights, inputs) if one.code_layout != "two's complement"), None)
        return None if other is None else f"multiplies two's complement, which {other.name} is not"

    def product(self, weight: int, value: int, weight_bits: int, input_bits: int, *parameters: int) -> int:
        """The sum of the partial products that are there."""
        total = 0
        for i in range(weight_bits):
            for j in range(input_bits):
                if self.keeps(i, j, *parameters) and weight >> i & value >> j & 1:
                    is_negative = (i == weight_bits - 1) != (j == input_bits - 1)
                    total += -(2 ** (i + j)) if is_negative else 2 ** (i + j)
        return total

    def products(
        self, weights: Integers, inputs: Integers, weight_bits: int, input_bits: int, *parameters: int
    ) -> Integers:
        """Each row is the input less the bits that the row does not have."""
        kept = self.kept(weight_bits, input_bits, *parameters)
        total: Integers = np.zeros(np.broadcast_shapes(weights.shape, inputs.shape), dtype=np.int64)
        for i, row in enumerate(kept):
            places = 1 << np.arange(input_bits)
            places[-1] *= -1  # the sign
            multiplicand = sum((inputs >> j & 1) * int(places[j]) for j in np.flatnonzero(row))
            factor = -(1 << i) if i == weight_bits - 1 else 1 << i
            total = total + (weights >> i & 1) * factor * multiplicand
        return total


class _Perforated(PartialProducts):
    """Whole rows are left out, but not that of the sign."""

    def misfit(self, weight_bits: int, input_bits: int, *parameters: int) -> str | None:
        found = super().misfit(weight_bits, input_bits, *parameters)
        if found is None and sum(parameters) > (largest := weight_bits - 1):
            return (
                f"leaves out rows up to that of bit {sum(parameters) - 1}: rows and first together are 0 to {largest}"
            )
        return found


class _Mitchell(ApproximationKind):
    """Logarithms to base 2, with straight lines between powers of two."""

    def product(self, weight: int, value: int, weight_bits: int, input_bits: int, *parameters: int) -> int:
        """2**(k1 + k2) (1 + x1 + x2), or 2**(k1 + k2 + 1) (x1 + x2) from x1 + x2 = 1 on: both are integers."""
        if weight == 0 or value == 0:
            return 0
        first, second = abs(weight), abs(value)
        k1, k2 = first.bit_length() - 1, second.bit_length() - 1
        fractions = (first - 2**k1) * 2**k2 + (second - 2**k2) * 2**k1  # (x1 + x2) 2**(k1 + k2)
        one = 2 ** (k1 + k2)
        magnitude = one + fractions if fractions < one else 2 * fractions
        return -magnitude if (weight < 0) != (value < 0) else magnitude

    def products(
        self, weights: Integers, inputs: Integers, weight_bits: int, input_bits: int, *parameters: int
    ) -> Integers:
        first, second = np.abs(weights), np.abs(inputs)
        ones = [np.left_shift(1, np.frexp(np.maximum(one, 1).astype(np.float64))[1] - 1) for one in (first, second)]
        both = ones[0] * ones[1]
        fractions = (first - ones[0]) * ones[1] + (second - ones[1]) * ones[0]
        magnitudes = np.where(fractions < both, both + fractions, 2 * fractions)
        return np.where((weights == 0) | (inputs == 0), 0, np.sign(weights) * np.sign(inputs) * magnitudes)


def _columns(weight_bits: int, input_bits: int) -> int:
    """All columns of partial products but the highest."""
    return weight_bits + input_bits - 2


def _rows(weight_bits: int, input_bits: int) -> int:
    """All rows of partial products but the highest, that of the sign."""
    del input_bits
    return weight_bits - 1


def _kept_of_truncated(i: int, j: int, columns: int) -> bool:
    return i + j >= columns


def _kept_of_broken_array(i: int, j: int, columns: int, rows: int) -> bool:
    return i + j >= columns and i >= rows


def _kept_of_perforated(i: int, j: int, rows: int, first: int) -> bool:
    del j
    return not first <= i < first + rows


APPROXIMATIONS: Mapping[str, ApproximationKind] = {
    kind.name: kind
    for kind in (
        _Exact("exact", "the exact product", "-"),
        PartialProducts(
            "truncated",
            "partial products of the lowest COLUMNS columns are left out",
            'Schulte and Swartzlander, "Truncated multiplication with correction constant" (VLSI Signal Processing VI, '
            "1993), here without the constant",
            (Parameter("columns", _columns),),
            _kept_of_truncated,
        ),
        PartialProducts(
            "broken-array",
            "partial products of the lowest COLUMNS columns (the vertical break) and of the weight's lowest ROWS bits "
            "(the horizontal break) are left out",
            'Mahdiani, Ahmadi, Fakhraie and Lucas, "Bio-inspired imprecise computational blocks" (IEEE Transactions on '
            "Circuits and Systems I, 2010)",
            (Parameter("columns", _columns), Parameter("rows", _rows)),
            _kept_of_broken_array,
        ),
        _Perforated(
            "perforated",
            "ROWS rows of partial products are left out, of the weight's bits from FIRST on (0 if not given)",
            'Zervakis, Tsoumanis, Xydis, Soudris and Pekmestzi, "Design-efficient approximate multiplication circuits '
            'through partial product perforation" (IEEE Transactions on VLSI Systems, 2016)',
            (Parameter("rows", _rows), Parameter("first", _rows, default=0)),
            _kept_of_perforated,
        ),
        _Mitchell(
            "mitchell",
            "magnitudes are multiplied by adding logarithms that are straight lines between powers of two; the sign is "
            "exact, and so is zero",
            'Mitchell, "Computer multiplication and division using binary logarithms" (IRE Transactions on Electronic '
            "Computers, 1962), equations 17 and 18",
        ),
    )
}
"""By name."""
