"""Sums of many rows of bits: a heap of bits by weight, compressed by full and half adders to two rows."""

# Amaranth is not typed: its operators and ports give values that a type checker cannot follow.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false, reportReturnType=false, reportOperatorIssue=false, reportAssignmentType=false
# pyright: reportInconsistentConstructor=false, reportCallIssue=false, reportUnnecessaryComparison=false
from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value


class BitHeap:
    """Bits of weight 2**0 to 2**(width - 1), summed modulo 2**width.

    Compression follows Dadda, "Some schemes for parallel multipliers" (Alta Frequenza, 1965): each level reduces
    columns just to the next height of 2, 3, 4, 6, 9, 13, ...
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.columns: list[list[Value]] = [[] for _ in range(width)]
        self.constant = 0

    def add_bit(self, bit: Value, position: int) -> None:
        """Add one bit; beyond the width it has no weight."""
        if position < self.width:
            self.columns[position].append(bit)

    def add_unsigned(self, row: Value, position: int = 0) -> None:
        """Add an unsigned row."""
        for offset in range(len(row)):
            self.add_bit(row[offset], position + offset)

    def add_signed(self, row: Value, position: int = 0) -> None:
        """Add a two's complement row: its sign weighs -2**top, which is its inverse at 2**top, less 2**top."""
        top = len(row) - 1
        for offset in range(top):
            self.add_bit(row[offset], position + offset)
        self.add_bit(~row[top], position + top)
        self.constant -= 2 ** (position + top)

    def compress(self, m: Module) -> tuple[Value, Value]:
        """Two rows of the full width with the heap's sum; the adders go into module `m`."""
        for position in range(self.width):
            if (self.constant >> position) & 1:
                self.columns[position].append(Const(1, 1))
        columns = self.columns
        for height in _heights(max(map(len, columns))):
            columns = _reduce(m, columns, height)
        rows = [Cat(*(column[i] if i < len(column) else Const(0, 1) for column in columns)) for i in range(2)]
        return rows[0], rows[1]


def _heights(tallest: int) -> list[int]:
    """Dadda's heights below the tallest column, falling to 2."""
    heights = [2]
    while heights[-1] < tallest:
        heights.append(heights[-1] * 3 // 2)
    return [height for height in reversed(heights) if height < tallest]


def _reduce(m: Module, columns: list[list[Value]], height: int) -> list[list[Value]]:
    """One level: just enough adders that no column is higher than `height`."""
    result: list[list[Value]] = []
    carries: list[Value] = []
    for column in columns:
        bits, sums, next_carries = list(column), list(carries), []
        while len(bits) + len(sums) > height:
            if len(bits) + len(sums) == height + 1:
                a, b = bits.pop(0), bits.pop(0)
                sums.append(shared(m, a ^ b))
                next_carries.append(shared(m, a & b))
            else:
                a, b, c = bits.pop(0), bits.pop(0), bits.pop(0)
                half = shared(m, a ^ b)
                sums.append(shared(m, half ^ c))
                next_carries.append(shared(m, (a & b) | (half & c)))
        result.append(bits + sums)
        carries = next_carries
    return result


def shared(m: Module, value: Value, name: str = "shared") -> Signal:
    """A wire with this value: an expression that is used twice would be built twice."""
    wire = Signal(value.shape(), name=name)
    m.d.comb += wire.eq(value)
    return wire


def delayed(m: Module, value: Value, cycles: int, name: str) -> Value:
    """The value some cycles later."""
    for cycle in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{cycle + 1}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value
