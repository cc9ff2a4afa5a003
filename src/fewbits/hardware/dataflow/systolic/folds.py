"""How a layer with weights falls onto the array: folds of synapses and of channels, and blocks of output positions.

One place for what the schedule counts and the compiler writes into descriptors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from fewbits.hardware.dataflow.diannao.tiling import ceil_div
from fewbits.hardware.dataflow.systolic.sizes import Systolic

ACCUMULATE_CYCLES = 4
"""From reading a row of accumulators until it can be read with what was added: read, registered, added, written."""


@dataclass(frozen=True)
class Block:
    """Output positions that are computed in one go: whole rows of the result, or a part of one."""

    first_row: int
    rows: int
    first_column: int
    columns: int

    @property
    def positions(self) -> int:
        """Of one channel."""
        return self.rows * self.columns


@dataclass(frozen=True)
class Folds:
    """A layer with weights as loops: groups of the convolution, column folds, blocks, row folds, positions."""

    groups: int
    """Groups of the convolution."""

    column_folds: int
    """Of up to `columns` output channels, in one group of the convolution."""

    row_folds: int
    """Of up to `rows` synapses."""

    outputs: tuple[int, int]
    """Rows and columns of the result."""

    array: Systolic

    @property
    def count(self) -> int:
        """Folds of one block: how often weights are loaded."""
        return self.groups * self.column_folds * self.row_folds

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All positions, or as many at a time as there are accumulators, where sums must wait for further row folds."""
        rows, columns = self.outputs
        room = self.array.accumulator_rows
        if self.row_folds == 1 or rows * columns <= room:
            return (Block(0, rows, 0, columns),)
        if columns <= room:
            height = room // columns
            return tuple(Block(row, min(height, rows - row), 0, columns) for row in range(0, rows, height))
        return tuple(
            Block(row, 1, column, min(room, columns - column))
            for row in range(rows)
            for column in range(0, columns, room)
        )

    def gap(self, block: Block) -> int:
        """Cycles from a fold's last input until weights may move: it passes the array's far corner.

        More where a row of accumulators would be read before it is written (in arrays of one or two elements).
        """
        drain = self.array.rows + self.array.columns - 2
        if self.row_folds == 1:
            return drain
        return max(drain, ACCUMULATE_CYCLES - self.array.rows - block.positions)

    def keeps_inputs(self, block: Block) -> bool:
        """Whether the rows of the input buffer serve all column folds."""
        return block.positions * self.row_folds <= self.array.input_rows

    def input_passes(self, block: Block) -> int:
        """How often each input of a block is loaded."""
        return 1 if self.keeps_inputs(block) else self.column_folds


def folds(groups: int, of_group: int, synapses: int, outputs: tuple[int, int], array: Systolic) -> Folds:
    """The folds of a layer. of_group: outputs of a convolution group. outputs: rows and columns of the result."""
    return Folds(groups, ceil_div(of_group, array.columns), ceil_div(synapses, array.rows), outputs, array)
