"""Boolean functions of cells as short programs of two-input operations, for evaluation on machine words.

An operation takes two operands, each inverted or not, makes their AND or XOR and may invert the result. A function is
a truth table, one bit a row: bit i is its value where input k has the value of bit k of i.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

AND, XOR = 0, 1

MAXIMUM_INPUTS = 8
"""A truth table of so many inputs has 256 rows; no standard cell of a mapped netlist has more."""


@dataclass(frozen=True)
class Operand:
    """An input of the cell (0 to inputs - 1) or the result of an earlier operation (inputs + its number)."""

    source: int
    inverted: bool = False

    def inverse(self) -> Operand:
        """The same, inverted."""
        return Operand(self.source, not self.inverted)


@dataclass(frozen=True)
class GateOperation:
    """`kind` of two operands."""

    kind: int
    a: Operand
    b: Operand


@dataclass(frozen=True)
class GateProgram:
    """Operations in order, and where the result is; a constant has neither."""

    operations: tuple[GateOperation, ...]
    result: Operand | None
    constant: bool = False


@lru_cache(maxsize=4096)
def gate_program(table: int, inputs: int) -> GateProgram:
    """Few two-input operations for a truth table of `inputs` inputs.

    Found by splitting: into an AND, OR or XOR of functions of disjoint inputs where there is one, else into the two
    cofactors of an input (Shannon's expansion) and a multiplexer.
    """
    builder = _Builder(inputs)
    if table in (0, builder.full):
        return GateProgram((), None, table != 0)
    result = builder.operand(table)
    return GateProgram(tuple(builder.operations), result)


class _Builder:
    """Collects operations; each function is made once, whether it or its inverse is asked for."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.full = (1 << (1 << inputs)) - 1
        self.literals = [_literal(k, inputs) for k in range(inputs)]
        self.operations: list[GateOperation] = []
        self._made: dict[int, Operand] = {}
        for k, literal in enumerate(self.literals):
            self._made[literal] = Operand(k)

    def operand(self, table: int) -> Operand:
        """Where a function that is no constant can be had, made if it has not been."""
        if table in self._made:
            return self._made[table]
        if self.full ^ table in self._made:
            return self._made[self.full ^ table].inverse()
        made = self._split(table)
        self._made[table] = made
        return made

    def _split(self, table: int) -> Operand:
        support = [k for k in range(self.inputs) if self._cofactor(table, k, 0) != self._cofactor(table, k, 1)]
        for size in range(1, len(support) // 2 + 1):
            for part in _subsets(support, size):
                rest = [k for k in support if k not in part]
                found = self._joined(table, part, rest)
                if found is not None:
                    return found
        return self._multiplexed(table, support)

    def _joined(self, table: int, part: list[int], rest: list[int]) -> Operand | None:
        """The function as an AND, OR or XOR of one over `part` and one over `rest`, if it is one."""
        for inverted in (False, True):
            wanted = table ^ self.full if inverted else table
            over_part, over_rest = self._exists(wanted, rest), self._exists(wanted, part)
            if over_part & over_rest == wanted:
                joined = self._emit(AND, self.operand(over_part), self.operand(over_rest))
                return joined.inverse() if inverted else joined
        over_part = table
        for k in rest:
            over_part = self._cofactor(over_part, k, 0)
        over_rest = table
        for k in part:
            over_rest = self._cofactor(over_rest, k, 0)
        difference = table ^ over_part ^ over_rest
        if difference in (0, self.full):
            joined = self._emit(XOR, self.operand(over_part), self.operand(over_rest))
            return joined.inverse() if difference else joined
        return None

    def _multiplexed(self, table: int, support: list[int]) -> Operand:
        """F = f0 ^ (x & (f0 ^ f1)) over the input whose cofactors depend on the fewest inputs."""
        k = min(support, key=lambda x: self._width(table, x))
        low, high = self._cofactor(table, k, 0), self._cofactor(table, k, 1)
        changed = self._emit(AND, Operand(k), self.operand(low ^ high))
        return self._emit(XOR, self.operand(low), changed)

    def _width(self, table: int, k: int) -> int:
        cofactors = (self._cofactor(table, k, 0), self._cofactor(table, k, 1))
        return sum(
            self._cofactor(f, j, 0) != self._cofactor(f, j, 1) for f in cofactors for j in range(self.inputs) if j != k
        )

    def _exists(self, table: int, over: list[int]) -> int:
        for k in over:
            table = self._cofactor(table, k, 0) | self._cofactor(table, k, 1)
        return table

    def _cofactor(self, table: int, k: int, value: int) -> int:
        """The function with input k fixed, as a table over all inputs."""
        step = 1 << k
        literal = self.literals[k]
        if value:
            kept = table & literal
            return kept | (kept >> step)
        kept = table & (self.full ^ literal)
        return kept | (kept << step)

    def _emit(self, kind: int, a: Operand, b: Operand) -> Operand:
        self.operations.append(GateOperation(kind, a, b))
        return Operand(self.inputs + len(self.operations) - 1)


def _literal(k: int, inputs: int) -> int:
    """The truth table of input k alone."""
    return sum(1 << row for row in range(1 << inputs) if row >> k & 1)


def _subsets(items: list[int], size: int) -> list[list[int]]:
    from itertools import combinations

    return [list(chosen) for chosen in combinations(items, size)]


def evaluate(program: GateProgram, values: list[int], full: int) -> int:
    """Run a program on Python integers taken as words; `full` is the word of all ones. The kernels' reference."""
    if program.result is None:
        return full if program.constant else 0
    known = list(values)

    def read(operand: Operand) -> int:
        return known[operand.source] ^ (full if operand.inverted else 0)

    for operation in program.operations:
        a, b = read(operation.a), read(operation.b)
        known.append(a & b if operation.kind == AND else a ^ b)
    return read(program.result)
