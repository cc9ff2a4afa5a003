"""From a bit-exact network to the program of DianNao's tile and the images of its memories; see `network_compiler`."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from fewbits.bitexact import Addition, BitExactNetwork, Layer, Pooling
from fewbits.errors import HardwareError
from fewbits.formats import Precision
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.latency import pipeline, pooling_lanes
from fewbits.hardware.dataflow.diannao.memory_images import MemoryImages
from fewbits.hardware.dataflow.diannao.opcodes import Opcode
from fewbits.hardware.dataflow.diannao.operands import check_sum_order
from fewbits.hardware.dataflow.diannao.output_steps import OutputSteps
from fewbits.hardware.dataflow.diannao.ports import check_two_ports
from fewbits.hardware.dataflow.diannao.program import lane_places, layout
from fewbits.hardware.dataflow.diannao.tiling import Tiling, ceil_div
from fewbits.hardware.dataflow.diannao.windows import (
    Windows,
    addition_windows,
    advance_fields,
    lane_fields,
    layer_windows,
    output_fields,
    position_fields,
    slice_fields,
)
from fewbits.hardware.dataflow.network_compiler import NO_AVERAGE, NetworkCompiler, Program
from fewbits.hardware.datapath.composable import SPLIT
from fewbits.hardware.datapath.neuron_design import NeuronDesign

LAYER_SETTINGS = (SPLIT,)
"""Pins of neurons that hold for the products of a layer; the others hold for its results."""

_SPILL = {"spills": 1, "is_last": 0, "group_step": 1, "tail_step": 1}
"""Of a piece that hands out partial sums: a row of memory for each position of each group of neurons, in turn."""


def compile_network(network: BitExactNetwork, design: NeuronDesign, accelerator: Accelerator) -> Program:
    """The program of a network on an accelerator.

    Raises HardwareError, naming the layer, for what this accelerator does not compute or cannot hold.
    """
    if network.precision not in design.modes:
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
    return _TileCompiler(network, design.in_mode(design.modes[0]), accelerator).compile()


class _TileCompiler(NetworkCompiler):
    def __init__(self, network: BitExactNetwork, design: NeuronDesign, accelerator: Accelerator) -> None:
        memories = MemoryImages(design, accelerator.neurons, accelerator.synapses)
        lanes = pooling_lanes(accelerator)
        super().__init__(network, design, layout(design, accelerator), memories, accelerator.neurons, lanes)
        self._accelerator = accelerator
        self._pipeline = pipeline(design, accelerator)

    def common(self, steps: OutputSteps) -> dict[str, int]:
        """Sums neither come from memory nor go there."""
        rounding = steps.rounding
        output = None if rounding is None else rounding.number_format
        settings = self._design.settings_for(output)
        return {
            "relu": int(steps.relu),
            "is_last": int(steps.is_last),
            "shift": 0,
            "spills": 0,
            "resumes": 0,
            **settings,
        }

    def layer_pieces(self, layer: Layer, address: int) -> list[dict[str, int]]:
        """The pieces of a convolution or a linear layer; its weights and biases are added to the memories."""
        w, groups = layer_windows(layer), layer.groups
        mode = self._design.in_mode(Precision(layer.weight_format, layer.input_format))
        split = replace(self._accelerator, synapses=mode.products_per_cycle)
        pieces = self._tiling(w, groups, len(layer.weight) // groups, layer.synapses, split.synapses).pieces(
            split, pipeline(mode, split).widths
        )
        bias_row = self._memories.bias_rows
        self._memories.add_biases(layer, groups)
        partial_row = self._memories.bias_rows
        if len(pieces) > 1:
            self._memories.add_partial_sums(pieces[0].output_rows)
        own = {name: mode.settings[name] for name in mode.settings if name in LAYER_SETTINGS}
        descriptors = [self._piece(layer, w, piece, address, mode) | own | {"bias_row": bias_row} for piece in pieces]
        for before, after in pairwise(descriptors):
            before |= _SPILL | {"output_address": partial_row}
            after |= {"bias_row": partial_row, "resumes": 1}
        return descriptors

    def _tiling(self, w: Windows, groups: int, of_group: int, synapses: int, lanes: int) -> Tiling:
        """The loops of what the neurons compute. of_group: outputs in a group of the convolution. lanes: of a chunk."""
        return Tiling(
            groups=groups,
            neuron_groups=ceil_div(of_group, self._accelerator.neurons),
            positions=w.positions,
            chunks=ceil_div(synapses, lanes),
            interleaved=self._pipeline.accumulate_cycles,
            buffer_rows=self._accelerator.buffer_rows,
        )

    def _piece(self, layer: Layer, w: Windows, piece: Tiling, address: int, mode: NeuronDesign) -> dict[str, int]:
        """A piece of a layer's chunks, which may be all; its weights are added to the memories. mode: the layer's."""
        lanes, neurons = mode.products_per_cycle, self._accelerator.neurons
        first = piece.first_chunk * lanes
        tail_neurons = len(layer.weight) // piece.groups - (piece.neuron_groups - 1) * neurons
        values = {
            **self._loops(piece),
            "input_step": layer.synapses // w.window * w.plane,
            "tail": min(lanes, layer.synapses - first - (piece.chunks - 1) * lanes),
            **output_fields(w.positions, neurons, tail_neurons),
            **position_fields(w, address),
            **advance_fields(w, lanes),
            **self._idle_lanes(),
            **lane_fields(w, lanes, first),
        }
        self._memories.add_weights(layer, piece, mode)
        return values

    def addition_pieces(self, addition: Addition, first: int, second: int) -> list[dict[str, int]]:
        """The neurons add a channel each: a chunk of each operand, by weights of powers of two.

        Slices of channels are the groups of a convolution. Lanes and neurons beyond the last channel have weights of
        zero; what they read, and write behind the result, is what no one reads before it is written.
        """
        w = addition_windows(addition.output_shape)
        lanes, synapses = self._lanes, self._accelerator.synapses
        slices = -(-w.channels // lanes)
        used = min(lanes, w.channels)
        values = {
            **self._loops(self._tiling(w, slices, lanes, 2 * synapses, synapses)),
            "input_step": lanes * w.plane,
            "tail": used,
            **output_fields(w.positions, used, used),
            **position_fields(w, first),
            **advance_fields(w, synapses),
            **self._idle_lanes(),
            **lane_fields(w, synapses),
            "advance": second - first,
        }
        self._margin = max(self._margin, synapses * w.plane)
        self._memories.add_diagonals([1 << shift for shift in addition.shifts], slices)
        return [values]

    def _idle_lanes(self) -> dict[str, int]:
        """The places of address lanes, before those in use have theirs."""
        return dict.fromkeys(
            (field.name for field in lane_places(self._design.address_lanes(self._accelerator.synapses))), 0
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
            **NO_AVERAGE,
        }

    def pooling_piece(self, pool: Pooling, w: Windows, opcode: Opcode, address: int) -> dict[str, int]:
        """Where windows are summed in the neurons, by weights of one, these are added to the memories."""
        slices = ceil_div(w.channels, self._lanes)
        interval = self._design.accumulate_cycles if opcode.divides else 1
        values = {
            "interval": interval - 1,
            "chunks": w.window - 1,
            "neuron_groups": slices - 1,
            "convolution_groups": 0,
            "block_groups": 0,
            "block_positions": 0,
            "bin_resident": 0,
            "sb_resident": int(w.window <= self._accelerator.buffer_rows),
            "weight_row": self._memories.weight_rows,
            "bias_row": self._memories.bias_rows,
            **slice_fields(w, address, self._lanes, self._design.address_lanes(self._accelerator.synapses)),
        }
        if opcode.takes_weights:
            self._memories.add_diagonals([1] * w.window, slices)
        return values
