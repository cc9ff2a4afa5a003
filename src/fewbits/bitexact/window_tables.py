"""The elements of pooling windows as tables for compiled loops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewbits.graph.operations import Pooling

Table = NDArray[np.int64]


def window_tables(operation: Pooling) -> tuple[Table, Table]:
    """Elements of the windows along rows and along columns: positions x window, -1 where there is padding.

    Over one dimension, the rows are a single one.
    """
    tables = [_table(windows, size) for windows, size in zip(operation.windows, operation.kernel, strict=True)]
    return (np.zeros((1, 1), dtype=np.int64), tables[0]) if len(tables) == 1 else (tables[0], tables[1])


def without_padding(table: Table) -> Table:
    """Windows whose padding is replaced by their first element: a maximum stays the same."""
    return np.where(table < 0, table[:, :1], table)


def single_elements(positions: int) -> Table:
    """Windows of one element each, for no pooling."""
    return np.arange(positions, dtype=np.int64)[:, None]


def _table(windows: tuple[tuple[int, ...], ...], size: int) -> Table:
    table = np.full((len(windows), size), -1, dtype=np.int64)
    for row, window in zip(table, windows, strict=True):
        row[: len(window)] = window
    return table
