"""From a bit-exact network to a program of descriptors and the images of memories: what accelerators with the
controller share. How a layer falls onto one is said by its own compiler.

A value's place in memory is channel, row, column, as in torch; the result of each layer has a place of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from fewbits.formats import Precision
from fewbits.graph.operations import input_rounding_of
from fewbits.hardware.dataflow.diannao.memory_images import MemoryImages, Words
from fewbits.hardware.dataflow.diannao.opcodes import Opcode, opcodes
from fewbits.hardware.dataflow.diannao.output_steps import OutputSteps, output_steps
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, COUNT_BITS, WORD_BITS, Layout
from fewbits.hardware.dataflow.diannao.tables import COMPILER, Compiled
from fewbits.hardware.dataflow.diannao.windows import Windows, pooling_windows
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.datapath.simulation import pack

NO_AVERAGE = {"divisor": 0, "counts_padding": 0, "counted_height": 0, "counted_width": 0}
"""Fields of what averages nothing."""


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

    result_blocks: tuple[int, ...]
    """Positions of the result: of each piece of the last layer, in the order in which they leave. Of a piece come rows
    for all its positions, one group of channels after another."""

    @property
    def result_places(self) -> list[tuple[int, int, int]]:
        """Of each row of the result: its first channel, its channels, its position."""
        places: list[tuple[int, int, int]] = []
        start = 0
        for positions in self.result_blocks:
            channel = 0
            for channels in self.result_channels:
                places += [(channel, channels, position) for position in range(start, start + positions)]
                channel += channels
            start += positions
        return places


def _check_pools_values(pool: Pooling, steps: OutputSteps, *, accumulators: bool) -> None:
    if steps.rounding is not None or steps.is_last or accumulators:
        raise HardwareError(f"layer {pool.name!r} pools accumulators: the accelerator pools rounded values")


class NetworkCompiler(ABC):
    """Compiles one network; a subclass says how layers, additions and pooling fall onto its accelerator."""

    def __init__(
        self,
        network: BitExactNetwork,
        design: NeuronDesign,
        fields: Layout,
        memories: MemoryImages,
        row: int,
        lanes: int,
    ) -> None:
        """row: outputs that are computed side by side. lanes: channels that are pooled, or added, side by side."""
        self._operations = network.operations
        self._design, self._layout, self._memories = design, fields, memories
        self._row, self._lanes = row, lanes
        self._opcodes = opcodes(design)
        self._words: list[int] = []
        self._output_address = 0  # of the operation that is being compiled
        self._margin = 0  # values behind the last tensor that an addition may touch

    # How an accelerator computes.

    @abstractmethod
    def common(self, steps: OutputSteps) -> dict[str, int]:
        """Fields of every piece of an operation, unless it sets them."""

    @abstractmethod
    def layer_pieces(self, layer: Layer, address: int) -> list[dict[str, int]]:
        """The pieces of a convolution or a linear layer; its weights and biases are added to the memories."""

    @abstractmethod
    def addition_pieces(self, addition: Addition, first: int, second: int) -> list[dict[str, int]]:
        """Those of an addition of what lies at two addresses, by weights that are powers of two."""

    @abstractmethod
    def pooling_piece(self, pool: Pooling, w: Windows, opcode: Opcode, address: int) -> dict[str, int]:
        """Loops and windows of a pooling layer, slice by slice of as many channels as there are lanes."""

    def result_blocks(self, descriptors: Sequence[Mapping[str, int]], positions: int) -> tuple[int, ...]:
        """Positions of each piece of the last layer, in the order in which they leave."""
        return (positions,)

    # What all have in common.

    def compile(self) -> Program:
        """The program. Raises HardwareError, naming the layer, for what the accelerator does not compute or hold."""
        for operation in self._operations:
            if isinstance(operation, (InputRounding, Rounding)):
                self._check_format(operation)
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
            self._output_address = free
            compiled = COMPILER.of(operation)(self, operation, steps, addresses)
            for values in compiled.descriptors:
                self._words += self._layout.pack(self.common(steps) | {"output_address": free} | values, operation.name)
            places |= dict.fromkeys(steps.names, free)
            free += int(np.prod(operation.output_shape))
            last = operation
        return self._program(first, last, compiled, free + self._margin)

    def _program(self, first: InputRounding, last: Operation, compiled: Compiled, values: int) -> Program:
        """last: what ends the network, and what it was compiled to."""
        if values > 1 << ADDRESS_BITS:
            raise HardwareError(f"the network keeps {values} values, the accelerator addresses {1 << ADDRESS_BITS}")
        if compiled.result_groups is None:
            raise HardwareError(f"operation {last.name!r} ends the network: the accelerator ends with sums")
        count, rows = compiled.result_groups
        of_group = last.output_shape[0] // count
        sizes = [min(rows, of_group - start) for start in range(0, of_group, rows)]
        return Program(
            words=pack(self._words, WORD_BITS),
            weights=self._memories.weights,
            biases=self._memories.biases,
            values=values,
            input_rounding=first,
            result_channels=tuple(sizes * count),
            result_blocks=self.result_blocks(compiled.descriptors, int(np.prod(last.output_shape[1:]))),
        )

    @COMPILER.register(Convolution, Linear)
    def _layer(self, layer: Layer, steps: OutputSteps, addresses: Sequence[int]) -> Compiled:
        shift = {"shift": self._sum_shift(layer, steps)}
        self._check_sums(layer)
        pieces = [shift | piece for piece in self.layer_pieces(layer, *addresses)]
        return Compiled(pieces, (layer.groups, self._row))

    @COMPILER.register(Addition)
    def _addition(self, addition: Addition, steps: OutputSteps, addresses: Sequence[int]) -> Compiled:
        shift = {"shift": self._sum_shift(addition, steps)}
        self._check_factors(addition)
        pieces = [shift | piece for piece in self.addition_pieces(addition, *addresses)]
        return Compiled(pieces, (1, self._lanes))

    @COMPILER.register(MaxPool)
    def _maximum(self, pool: MaxPool, steps: OutputSteps, addresses: Sequence[int]) -> Compiled:
        _check_pools_values(pool, steps, accumulators=False)
        opcode = self._opcodes.maximum
        own = {"operation": opcode.code, "gap": 0, **NO_AVERAGE}
        return Compiled([own | self.pooling_piece(pool, pooling_windows(pool), opcode, addresses[0])])

    @COMPILER.register(AveragePool)
    def _averaged(self, pool: AveragePool, steps: OutputSteps, addresses: Sequence[int]) -> Compiled:
        _check_pools_values(pool, steps, accumulators=pool.number_format is None)
        opcode, w = self._opcodes.average, pooling_windows(pool)
        gap = max(0, self._lanes - (self._design.accumulate_cycles * (w.window - 1) + 1))
        own = {"operation": opcode.code, "gap": gap, **self._average(pool, w)}
        return Compiled([own | self.pooling_piece(pool, w, opcode, addresses[0])])

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

    def _check_format(self, rounding: Rounding | InputRounding) -> None:
        """Raise HardwareError if values are rounded to a format that the datapath's outputs do not have."""
        if not self._design.rounds_to(rounding.number_format):
            raise HardwareError(
                f"operation {rounding.name!r} rounds to {rounding.number_format.name}, which the outputs of "
                f"{self._design.name} are not: give the layer that takes it a precision of the datapath"
            )

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
        made = self._design.multiplier_made
        if self._design.dropped_product_bits or not made.is_exact:
            what = "truncated products" if made.is_exact else f"products of multiplier {made.name}"
            raise HardwareError(f"layer {addition.name!r} adds two tensors: a datapath with {what} does not")

    def _check_products(self, layer: Layer) -> None:
        """Raise HardwareError unless the layer's products are the multiplier's."""
        made = self._design.multiplier_made
        table, own = made.table(self._design.precision), layer.products
        is_made_so = own is None or own.is_exact if table is None else own is not None and own.tables == (table,)
        if not is_made_so:
            what = "exact products" if own is None else f"products of {own.name}"
            raise HardwareError(
                f"layer {layer.name!r} has {what}, the datapath the multiplier {made.name}: give both the same, by "
                "lower(..., products=hardware.multipliers.product_table(multiplier, precision))"
            )

    def _check_sums(self, layer: Layer) -> None:
        design = self._design
        formats = (layer.weight_format, layer.input_format)
        mode = Precision(*formats)
        if mode not in design.modes or layer.scale_bits:
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
        self._check_products(layer)
        if not design.in_mode(mode).takes(layer.synapses):
            raise HardwareError(
                f"layer {layer.name!r} sums {layer.synapses} products: this datapath's accumulator takes "
                f"{self._design.maximum_synapses}; generate one with a larger maximum_synapses"
            )
        if layer.worst_case_accumulator_bits > self._design.accumulator_bits:
            raise HardwareError(
                f"layer {layer.name!r} needs {layer.worst_case_accumulator_bits} bits for its sums and bias: this "
                f"datapath has {self._design.accumulator_bits}; generate one with a larger maximum_synapses"
            )

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
