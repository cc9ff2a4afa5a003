"""Where a layer's windows lie, and the fields of a descriptor that make the sequencer walk over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fewbits.bitexact import Layer, Pooling


@dataclass(frozen=True)
class Windows:
    """Where a layer's windows lie, one-dimensional ones as rows of height 1."""

    channels: int
    size: tuple[int, int]
    outputs: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def plane(self) -> int:
        """Inputs of a channel."""
        return self.size[0] * self.size[1]

    @property
    def positions(self) -> int:
        """Outputs of a channel."""
        return self.outputs[0] * self.outputs[1]

    @property
    def window(self) -> int:
        """Inputs of a channel in a window."""
        return self.kernel[0] * self.kernel[1]


def layer_windows(layer: Layer) -> Windows:
    """Windows of each group; a matrix product is a window of one place in as many channels as there are inputs."""
    return Windows(
        layer.input_shape[0],
        _pair(layer.input_shape[1:], 1),
        _pair(layer.output_shape[1:], 1),
        _pair(layer.weight.shape[2:], 1),
        _pair(layer.stride, 1),
        _pair(tuple(before for before, _ in layer.padding), 0),
        _pair(layer.dilation, 1),
    )


def pooling_windows(pool: Pooling) -> Windows:
    """Windows of each channel."""
    return Windows(
        pool.input_shape[0],
        _pair(pool.input_shape[1:], 1),
        _pair(pool.output_shape[1:], 1),
        _pair(pool.kernel, 1),
        _pair(pool.stride, 1),
        _pair(pool.padding, 0),
        _pair(pool.dilation, 1),
    )


def addition_windows(shape: Sequence[int]) -> Windows:
    """Single places of each channel; shape: channels, then none, one or two dimensions."""
    size, one = _pair(shape[1:], 1), (1, 1)
    return Windows(shape[0], size, size, one, one, (0, 0), one)


def _pair(sizes: Sequence[int], fill: int) -> tuple[int, int]:
    """Height and width; one dimension is a row."""
    height, width = (fill, fill, *sizes)[-2:]
    return int(height), int(width)


def position_fields(w: Windows, address: int) -> dict[str, int]:
    """The walk over the output's positions."""
    (height, width), (rows, columns) = w.size, w.outputs
    return {
        "input_address": address - w.padding[0] * width - w.padding[1],
        "column_step": w.stride[1],
        "row_step": w.stride[0] * width - (columns - 1) * w.stride[1],
        "row_stride": w.stride[0],
        "first_column": -w.padding[1],
        "last_column": (columns - 1) * w.stride[1] - w.padding[1],
        "first_row": -w.padding[0],
        "last_row": (rows - 1) * w.stride[0] - w.padding[0],
        "width": width,
        "height": height,
    }


def advance_fields(w: Windows, synapses: int) -> dict[str, int]:
    """How a lane moves on by so many synapses: as counters of column, row and channel with carries."""
    (kernel_rows, kernel_columns), (row_dilation, column_dilation), width = w.kernel, w.dilation, w.size[1]
    rest, columns = divmod(synapses, kernel_columns)
    channels, rows = divmod(rest, kernel_rows)
    advance = columns * column_dilation + rows * row_dilation * width + channels * w.plane
    column_carry = row_dilation * width - kernel_columns * column_dilation
    row_carry = w.plane - kernel_rows * row_dilation * width
    row_end = kernel_rows * row_dilation
    return {
        "advance": advance,
        "advance_column": advance + column_carry,
        "advance_row": advance + row_carry,
        "advance_both": advance + column_carry + row_carry,
        "column_advance": columns * column_dilation,
        "column_back": (kernel_columns - columns) * column_dilation,
        "row_advance": rows * row_dilation,
        "row_back": row_end - rows * row_dilation,
        "row_dilation_advance": (rows + 1) * row_dilation,
        "row_dilation_back": row_end - (rows + 1) * row_dilation,
    }


def output_fields(positions: int, full: int, tail: int) -> dict[str, int]:
    """The walk over the output's channels."""
    return {
        "plane": positions,
        "group_step": (full - 1) * positions + 1,
        "tail_step": (tail - 1) * positions + 1,
        "tail_neurons": tail,
    }


def lane_fields(w: Windows, lanes: int, first: int = 0) -> dict[str, int]:
    """Each lane's synapse in a window's first chunk, or in the chunk that begins with synapse `first`."""
    fields: dict[str, int] = {}
    for lane in range(lanes):
        channel, place = divmod(first + lane, w.window)
        row, column = (at * step for at, step in zip(divmod(place, w.kernel[1]), w.dilation, strict=True))
        fields |= {
            f"offset_{lane}": channel * w.plane + row * w.size[1] + column,
            f"column_{lane}": column,
            f"row_{lane}": row,
        }
    return fields


def slice_fields(w: Windows, address: int, lanes: int, synapses: int) -> dict[str, int]:
    """Of a pooling layer: slices of as many channels as are pooled side by side, one window's place after another.

    synapses: lanes of the address generation, of which pooling may use fewer.
    """
    slices = -(-w.channels // lanes)
    tail = w.channels - (slices - 1) * lanes
    fields = {
        "input_step": lanes * w.plane,
        "tail": tail,
        **output_fields(w.positions, lanes, tail),
        **position_fields(w, address),
        **advance_fields(w, 1),
    }
    for lane in range(synapses):
        fields |= {f"offset_{lane}": lane * w.plane, f"column_{lane}": 0, f"row_{lane}": 0}
    return fields
