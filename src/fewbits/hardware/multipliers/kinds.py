"""What a kind of multiplier is: its name, how its circuit makes a product, what it computes, for which precisions.

Whoever needs to know something that differs between multipliers asks the kind; keys, tables and commands hold its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value

    from fewbits.formats import Precision, ProductTable


class MultiplierKind(ABC):
    """One multiplier: a circuit for the product of two signed numbers, exact or not."""

    name: str
    """As keys, tables and commands have it."""

    words: str
    """For whoever reads of it."""

    is_exact: ClassVar[bool] = True
    """Whether it gives the product of any two numbers; else `table` tells what it gives."""

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

    def products_per_lane(self, precision: Precision) -> int:
        """Products that one of it makes in a cycle, of numbers of a precision; they are added."""
        return 1

    def table(self, precision: Precision) -> ProductTable | None:
        """Its products of all pairs of codes; None where they are exact."""
        return None

    def refusal(self, precision: Precision) -> str | None:
        """Why it cannot multiply numbers of a precision, as a sentence; None where it can."""
        return None


LARGEST_TABLE_BITS = 8
"""Of either operand of a multiplier that is not exact: its table has an entry for each pair of codes."""


def refused_operands(name: str, precision: Precision) -> str | None:
    """Why a multiplier that is not exact does not take a precision's formats; None where it does."""
    formats = (precision.weights, precision.inputs)
    if all(one.is_whole_twos_complement and one.bits <= LARGEST_TABLE_BITS for one in formats):
        return None
    return (
        f"multiplier {name} multiplies integers of at most {LARGEST_TABLE_BITS} bits (fixed2 to "
        f"fixed{LARGEST_TABLE_BITS}, weights and inputs), not {precision.name}: choose such a precision, or booth"
    )
