"""From a bit-exact network to the accelerator's program and the images of its memories.

A value's place in memory is channel, row, column, as in torch; each operation's result has a place of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fewbits.bitexact import (
    AveragePool,
    BitExactNetwork,
    Convolution,
    Flatten,
    InputRounding,
    Layer,
    MaxPool,
    Operation,
    ReLU,
    Rounding,
)
from fewbits.errors import HardwareError
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.rtl.design import NeuronDesign
from fewbits.hardware.rtl.latency import pooling_lanes
from fewbits.hardware.rtl.memory_images import MemoryImages, Words
from fewbits.hardware.rtl.program import ADDRESS_BITS, AVERAGE, COUNT_BITS, MAXIMUM, WEIGHTED, WORD_BITS, Layout, layout
from fewbits.hardware.rtl.simulate import pack
from fewbits.hardware.rtl.windows import (
    Windows,
    advance_fields,
    lane_fields,
    layer_windows,
    output_fields,
    pooling_windows,
    position_fields,
)

_NO_AVERAGE = {"divisor": 0, "counts_padding": 0, "counted_height": 0, "counted_width": 0}


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
        self._memories = MemoryImages(design, accelerator)

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
            weights=self._memories.weights,
            biases=self._memories.biases,
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
        w, groups = layer_windows(layer)
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
            "weight_row": self._memories.weight_rows,
            "bias_row": self._memories.bias_rows,
            **_NO_AVERAGE,
            **output_fields(w.positions, neurons, of_group - (neuron_groups - 1) * neurons),
            **position_fields(w, address),
            **advance_fields(w, lanes),
            **lane_fields(w, lanes),
        }
        self._memories.add_weights(layer, groups, block_groups)
        self._memories.add_biases(layer, groups)
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
        w = pooling_windows(pool)
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
            "weight_row": self._memories.weight_rows,
            "bias_row": self._memories.bias_rows,
            **(self._average(pool, w) if averages else _NO_AVERAGE),
            **output_fields(w.positions, lanes, tail),
            **position_fields(w, address),
            **advance_fields(w, 1),
        }
        for lane in range(self._accelerator.synapses):
            values |= {f"offset_{lane}": lane * w.plane, f"column_{lane}": 0, f"row_{lane}": 0}
        if averages and self._design.is_float:
            self._memories.add_identity(w.window, slices, neurons)
        return values

    def _average(self, pool: AveragePool, w: Windows) -> dict[str, int]:
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


def _followers(operations: Sequence[Operation]) -> Iterator[Operation]:
    """The operations up to the next layer or pooling."""
    for operation in operations:
        if not isinstance(operation, Flatten | ReLU | Rounding):
            return
        yield operation


def _has_more(operations: Sequence[Operation]) -> bool:
    return any(not isinstance(operation, Flatten | ReLU | Rounding) for operation in operations)
