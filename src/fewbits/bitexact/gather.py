"""Where a layer finds its operands: one flat index for each synapse and position of a padded input."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewbits.graph.operations import Layer


@dataclass(frozen=True, eq=False)
class Gather:
    """Operand of synapse s at position p for an output of group g: element taps[g, s] + positions[p] of the input.

    The input is flat and padded. A matrix product is one position whose synapses are the input's elements.
    """

    taps: NDArray[np.int64]
    """Groups, synapses; the synapses in the order input channel, kernel row, kernel column."""

    positions: NDArray[np.int64]
    """Positions of the output in row-major order."""

    padding: tuple[tuple[int, int], ...]
    """Elements before and after each dimension of the input, channels included."""

    padding_value: int
    """What a padded element is; see `Layer`."""


def gather_of(layer: Layer) -> Gather:
    """The indices of a layer."""
    padding = ((0, 0), *layer.padding)
    shape = tuple(length + sum(widths) for length, widths in zip(layer.input_shape, padding, strict=True))
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    channels, *kernel = layer.weight.shape[1:]
    window = np.arange(channels, dtype=np.int64) * strides[0]
    for length, dilation, stride in zip(kernel, layer.dilation, strides[1:], strict=True):
        window = np.add.outer(window, np.arange(length, dtype=np.int64) * dilation * stride)
    groups = np.arange(layer.groups, dtype=np.int64) * channels * strides[0]
    positions = np.zeros((), dtype=np.int64)
    for length, step, stride in zip(layer.output_shape[1:], layer.stride, strides[1:], strict=True):
        positions = np.add.outer(positions, np.arange(length, dtype=np.int64) * step * stride)
    return Gather(np.add.outer(groups, window.ravel()), positions.ravel(), padding, layer.padding_value)
