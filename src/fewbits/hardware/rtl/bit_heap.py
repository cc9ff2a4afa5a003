"""Sums of many rows of bits: a heap of bits by weight, compressed by full and half adders to two rows."""

from __future__ import annotations

from collections.abc import Iterable

from amaranth.hdl import Cat, Const, Module, Signal, Value

Bit = tuple[int, int]
"""A bit of a heap: the number of the word that holds it, and its place there."""


class BitHeap:
    """Bits of weight 2**0 to 2**(width - 1), summed modulo 2**width.

    Compression follows Dadda, "Some schemes for parallel multipliers" (Alta Frequenza, 1965): each level reduces
    columns just to the next height of 2, 3, 4, 6, 9, 13, ... Which bits of a column meet in an adder is free: they are
    chosen so that adders of neighbouring columns take neighbouring bits of the same words and are written as one
    operation on words. That gives the same gates, and is much faster to elaborate, compile and simulate.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.constant = 0
        self._words: list[Value] = []
        self._columns: list[list[Bit]] = [[] for _ in range(width)]

    def add_bit(self, bit: Value, position: int) -> None:
        """Add one bit; beyond the width it has no weight."""
        self.add_unsigned(bit, position)

    def add_unsigned(self, row: Value, position: int = 0) -> None:
        """Add an unsigned row."""
        word = self._new_word(row)
        for offset in range(min(len(row), self.width - position)):
            self._columns[position + offset].append((word, offset))

    def add_signed(self, row: Value, position: int = 0) -> None:
        """Add a two's complement row: its sign weighs -2**top, which is its inverse at 2**top, less 2**top."""
        top = len(row) - 1
        self.add_unsigned(Cat(row[:top], ~row[top]), position)
        self.constant -= 2 ** (position + top)

    def compress(self, m: Module, registers: int = 0) -> tuple[Value, Value]:
        """Two rows of the full width with the heap's sum; the adders go into module `m`.

        registers: so many lie between the levels of adders, evenly, and the rows come as many cycles later.
        """
        one = self._new_word(Const(1, 1))
        for position in range(self.width):
            if (self.constant >> position) & 1:
                self._columns[position].append((one, 0))
        columns = self._columns
        heights = _heights(max(map(len, columns)))
        for level, height in enumerate(heights):
            for _ in range(_registers_before(level, len(heights), registers)):
                columns = self._registered(m, columns)
            columns = self._reduce(m, columns, height)
        for _ in range(_registers_before(len(heights), len(heights), registers)):
            columns = self._registered(m, columns)
        return self._rows(columns)

    def _registered(self, m: Module, columns: list[list[Bit]]) -> list[list[Bit]]:
        """The bits of columns a cycle later."""
        later: dict[int, int] = {}
        for word in dict.fromkeys(word for column in columns for word, _ in column):
            value = self._words[word]
            later[word] = word if isinstance(value, Const) else self._new_word(registered(m, value, "level"))
        return [[(later[word], place) for word, place in column] for column in columns]

    def _reduce(self, m: Module, columns: list[list[Bit]], height: int) -> list[list[Bit]]:
        """One level: just enough adders that no column is higher than `height`."""
        full, half = _Adders(3), _Adders(2)
        rests: list[list[Bit]] = []
        carries = 0
        for position, column in enumerate(columns):
            excess = max(0, len(column) + carries - height)
            carries = (excess + 1) // 2
            rest = full.take(column, excess // 2, position)
            rests.append(half.take(rest, excess % 2, position))
        result = [*rests, []]  # what is carried beyond the width has no weight
        for position, operands in (*full.runs, *half.runs):
            for start, word in enumerate(self._added(m, operands)):
                for offset in range(len(operands)):
                    if position + start + offset < self.width:
                        result[position + start + offset].append((word, offset))
        return result[: self.width]

    def _added(self, m: Module, operands: list[tuple[Bit, ...]]) -> tuple[int, int]:
        """Words of the sums and the carries of adders side by side."""
        a, b, *rest = (shared(m, self._gathered(bits), "operand") for bits in zip(*operands, strict=True))
        half = shared(m, a ^ b)
        if not rest:
            return self._new_word(half), self._new_word(shared(m, a & b))
        carry = shared(m, (a & b) | (half & rest[0]))
        return self._new_word(shared(m, half ^ rest[0])), self._new_word(carry)

    def _gathered(self, bits: Iterable[Bit]) -> Value:
        """Bits side by side."""
        return Cat(*(self._words[word][place] for word, place in bits))

    def _rows(self, columns: list[list[Bit]]) -> tuple[Value, Value]:
        """Columns of at most two bits as two rows."""
        rows: tuple[list[Bit], list[Bit]] = ([], [])
        zero = self._new_word(Const(0, 1))
        last: list[Bit] = []
        for column in columns:
            ordered = column[::-1] if len(column) == 2 and _next(column[1]) in last[1:] else column
            for i, row in enumerate(rows):
                row.append(ordered[i] if i < len(ordered) else (zero, 0))
            last = [_next(bit) for bit in ordered]
        return self._gathered(rows[0]), self._gathered(rows[1])

    def _new_word(self, word: Value) -> int:
        self._words.append(word)
        return len(self._words) - 1


class _Adders:
    """Adders of one level, in runs over neighbouring columns; a run is one operation on words."""

    def __init__(self, operands: int) -> None:
        self.operands = operands
        self.runs: list[tuple[int, list[tuple[Bit, ...]]]] = []
        """The first column of each, and the operands in each column."""
        self._open: list[list[tuple[Bit, ...]]] = []

    def take(self, column: list[Bit], count: int, position: int) -> list[Bit]:
        """Put so many adders into a column and return the bits that none took.

        A run goes on with the next bits of its words where the column has them, else with the oldest ones.
        """
        while len(self._open) < count:
            self.runs.append((position, []))
            self._open.append(self.runs[-1][1])
        del self._open[count:]
        wanted = [tuple(map(_next, run[-1])) if run else () for run in self._open]
        going_on = {bit for bits in wanted for bit in bits} & set(column)
        others = [bit for bit in reversed(column) if bit not in going_on]
        for run, bits in zip(self._open, wanted, strict=True):
            filled = bits or (None,) * self.operands
            run.append(tuple(bit if bit is not None and bit in going_on else others.pop() for bit in filled))
        return others


def _next(bit: Bit) -> Bit:
    """The bit above in the same word."""
    return bit[0], bit[1] + 1


def _registers_before(level: int, levels: int, registers: int) -> int:
    """How many of the registers lie in front of a level of adders, or behind all where it is `levels`.

    Each stretch between them has as many levels as the others, or one fewer; there are more than levels in a low heap.
    """
    return sum(-(-k * levels // (registers + 1)) == level for k in range(1, registers + 1))


def _heights(tallest: int) -> list[int]:
    """Dadda's heights below the tallest column, falling to 2."""
    heights = [2]
    while heights[-1] < tallest:
        heights.append(heights[-1] * 3 // 2)
    return [height for height in reversed(heights) if height < tallest]


def shared(m: Module, value: Value, name: str = "shared") -> Signal:
    """A wire with this value: an expression that is used twice would be built twice."""
    wire = Signal(value.shape(), name=name)
    m.d.comb += wire.eq(value)
    return wire


def delayed(m: Module, value: Value, cycles: int, name: str) -> Value:
    """The value some cycles later: data, which reset leaves as they are."""
    return _delayed(m, value, cycles, name, reset_less=True)


def delayed_flag(m: Module, flag: Value, cycles: int, name: str) -> Value:
    """The same for what starts or stores something: reset clears all that is on its way."""
    return _delayed(m, flag, cycles, name, reset_less=False)


def _delayed(m: Module, value: Value, cycles: int, name: str, *, reset_less: bool) -> Value:
    for cycle in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{cycle + 1}", reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value


def registered(m: Module, value: Value, name: str) -> Signal:
    """The value one cycle later: data, which reset leaves as they are."""
    register = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register
