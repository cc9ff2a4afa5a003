"""Multipliers by name: what each is called, how its circuit makes a product, what it computes, for which precisions.

Whoever needs to know something that differs between multipliers asks the kind; keys, tables and commands hold its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fewbits.arguments import shown
from fewbits.errors import HardwareError
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value

    from fewbits.formats import Precision, ProductTable


class MultiplierKind(ABC):
    """One multiplier: a circuit for the product of two signed numbers, exact or not."""

    name: str
    """As keys, tables and commands have it."""

    words: str
    """For whoever reads of it."""

    is_one_row: ClassVar[bool] = False
    """Whether the product is one row: it has no carry-save form."""

    fits_dsp_blocks: ClassVar[bool] = False
    """Whether mappers for FPGAs may put it into their multipliers."""

    @abstractmethod
    def rows(
        self, m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int = 0
    ) -> tuple[Value, Value]:
        """Two rows that sum to the product modulo 2**width; in the wider rows of a tree, plus `excess`.

        multiplier, multiplicand: a weight's and an input's code, two's complement. registers: so many lie in the
        circuit, evenly, and the rows come as many cycles later.
        """

    def excess(self, multiplier_bits: int, multiplicand_bits: int) -> int:
        """What the sum of two rows is too large by, where they are wider than the product."""
        return 0

    def table(self, precision: Precision) -> ProductTable | None:
        """Its products of all pairs of codes; None where they are exact."""
        return None

    def refusal(self, precision: Precision) -> str | None:
        """Why it cannot multiply numbers of a precision, as a sentence; None where it can."""
        return None


_Rows = tuple["Value", "Value"]


@dataclass(frozen=True)
class _Exact(MultiplierKind):
    """A multiplier of `datapath/multipliers.py`, whose circuits are loaded when they are built."""

    name: str
    words: str
    circuit: Callable[..., _Rows]

    def rows(
        self, m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int = 0
    ) -> tuple[Value, Value]:
        """As its circuit makes them."""
        return self.circuit(m, multiplier, multiplicand, width, registers)


class _Booth(_Exact):
    def excess(self, multiplier_bits: int, multiplicand_bits: int) -> int:
        """Nothing takes up the sign of the last row (`multipliers.booth`)."""
        return 2 ** (multiplicand_bits + 2 * ((multiplier_bits + 1) // 2))


class _OneRow(_Exact):
    is_one_row = True
    fits_dsp_blocks = True


def _booth(*operands: Module | Value | int) -> _Rows:
    from fewbits.hardware.datapath.multipliers import booth  # loads Amaranth: late, as a cost builds no circuit

    return booth(*operands)  # pyright: ignore[reportArgumentType]


def _array(*operands: Module | Value | int) -> _Rows:
    from fewbits.hardware.datapath.multipliers import array

    return array(*operands)  # pyright: ignore[reportArgumentType]


def _operator(*operands: Module | Value | int) -> _Rows:
    from fewbits.hardware.datapath.multipliers import operator

    return operator(*operands)  # pyright: ignore[reportArgumentType]


EXACT: Mapping[str, MultiplierKind] = {
    one.name: one
    for one in (
        _Booth(DEFAULT_MULTIPLIER, "radix-4 Booth", _booth),
        _Exact("array", "array", _array),
        _OneRow("operator", "multiplication left to synthesis", _operator),
    )
}
"""By name: products made of partial products by radix-4 Booth recoding, or one for each bit of the weight; or by a
plain `a * b`, which is left to synthesis: mappers for FPGAs put it into DSP blocks."""


def multiplier_kind(name: str) -> MultiplierKind:
    """A multiplier by its name. Raises HardwareError for another."""
    if name in EXACT:
        return EXACT[name]
    *names, last = map(repr, EXACT)
    raise HardwareError(f"multiplier must be {', '.join(names)} or {last}, not {shown(name)}")
