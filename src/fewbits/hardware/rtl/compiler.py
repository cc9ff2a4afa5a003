"""From a bit-exact network to the accelerator's program and the images of its memories.

A value's place in memory is channel, row, column, as in torch; each operation's result has a place of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fewbits.bitexact import (
    AveragePool,
    BitExactNetwork,
    Convolution,
    Flatten,
    InputRounding,
    Layer,
    Linear,
    MaxPool,
    Operation,
    ReLU,
    Rounding,
)
from fewbits.errors import HardwareError
from fewbits.formats import Format
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.rtl.design import NeuronDesign
from fewbits.hardware.rtl.latency import pooling_lanes
from fewbits.hardware.rtl.program import ADDRESS_BITS, AVERAGE, COUNT_BITS, MAXIMUM, WEIGHTED, WORD_BITS, Layout, layout
from fewbits.hardware.rtl.simulate import pack

Words = NDArray[np.uint32]
"""Rows of a memory: 32 bits a word, lowest first."""


@dataclass(frozen=True)
class Program:
    """What is in the memories before an image is computed."""

    words: Words
    """Descriptors, one after another."""

    weights: Words
    """Rows of SB in the order in which they are loaded."""

    biases: Words
    """Rows of a bias for each neuron."""

    values: int
    """Size of the memory of values, the image at its start."""

    input_rounding: InputRounding
    result_channels: tuple[int, ...]
    """Channels of the rows of the result, one group after another."""

    result_positions: int


@dataclass(frozen=True)
class _Windows:
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


def compile_network(network: BitExactNetwork, design: NeuronDesign, accelerator: Accelerator) -> Program:
    """The program of a network on an accelerator.

    Raises HardwareError, naming the layer, for what this accelerator does not compute or cannot hold.
    """
    if network.precision != design.precision:
        raise HardwareError(f"a network of {network.precision.name} does not run on a {design.precision.name} datapath")
    needed = design.accumulate_cycles + 1  # rows of one block, and the next row that arrives
    if accelerator.buffer_rows < max(2, needed):
        raise HardwareError(
            f"buffers of {accelerator.buffer_rows} rows are too small: {design.precision.name} needs at least {needed}"
        )
    if design.synapses != accelerator.synapses:
        raise HardwareError(
            f"a neuron of {design.synapses} synapses does not suit an accelerator of {accelerator.synapses}"
        )
    return _Compiler(network, design, accelerator).compile()


class _Compiler:
    def __init__(self, network: BitExactNetwork, design: NeuronDesign, accelerator: Accelerator) -> None:
        self._operations = network.operations
        self._design, self._accelerator = design, accelerator
        self._layout: Layout = layout(design, accelerator)
        self._words: list[int] = []
        self._weights: list[Words] = []
        self._biases: list[Words] = []
        self._weight_rows = self._bias_rows = 0

    def compile(self) -> Program:
        first, *rest = self._operations
        if not isinstance(first, InputRounding):
            raise HardwareError(f"operation {first.name!r} comes before the rounding of the images: it has no hardware")
        address, free = 0, int(np.prod(first.output_shape))
        name = first.name
        for index, operation in enumerate(rest):
            if operation.inputs != (name,):
                raise HardwareError(
                    f"operation {operation.name!r} takes {operation.inputs}: this accelerator runs layers in a chain"
                )
            name = operation.name
            if isinstance(operation, Flatten | ReLU | Rounding):
                continue
            followers = list(_followers(rest[index + 1 :]))
            values = self._descriptor(operation, followers, address, free, is_last=not _has_more(rest[index + 1 :]))
            self._words += self._layout.pack(values, operation.name)
            address, free = free, free + int(np.prod(operation.output_shape))
        return self._program(first, free)

    def _program(self, first: InputRounding, values: int) -> Program:
        last = next(operation for operation in reversed(self._operations) if not isinstance(operation, Flatten))
        if not isinstance(last, Layer):
            raise HardwareError(f"operation {last.name!r} ends the network: the accelerator ends with a layer's sums")
        if values > 1 << ADDRESS_BITS:
            raise HardwareError(f"the network keeps {values} values, the accelerator addresses {1 << ADDRESS_BITS}")
        group = self._accelerator.neurons
        of_group = len(last.weight) // (last.groups if isinstance(last, Convolution) else 1)
        sizes = [min(group, of_group - start) for start in range(0, of_group, group)]
        return Program(
            words=pack(self._words, WORD_BITS),
            weights=np.concatenate(self._weights),
            biases=np.concatenate(self._biases),
            values=values,
            input_rounding=first,
            result_channels=tuple(sizes * (len(last.weight) // of_group)),
            result_positions=int(np.prod(last.output_shape[1:])),
        )

    def _descriptor(
        self, operation: Operation, followers: Sequence[Operation], address: int, free: int, *, is_last: bool
    ) -> dict[str, int]:
        relu = any(isinstance(follower, ReLU) for follower in followers)
        rounding = next((follower for follower in followers if isinstance(follower, Rounding)), None)
        common = {"relu": int(relu), "is_last": int(is_last), "output_address": free}
        if isinstance(operation, Layer):
            if is_last and relu:
                raise HardwareError(
                    f"layer {operation.name!r} ends the network with a ReLU, which has no hardware there"
                )
            shift = 0 if is_last else self._shift(operation, rounding)
            return self._layer(operation, address) | common | {"shift": shift}
        assert isinstance(operation, MaxPool | AveragePool), operation
        if rounding is not None or is_last or (isinstance(operation, AveragePool) and operation.number_format is None):
            raise HardwareError(f"layer {operation.name!r} pools accumulators: the accelerator pools rounded values")
        return self._pooling(operation, address) | common | {"shift": 0}

    def _shift(self, layer: Layer, rounding: Rounding | None) -> int:
        if rounding is None:
            raise HardwareError(f"layer {layer.name!r} is not rounded: the accelerator stores rounded values only")
        if self._design.is_float32 or self._design.is_popcount:
            return 0
        if self._design.is_float:
            return rounding.shift  # either way; the field holds what the output stage takes
        highest = (1 << self._design.shift_bits) - 1
        if rounding.shift > highest >= self._design.accumulator_bits:
            return highest  # every accumulator then rounds to zero
        if not 0 <= rounding.shift <= highest:
            raise HardwareError(
                f"layer {layer.name!r} moves its sums by {rounding.shift} places to the right: the output stage moves "
                f"them by 0 to {highest}; calibrate with other radix points"
            )
        return rounding.shift

    def _layer(self, layer: Layer, address: int) -> dict[str, int]:
        """A convolution or a linear layer; its weights and biases are added to the memories."""
        self._check_sums(layer)
        w, groups = _layer_windows(layer)
        lanes, neurons = self._accelerator.synapses, self._accelerator.neurons
        interleaved = self._design.accumulate_cycles
        of_group = len(layer.weight) // groups
        neuron_groups, chunks = -(-of_group // neurons), -(-layer.synapses // lanes)
        block_groups = min(neuron_groups, max(1, interleaved // w.positions))
        rows = self._accelerator.buffer_rows
        values = {
            "operation": WEIGHTED,
            "chunks": chunks - 1,
            "neuron_groups": neuron_groups - 1,
            "convolution_groups": groups - 1,
            "block_groups": block_groups - 1,
            "block_positions": min(interleaved, w.positions) - 1,
            "interval": interleaved - 1,
            "gap": 0,
            "bin_resident": int(w.positions * chunks <= rows),
            "sb_resident": int(chunks <= rows),
            "input_step": layer.synapses // w.window * w.plane,
            "tail": layer.synapses - (chunks - 1) * lanes,
            "weight_row": self._weight_rows,
            "bias_row": self._bias_rows,
            **_no_average(),
            **_outputs(w.positions, neurons, of_group - (neuron_groups - 1) * neurons),
            **_positions(w, address),
            **_advance(w, lanes),
        }
        for lane in range(lanes):
            channel, place = divmod(lane, w.window)
            row, column = (
                at * step for at, step in zip(divmod(place, w.kernel[1]), w.dilation, strict=True)
            )  # fmt: skip
            values |= {
                f"offset_{lane}": channel * w.plane + row * w.size[1] + column,
                f"column_{lane}": column,
                f"row_{lane}": row,
            }
        self._add_weights(_codes(layer.weight, layer.weight_format), groups, block_groups)
        self._add_biases(layer, groups)
        return values

    def _check_sums(self, layer: Layer) -> None:
        design = self._design
        formats = (layer.weight_format, layer.input_format)
        if formats != (design.precision.weights, design.precision.inputs) or layer.scale_bits:
            raise HardwareError(
                f"layer {layer.name!r} has formats or factors of its own: this accelerator computes {design.name} alone"
            )
        if layer.output_shifts is not None:
            raise HardwareError(
                f"layer {layer.name!r} has per-channel radix points: this accelerator shifts all outputs alike"
            )
        if layer.dropped_product_bits != design.dropped_product_bits:
            raise HardwareError(
                f"layer {layer.name!r} drops {layer.dropped_product_bits} bits of a product, the datapath "
                f"{design.dropped_product_bits}: give both the same product_bits"
            )
        if layer.synapses > self._design.maximum_synapses:
            raise HardwareError(
                f"layer {layer.name!r} sums {layer.synapses} products: this datapath's accumulator takes "
                f"{self._design.maximum_synapses}; generate one with a larger maximum_synapses"
            )
        if layer.worst_case_accumulator_bits > self._design.accumulator_bits:
            raise HardwareError(
                f"layer {layer.name!r} needs {layer.worst_case_accumulator_bits} bits for its sums and bias: this "
                f"datapath has {self._design.accumulator_bits}; generate one with a larger maximum_synapses"
            )

    def _pooling(self, pool: MaxPool | AveragePool, address: int) -> dict[str, int]:
        """A pooling layer, slice by slice of as many channels as there are lanes."""
        lanes, neurons = pooling_lanes(self._accelerator), self._accelerator.neurons
        w = _Windows(
            pool.input_shape[0],
            *(_pair(sizes, fill) for sizes, fill in (
                (pool.input_shape[1:], 1), (pool.output_shape[1:], 1), (pool.kernel, 1), (pool.stride, 1),
                (pool.padding, 0), (pool.dilation, 1),
            )),
        )  # fmt: skip
        slices = -(-w.channels // lanes)
        tail = w.channels - (slices - 1) * lanes
        averages = isinstance(pool, AveragePool)
        interval = self._design.accumulate_cycles if averages else 1
        values = {
            "operation": AVERAGE if averages else MAXIMUM,
            "chunks": w.window - 1,
            "neuron_groups": slices - 1,
            "convolution_groups": 0,
            "block_groups": 0,
            "block_positions": 0,
            "interval": interval - 1,
            "gap": max(0, lanes - (interval * (w.window - 1) + 1)) if averages else 0,
            "bin_resident": 0,
            "sb_resident": int(w.window <= self._accelerator.buffer_rows),
            "input_step": lanes * w.plane,
            "tail": tail,
            "weight_row": self._weight_rows,
            "bias_row": self._bias_rows,
            **(self._average(pool, w) if averages else _no_average()),
            **_outputs(w.positions, lanes, tail),
            **_positions(w, address),
            **_advance(w, 1),
        }
        for lane in range(self._accelerator.synapses):
            values |= {f"offset_{lane}": lane * w.plane, f"column_{lane}": 0, f"row_{lane}": 0}
        if averages and self._design.is_float:
            self._add_identity(w.window, slices, neurons)
        return values

    def _average(self, pool: AveragePool, w: _Windows) -> dict[str, int]:
        """The divisor: one for all windows, or the count of what lies in each."""
        if pool.number_format is not None and pool.number_format.family == "binary":
            raise HardwareError(f"layer {pool.name!r} averages binary values, which has no hardware: take the maximum")
        if self._design.is_float and self._design.precision.inputs.name != "float32":
            raise HardwareError(f"layer {pool.name!r} averages: that has hardware for integers and float32 only")
        if w.window >= 1 << COUNT_BITS:
            raise HardwareError(
                f"layer {pool.name!r} averages windows of {w.window} values: the divider takes {(1 << COUNT_BITS) - 1}"
            )
        divisors = np.unique(pool.divisors)
        margin = w.padding if pool.count_include_pad else (0, 0)
        return {
            "divisor": int(divisors[0]) if len(divisors) == 1 else 0,
            "counts_padding": int(pool.count_include_pad),
            "counted_height": w.size[0] + margin[0],
            "counted_width": w.size[1] + margin[1],
        }

    def _add_weights(self, codes: NDArray[np.int64], groups: int, block_groups: int) -> None:
        """Rows in the order convolution group, block of neuron groups, chunk, neuron group.

        codes: outputs, synapses.
        """
        neurons, lanes = self._accelerator.neurons, self._accelerator.synapses
        of_group, synapses = len(codes) // groups, codes.shape[1]
        neuron_groups, chunks = -(-of_group // neurons), -(-synapses // lanes)
        padded = np.zeros((groups, neuron_groups * neurons, chunks * lanes), np.int64)
        padded[:, :of_group, :synapses] = codes.reshape(groups, of_group, synapses)
        tiles = padded.reshape(groups, neuron_groups, neurons, chunks, lanes).transpose(0, 1, 3, 2, 4)
        for group in range(groups):
            for start in range(0, neuron_groups, block_groups):
                block = tiles[group, start : start + block_groups].swapaxes(0, 1)
                rows = block.reshape(-1, neurons * lanes)
                self._append_weights(rows)

    def _append_weights(self, rows: NDArray[np.int64]) -> None:
        self._weights.append(pack_codes(rows, self._design.precision.weights.bits))
        self._weight_rows += len(rows)

    def _add_identity(self, window: int, slices: int, neurons: int) -> None:
        """Weights of one at the synapse of a neuron's own number: a float sum of the window, in its order."""
        one = int(_codes(np.ones(1, np.float32), self._design.precision.weights)[0, 0])
        row = np.zeros((neurons, self._accelerator.synapses), np.int64)
        np.fill_diagonal(row, one)
        self._append_weights(np.tile(row.reshape(1, -1), (window * slices, 1)))
        self._append_biases([0] * (slices * neurons))

    def _add_biases(self, layer: Layer, groups: int) -> None:
        bias: Sequence[Any] = layer.bias or (0,) * len(layer.weight)
        filling = self._design.filling(layer.synapses)
        is_float = self._design.is_float
        numbers = [_float_bits(value) if is_float else int(value) - filling for value in bias]
        of_group, neurons = len(numbers) // groups, self._accelerator.neurons
        padded: list[int] = []
        for group in range(groups):
            part = numbers[group * of_group : (group + 1) * of_group]
            padded += part + [0] * (-len(part) % neurons)
        self._append_biases(padded)

    def _append_biases(self, numbers: list[int]) -> None:
        """A row for each group of neurons."""
        neurons, bits = self._accelerator.neurons, self._design.accumulator_bits
        mask = (1 << bits) - 1
        rows = [
            sum((number & mask) << (bits * place) for place, number in enumerate(numbers[start : start + neurons]))
            for start in range(0, len(numbers), neurons)
        ]
        self._biases.append(pack(rows, bits * neurons))
        self._bias_rows += len(rows)


