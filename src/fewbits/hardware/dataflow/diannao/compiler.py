"""From a bit-exact network to the accelerator's program and the images of its memories.

A value's place in memory is channel, row, column, as in torch; the result of each layer has a place of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from fewbits.bitexact import (
    Addition,
    AveragePool,
    BitExactNetwork,
    Convolution,
    InputRounding,
    Layer,
    Linear,
    MaxPool,
    Operation,
    Pooling,
    Rounding,
)
from fewbits.errors import HardwareError
from fewbits.graph.operations import input_rounding_of
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.latency import pipeline, pooling_lanes
from fewbits.hardware.dataflow.diannao.memory_images import MemoryImages, Words
from fewbits.hardware.dataflow.diannao.opcodes import opcodes
from fewbits.hardware.dataflow.diannao.operands import check_sum_order
from fewbits.hardware.dataflow.diannao.output_steps import OutputSteps, output_steps
from fewbits.hardware.dataflow.diannao.ports import check_two_ports
from fewbits.hardware.dataflow.diannao.program import (
    ADDRESS_BITS,
    COUNT_BITS,
    WORD_BITS,
    Layout,
    layout,
)
from fewbits.hardware.dataflow.diannao.tables import COMPILER, Compiled
from fewbits.hardware.dataflow.diannao.tiling import Tiling, ceil_div
from fewbits.hardware.dataflow.diannao.windows import (
    Windows,
    addition_windows,
    advance_fields,
    lane_fields,
    layer_windows,
    output_fields,
    pooling_windows,
    position_fields,
)
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.datapath.simulation import pack

_NO_AVERAGE = {"divisor": 0, "counts_padding": 0, "counted_height": 0, "counted_width": 0}
_SPILL = {"spills": 1, "is_last": 0, "group_step": 1, "tail_step": 1}
"""Of a piece that hands out partial sums: a row of memory for each position of each group of neurons, in turn."""


@dataclass(frozen=True)
class Program:
    """What is in the memories before an image is computed."""

    words: Words
    """Descriptors, one after another."""

    weights: Words
    """Rows of SB in the order in which they are loaded."""

    biases: Words
    """Rows of a bias for each neuron; behind those of a layer in pieces, rows for its partial sums."""

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
    check_two_ports(accelerator)
    needed = design.accumulate_cycles + 1  # rows of one block, and the next row that arrives
    if accelerator.buffer_rows < max(2, needed):
        raise HardwareError(
            f"buffers of {accelerator.buffer_rows} rows are too small: {design.precision.name} needs at least {needed}"
        )
    if design.synapses != accelerator.synapses:
        raise HardwareError(
            f"a neuron of {design.synapses} synapses does not suit an accelerator of {accelerator.synapses}"
        )
    check_sum_order(network.sum_order, design, accelerator)
    return _Compiler(network, design, accelerator).compile()


def _common(steps: OutputSteps) -> dict[str, int]:
    """Fields of every piece, unless it sets them."""
    return {"relu": int(steps.relu), "is_last": int(steps.is_last), "shift": 0, "spills": 0, "resumes": 0}


def _check_pools_values(pool: Pooling, steps: OutputSteps, *, accumulators: bool) -> None:
    if steps.rounding is not None or steps.is_last or accumulators:
        raise HardwareError(f"layer {pool.name!r} pools accumulators: the accelerator pools rounded values")


class _Compiler:
    def __init__(self, network: BitExactNetwork, design: NeuronDesign, accelerator: Accelerator) -> None:
        self._operations = network.operations
        self._design, self._accelerator = design, accelerator
        self._layout: Layout = layout(design, accelerator)
        self._pipeline = pipeline(design, accelerator)
        self._opcodes = opcodes(design)
        self._words: list[int] = []
        self._memories = MemoryImages(design, accelerator)
        self._margin = 0  # values behind the last tensor that an addition may touch

    def compile(self) -> Program:
        first = input_rounding_of(self._operations)
        steps = output_steps(first, self._operations)
        if steps.relu or steps.rounding is not None:  # the images are stored as they come
            raise HardwareError(f"operation {first.name!r} is followed by others on the images: these have no hardware")
        places = dict.fromkeys(steps.names, 0)
        free = int(np.prod(first.output_shape))
        last, compiled = first, Compiled([])
        for operation in self._operations[1:]:
            if operation.name in places:
                continue
            steps = output_steps(operation, self._operations)
            addresses = [places[name] for name in operation.inputs]
            compiled = COMPILER.of(operation)(self, operation, steps, addresses)
            for values in compiled.descriptors:
                self._words += self._layout.pack(_common(steps) | {"output_address": free} | values, operation.name)
            places |= dict.fromkeys(steps.names, free)
            free += int(np.prod(operation.output_shape))
            last = operation
        return self._program(first, last, compiled.result_groups, free + self._margin)

    def _program(self, first: InputRounding, last: Operation, groups: tuple[int, int] | None, values: int) -> Program:
        """groups: of the result, and the widest row in each; None where the network cannot end so."""
        if values > 1 << ADDRESS_BITS:
            raise HardwareError(f"the network keeps {values} values, the accelerator addresses {1 << ADDRESS_BITS}")
        if groups is None:
            raise HardwareError(f"operation {last.name!r} ends the network: the accelerator ends with sums")
        count, rows = groups
        of_group = last.output_shape[0] // count
        sizes = [min(rows, of_group - start) for start in range(0, of_group, rows)]
        return Program(
            words=pack(self._words, WORD_BITS),
            weights=self._memories.weights,
            biases=self._memories.biases,
            values=values,
            input_rounding=first,
            result_channels=tuple(sizes * count),
            result_positions=int(np.prod(last.output_shape[1:])),
        )

    @COMPILER.register(Convolution, Linear)
    def _layer(self, layer: Layer, steps: OutputSteps, addresses: Sequence[int]) -> Compiled:
        shift = {"shift": self._sum_shift(layer, steps)}
        pieces = [shift | piece for piece in self._layer_pieces(layer, *addresses)]
        return Compiled(pieces, (layer.groups, self._accelerator.neurons))

    @COMPILER.register(Addition)
    def _addition(self, addition: Addition, steps: OutputSteps, addresses: Sequence[int]) -> Compiled:
        shift = {"shift": self._sum_shift(addition, steps)}
        return Compiled([shift | self._added(addition, *addresses)], (1, pooling_lanes(self._accelerator)))

    @COMPILER.register(MaxPool)
    def _maximum(self, pool: MaxPool, steps: OutputSteps, addresses: Sequence[int]) -> Compiled:
        _check_pools_values(pool, steps, accumulators=False)
        own = {"operation": self._opcodes.maximum.code, "interval": 0, "gap": 0, **_NO_AVERAGE}
        return Compiled([own | self._pooling(pool, addresses[0])])

    @COMPILER.register(AveragePool)
    def _averaged(self, pool: AveragePool, steps: OutputSteps, addresses: Sequence[int]) -> Compiled:
        _check_pools_values(pool, steps, accumulators=pool.number_format is None)
        opcode = self._opcodes.average
        w, lanes, interval = pooling_windows(pool), pooling_lanes(self._accelerator), self._design.accumulate_cycles
        gap = max(0, lanes - (interval * (w.window - 1) + 1))
        own = {"operation": opcode.code, "interval": interval - 1, "gap": gap, **self._average(pool, w)}
        descriptor = own | self._pooling(pool, addresses[0])
        if opcode.takes_weights:
            self._memories.add_diagonals([1] * w.window, ceil_div(w.channels, lanes))
        return Compiled([descriptor])

    def _sum_shift(self, operation: Operation, steps: OutputSteps) -> int:
        """Places by which the output stage moves the sums of a layer or an addition to the right; 0 for the last."""
        if not steps.is_last:
            return self._shift(operation, steps.rounding)
        if steps.relu:
            raise HardwareError(f"layer {operation.name!r} ends the network with a ReLU, which has no hardware there")
        return 0

    def _shift(self, layer: Operation, rounding: Rounding | None) -> int:
        """Places by which the output stage moves an accumulator to the right."""
        if rounding is None:
            raise HardwareError(f"layer {layer.name!r} is not rounded: the accelerator stores rounded values only")
        shift = self._design.output_shift(rounding.shift)
        if shift is None:
            highest = (1 << self._design.shift_bits) - 1
            remedy = "keep more product bits, or " if self._design.dropped_product_bits else ""
            raise HardwareError(
                f"layer {layer.name!r} moves its sums by {rounding.shift} places to the right: the output stage moves "
                f"them by 0 to {highest}; {remedy}calibrate with other radix points"
            )
        return shift

    def _layer_pieces(self, layer: Layer, address: int) -> list[dict[str, int]]:
        """The pieces of a convolution or a linear layer; its weights and biases are added to the memories."""
        self._check_sums(layer)
        w, groups = layer_windows(layer), layer.groups
        pieces = self._tiling(w, groups, len(layer.weight) // groups, layer.synapses).pieces(
            self._accelerator, self._pipeline.widths
        )
        bias_row = self._memories.bias_rows
        self._memories.add_biases(layer, groups)
        partial_row = self._memories.bias_rows
        if len(pieces) > 1:
            self._memories.add_partial_sums(pieces[0].output_rows)
        descriptors = [self._piece(layer, w, piece, address) | {"bias_row": bias_row} for piece in pieces]
        for before, after in pairwise(descriptors):
            before |= _SPILL | {"output_address": partial_row}
            after |= {"bias_row": partial_row, "resumes": 1}
        return descriptors

    def _tiling(self, w: Windows, groups: int, of_group: int, synapses: int) -> Tiling:
        """The loops of what the neurons compute. of_group: outputs in a group of the convolution."""
        return Tiling(
            groups=groups,
            neuron_groups=ceil_div(of_group, self._accelerator.neurons),
            positions=w.positions,
            chunks=ceil_div(synapses, self._accelerator.synapses),
            interleaved=self._pipeline.accumulate_cycles,
            buffer_rows=self._accelerator.buffer_rows,
        )

    def _piece(self, layer: Layer, w: Windows, piece: Tiling, address: int) -> dict[str, int]:
        """A piece of a layer's chunks, which may be all; its weights are added to the memories."""
        lanes, neurons = self._accelerator.synapses, self._accelerator.neurons
        first = piece.first_chunk * lanes
        tail_neurons = len(layer.weight) // piece.groups - (piece.neuron_groups - 1) * neurons
        values = {
            **self._loops(piece),
            "input_step": layer.synapses // w.window * w.plane,
            "tail": min(lanes, layer.synapses - first - (piece.chunks - 1) * lanes),
            **output_fields(w.positions, neurons, tail_neurons),
            **position_fields(w, address),
            **advance_fields(w, lanes),
            **lane_fields(w, lanes, first),
        }
        self._memories.add_weights(layer, piece)
        return values

    def _added(self, addition: Addition, first: int, second: int) -> dict[str, int]:
        """The neurons add a channel each: a chunk of each operand, by weights of powers of two.

        Slices of channels are the groups of a convolution. Lanes and neurons beyond the last channel have weights of
        zero; what they read, and write behind the result, is what no one reads before it is written.
        """
        self._check_factors(addition)
        w = addition_windows(addition.output_shape)
        lanes = pooling_lanes(self._accelerator)
        slices = -(-w.channels // lanes)
        used = min(lanes, w.channels)
        values = {
            **self._loops(self._tiling(w, slices, lanes, 2 * self._accelerator.synapses)),
            "input_step": lanes * w.plane,
            "tail": used,
            **output_fields(w.positions, used, used),
            **position_fields(w, first),
            **advance_fields(w, self._accelerator.synapses),
            **lane_fields(w, self._accelerator.synapses),
            "advance": second - first,
        }
        self._margin = max(self._margin, self._accelerator.synapses * w.plane)
        self._memories.add_diagonals([1 << shift for shift in addition.shifts], slices)
        return values

    def _check_factors(self, addition: Addition) -> None:
        """Raise HardwareError if the datapath cannot multiply by 0 and by the powers of two, or cuts the products."""
        weights = self._design.precision.weights
        for factor in (0, *(1 << shift for shift in addition.shifts)):
            number = torch.tensor([factor], dtype=torch.float64)
            if not torch.equal(weights.quantize(number), number):
                raise HardwareError(
                    f"layer {addition.name!r} adds two tensors: the neurons need a weight of {factor} for it, which "
                    f"{weights.name} does not have"
                )
        if self._design.dropped_product_bits:
            raise HardwareError(
                f"layer {addition.name!r} adds two tensors: a datapath with truncated products does not"
            )

    def _loops(self, tiling: Tiling) -> dict[str, int]:
        """Loops of what the neurons compute, and where its weights and biases begin."""
        return {
            "operation": self._opcodes.weighted.code,
            "chunks": tiling.chunks - 1,
            "neuron_groups": tiling.neuron_groups - 1,
            "convolution_groups": tiling.groups - 1,
            "block_groups": tiling.block_groups - 1,
            "block_positions": min(tiling.interleaved, tiling.positions) - 1,
            "interval": tiling.interleaved - 1,
            "gap": 0,
            "bin_resident": int(tiling.keeps_inputs),
            "sb_resident": int(tiling.keeps_weights),
            "weight_row": self._memories.weight_rows,
            "bias_row": self._memories.bias_rows,
            **_NO_AVERAGE,
        }

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

    def _pooling(self, pool: Pooling, address: int) -> dict[str, int]:
        """Loops and windows of a pooling layer, slice by slice of as many channels as there are lanes."""
        lanes = pooling_lanes(self._accelerator)
        w = pooling_windows(pool)
        slices = -(-w.channels // lanes)
        tail = w.channels - (slices - 1) * lanes
        values = {
            "chunks": w.window - 1,
            "neuron_groups": slices - 1,
            "convolution_groups": 0,
            "block_groups": 0,
            "block_positions": 0,
            "bin_resident": 0,
            "sb_resident": int(w.window <= self._accelerator.buffer_rows),
            "input_step": lanes * w.plane,
            "tail": tail,
            "weight_row": self._memories.weight_rows,
            "bias_row": self._memories.bias_rows,
            **output_fields(w.positions, lanes, tail),
            **position_fields(w, address),
            **advance_fields(w, 1),
        }
        for lane in range(self._accelerator.synapses):
            values |= {f"offset_{lane}": lane * w.plane, f"column_{lane}": 0, f"row_{lane}": 0}
        return values

    def _average(self, pool: AveragePool, w: Windows) -> dict[str, int]:
        """The divisor: one for all windows, or the count of what lies in each."""
        if self._design.average_refusal is not None:
            raise HardwareError(f"layer {pool.name!r} {self._design.average_refusal}")
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
