"""Sums of a layer's products that tables give: the arithmetic of the bit-exact network and of training through it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewbits.formats import Format
from fewbits.formats.product_table import LayerProducts, integers_of
from fewbits.graph.gather import Windows, gather_of_windows
from fewbits.graph.kernels import LANES, add_products, gather, to_columns_of_tables

_POSITIONS = 2**13
"""Outputs of a channel that are computed at a time: their sums then stay in a processor's second cache."""


class ProductSums:
    """Adds up what tables say for the weights of one layer and whatever inputs it is given; on the CPU."""

    def __init__(self, products: LayerProducts, codes: NDArray[Any], windows: Windows) -> None:
        """codes: of the weights, outputs first; windows: where each output finds its operands."""
        self.windows = windows
        self._products = products
        self._gather = gather_of_windows(windows)
        self._operands = _Operands(products.inputs)
        self._padding = int(self._operands.of(torch.tensor([float(windows.padding_value)]))[0])
        tables = [table.values[:, self._operands.codes] for table in products.tables]
        self._tables = np.concatenate([*tables, np.zeros_like(tables[0][:1])])
        self.groups, self._synapses = self._gather.taps.shape
        self.outputs = len(codes)
        self._rows = self._ranges = np.empty(0)
        self.set_weight(codes)
        positions = math.prod(windows.map_shape)
        self.images_at_once = max(1, _POSITIONS // positions)
        """Images for which `add` is best called."""

    def set_weight(self, codes: NDArray[Any]) -> None:
        """Other weights. codes: in the shape of the first ones."""
        self._rows = self._products.rows(codes).astype(np.int32)
        ranges = self._products.ranges(codes).reshape(self.outputs, -1, 2).astype(object)
        low, high = np.minimum(ranges[..., 0], 0).sum(axis=1), np.maximum(ranges[..., 1], 0).sum(axis=1)
        largest = max(-int(low.min()), int(high.max()))
        self._sum_type = np.int32 if largest < 2**31 else np.int64

    def add(self, numbers: Tensor, bias: NDArray[np.int64], moves: NDArray[np.int64], dtype: torch.dtype) -> Tensor:
        """Accumulators of a batch, outputs x N x height x width: sums of products times 2**move, plus bias.

        numbers: the inputs' integers, N first, in any type. bias, moves: one an output. dtype: of the result; it holds
        every accumulator.
        """
        columns = self._columns(numbers)
        count = columns.shape[-1]
        out = torch.empty((self.outputs, count), dtype=dtype)
        sums = np.empty(count * LANES, dtype=self._sum_type)
        interleaved = np.empty(2 * LANES * self._tables.shape[1], dtype=self._sum_type)
        each = self.outputs // self.groups
        for group in range(self.groups):
            of = slice(group * each, (group + 1) * each)
            add_products(
                columns[group], self._rows[of], self._tables, bias[of], moves[of], sums, interleaved, out.numpy()[of]
            )
        return out.view(self.outputs, len(numbers), *self.windows.map_shape)

    def _columns(self, numbers: Tensor) -> NDArray[np.uint8]:
        """Groups x synapses x (images x positions): the tables' column of every operand."""
        operands = self._operands.of(numbers).reshape(numbers.shape)
        widths = ((0, 0), *self._gather.padding)
        padded = operands
        if any(width for along in widths for width in along):
            padded = np.pad(operands, widths, constant_values=self._padding)
        flat = np.ascontiguousarray(padded).reshape(len(numbers), math.prod(padded.shape[1:]))
        height, width = self.windows.map_shape
        positions = self._gather.positions
        step = int(positions[1] - positions[0]) if width > 1 else 1
        columns = np.empty((self.groups, self._synapses, len(numbers), height, width), dtype=np.uint8)
        for group in range(self.groups):
            gather(flat, self._gather.taps[group], positions[::width], step, columns[group])
        return columns.reshape(self.groups, self._synapses, len(numbers) * height * width)


class _Operands:
    """From inputs' integers to the columns of tables: in the order of the integers where they have no gaps."""

    def __init__(self, number_format: Format) -> None:
        self._format = number_format
        by_code = integers_of(number_format)
        self.codes = sorted(by_code, key=by_code.__getitem__) if number_format.is_uniform else list(by_code)
        """The code of each column."""
        self._low = number_format.integer_limits[0]
        self._places = np.zeros(2**number_format.bits, dtype=np.uint8)
        self._places[self.codes] = np.arange(len(self.codes))

    def of(self, numbers: Tensor) -> NDArray[np.uint8]:
        """The columns of integers of the format, flat."""
        if not self._format.is_uniform:
            return self._places[self._format.code_numbers(numbers.reshape(-1).double()).numpy()]
        flat = numbers.contiguous().view(-1).numpy()
        out = np.empty(flat.shape, dtype=np.uint8)
        to_columns_of_tables(flat, self._low, out)
        return out
