"""Where a layer finds its operands: one flat index for each synapse and position of a padded input."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Windows:
    """The geometry of a layer: see the fields of `Layer`."""

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    synapse_shape: tuple[int, ...]
    """Dimensions of one output's weights: channels of a group, then the kernel's."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    padding_value: int

    @property
    def map_shape(self) -> tuple[int, int]:
        """Height and width of one output's positions."""
        height, width = (1, 1, *self.output_shape[1:])[-2:]
        return height, width


def windows_of(layer: Layer) -> Windows:
    """The geometry of a layer of the bit-exact network."""
    return Windows(
        layer.input_shape,
        layer.output_shape,
        layer.weight.shape[1:],
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
        layer.padding_value,
    )


def gather_of(layer: Layer) -> Gather:
    """The indices of a layer."""
    return gather_of_windows(windows_of(layer))


def gather_of_windows(windows: Windows) -> Gather:
    """The indices of a layer of a geometry."""
    padding = ((0, 0), *windows.padding)
    shape = tuple(length + sum(widths) for length, widths in zip(windows.input_shape, padding, strict=True))
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    channels, *kernel = windows.synapse_shape
    window = np.arange(channels, dtype=np.int64) * strides[0]
    for length, dilation, stride in zip(kernel, windows.dilation, strides[1:], strict=True):
        window = np.add.outer(window, np.arange(length, dtype=np.int64) * dilation * stride)
    groups = np.arange(windows.groups, dtype=np.int64) * channels * strides[0]
    positions = _positions(windows.output_shape[1:], windows.stride, strides[1:])
    return Gather(np.add.outer(groups, window.ravel()), positions, padding, windows.padding_value)


def _positions(lengths: Sequence[int], steps: Sequence[int], strides: Sequence[int]) -> NDArray[np.int64]:
    """First element of each output's window."""
    positions = np.zeros((), dtype=np.int64)
    for length, step, stride in zip(lengths, steps, strides, strict=True):
        positions = np.add.outer(positions, np.arange(length, dtype=np.int64) * step * stride)
    return positions.ravel()
