"""Images of the array's memories: rows of weights in the order in which they move into it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewbits.bitexact import Layer
from fewbits.hardware.dataflow.diannao.memory_images import MemoryImages, codes_of
from fewbits.hardware.dataflow.systolic.folds import Folds


class ArrayImages(MemoryImages):
    """Weights and biases of the layers that were added so far. A row of weights is one of the array's rows."""

    def add_folds(self, layer: Layer, folds: Folds) -> None:
        """Rows by convolution group, column fold, row fold, row of the array, the lowest first: it moves furthest."""
        rows, columns = self._synapses, self._neurons
        codes = layer.weight.codes.reshape(folds.groups, -1, layer.synapses).astype(np.int64)
        padded = np.zeros((folds.groups, folds.column_folds * columns, folds.row_folds * rows), np.int64)
        padded[:, : codes.shape[1], : codes.shape[2]] = codes
        tiles = padded.reshape(folds.groups, folds.column_folds, columns, folds.row_folds, rows)
        moving = tiles.transpose(0, 1, 3, 4, 2)[:, :, :, ::-1]
        self._append_weights(np.ascontiguousarray(moving).reshape(-1, columns))

    def add_diagonals(self, factors: Sequence[int], slices: int) -> None:
        """For each slice of channels and each operand a factor where row and column have one number; no bias."""
        rows, columns = self._synapses, self._neurons
        folds = np.zeros((len(factors), rows, columns), np.int64)
        for fold, code in zip(folds, codes_of(factors, self._design.precision.weights), strict=True):
            np.fill_diagonal(fold, code)
        self._append_weights(np.tile(folds[:, ::-1].reshape(-1, columns), (slices, 1)))
        self._append_biases([0] * (slices * columns))