def encode_images(program: Program, images: torch.Tensor) -> Words:
    """Images as the codes that are put into the memory of values: (images, values)."""
    rounding = program.input_rounding
    codes = rounding.number_format.encode(images.to(torch.float64), rounding.fraction_bits)
    return np.ascontiguousarray(codes.reshape(len(images), -1).numpy().astype(np.uint32))


def pack_codes(codes: NDArray[np.int64], bits: int) -> Words:
    """Rows of codes side by side, the first one lowest, as words.

    codes: rows, codes; only the lowest `bits` of each count.
    """
    rows, count = codes.shape
    words = -(-count * bits // 32)
    result = np.zeros((rows, words * 4), np.uint8)
    for start in range(0, rows, 1024):  # eight bytes a bit would else be taken for all rows at once
        part = codes[start : start + 1024, :, None] >> np.arange(bits) & 1
        packed = np.packbits(part.reshape(len(part), -1).astype(np.uint8), axis=1, bitorder="little")
        result[start : start + 1024, : packed.shape[1]] = packed
    return result.view("<u4").astype(np.uint32)


def _followers(operations: Sequence[Operation]) -> Iterator[Operation]:
    """The operations up to the next layer or pooling."""
    for operation in operations:
        if not isinstance(operation, Flatten | ReLU | Rounding):
            return
        yield operation


def _has_more(operations: Sequence[Operation]) -> bool:
    return any(not isinstance(operation, Flatten | ReLU | Rounding) for operation in operations)


def _layer_windows(layer: Layer) -> tuple[_Windows, int]:
    """Windows and groups; a matrix product is a window of one place in as many channels as there are inputs."""
    if isinstance(layer, Linear):
        one = (1, 1)
        return _Windows(layer.synapses, one, one, one, one, (0, 0), one), 1
    assert isinstance(layer, Convolution)
    windows = _Windows(
        layer.input_shape[0],
        _pair(layer.input_shape[1:], 1),
        _pair(layer.output_shape[1:], 1),
        _pair(layer.weight.shape[2:], 1),
        _pair(layer.stride, 1),
        _pair(tuple(before for before, _ in layer.padding), 0),
        _pair(layer.dilation, 1),
    )
    return windows, layer.groups


def _pair(sizes: Sequence[int], fill: int) -> tuple[int, int]:
    """Height and width; one dimension is a row."""
    height, width = (fill, *sizes)[-2:]
    return int(height), int(width)


def _positions(w: _Windows, address: int) -> dict[str, int]:
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


def _advance(w: _Windows, synapses: int) -> dict[str, int]:
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


def _outputs(positions: int, full: int, tail: int) -> dict[str, int]:
    """The walk over the output's channels."""
    return {
        "plane": positions,
        "group_step": (full - 1) * positions + 1,
        "tail_step": (tail - 1) * positions + 1,
        "tail_neurons": tail,
    }


def _no_average() -> dict[str, int]:
    return {"divisor": 0, "counts_padding": 0, "counted_height": 0, "counted_width": 0}


def _codes(weight: NDArray[Any], number_format: Format) -> NDArray[np.int64]:
    """Weights as codes: outputs, synapses."""
    numbers = torch.as_tensor(weight.astype(np.float64)).reshape(len(weight), -1)  # exact: 32 significant bits at most
    return number_format.encode(numbers).numpy().astype(np.int64)


def _float_bits(value: float) -> int:
    return int(np.float32(value).view(np.uint32))
