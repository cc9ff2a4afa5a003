"""From a bit-exact network to the array's program and the images of its memories; see `network_compiler`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fewbits.bitexact import Addition, BitExactNetwork, Layer, Pooling
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.diannao.opcodes import Opcode
from fewbits.hardware.dataflow.diannao.output_steps import OutputSteps
from fewbits.hardware.dataflow.diannao.tiling import ceil_div
from fewbits.hardware.dataflow.diannao.windows import (
    Windows,
    addition_windows,
    advance_fields,
    lane_fields,
    layer_windows,
    position_fields,
    slice_fields,
)
from fewbits.hardware.dataflow.network_compiler import NO_AVERAGE, NetworkCompiler, Program
from fewbits.hardware.dataflow.systolic.folds import Block, Folds, folds
from fewbits.hardware.dataflow.systolic.latency import pooling_lanes
from fewbits.hardware.dataflow.systolic.memory_images import ArrayImages
from fewbits.hardware.dataflow.systolic.program import layout
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.neuron_design import NeuronDesign


def compile_network(network: BitExactNetwork, design: NeuronDesign, array: Systolic) -> Program:
    """The program of a network on an array.

    Raises HardwareError, naming the layer, for what this accelerator does not compute or cannot hold.
    """
    if network.precision != design.precision:
        raise HardwareError(f"a network of {network.precision.name} does not run on a {design.precision.name} datapath")
    return _ArrayCompiler(network, design, array).compile()


class _ArrayCompiler(NetworkCompiler):
    def __init__(self, network: BitExactNetwork, design: NeuronDesign, array: Systolic) -> None:
        column = replace(design, synapses=array.rows)  # whose sums a column adds
        memories = ArrayImages(column, array.columns, array.rows)
        super().__init__(network, design, layout(design, array), memories, array.columns, pooling_lanes(array))
        self._array, self._images = array, memories

    def common(self, steps: OutputSteps) -> dict[str, int]:
        """The last block alone ends the program."""
        return {"relu": int(steps.relu), "is_last": int(steps.is_last), "leaves": int(steps.is_last), "shift": 0}

    def result_blocks(self, descriptors: Sequence[Mapping[str, int]], positions: int) -> tuple[int, ...]:
        """Of each descriptor."""
        return tuple(descriptor["positions"] for descriptor in descriptors)

    def layer_pieces(self, layer: Layer, address: int) -> list[dict[str, int]]:
        """Blocks of positions, which all take the same weights."""
        w, of_group = layer_windows(layer), len(layer.weight) // layer.groups
        loops = folds(layer.groups, of_group, layer.synapses, w.outputs, self._array)
        fields = {
            **self._loops(loops),
            "input_step": layer.synapses // w.window * w.plane,
            "tail": layer.synapses - (loops.row_folds - 1) * self._array.rows,
            **advance_fields(w, self._array.rows),
            **lane_fields(w, self._array.rows),
        }
        self._images.add_folds(layer, loops)
        self._images.add_biases(layer, layer.groups)
        tail = of_group - (loops.column_folds - 1) * self._array.columns
        return self._blocks(fields, loops, w, address, tail)

    def addition_pieces(self, addition: Addition, first: int, second: int) -> list[dict[str, int]]:
        """A row fold for each operand, by weights of powers of two where row and column have one number.

        Slices of channels are the groups of a convolution. What rows beyond the last channel read, and columns write
        behind the result, is what no one reads before it is written.
        """
        w = addition_windows(addition.output_shape)
        slices, used = ceil_div(w.channels, self._lanes), min(self._lanes, w.channels)
        loops = folds(slices, used, 2 * self._array.rows, w.outputs, self._array)
        fields = {
            **self._loops(loops),
            "input_step": self._lanes * w.plane,
            "tail": used,
            **advance_fields(w, self._array.rows),
            **lane_fields(w, self._array.rows),
            "advance": second - first,
        }
        self._margin = max(self._margin, max(self._array.rows, self._array.columns) * w.plane)
        self._images.add_diagonals([1 << shift for shift in addition.shifts], slices)
        return self._blocks(fields, loops, w, first, used)

    def pooling_piece(self, pool: Pooling, w: Windows, opcode: Opcode, address: int) -> dict[str, int]:
        """A place of a window in each slot."""
        fields = slice_fields(w, address, self._lanes, self._array.rows)
        tail = fields.pop("tail_neurons")
        return {
            **fields,
            "row_folds": w.window - 1,
            "column_folds": ceil_div(w.channels, self._lanes) - 1,
            "convolution_groups": 0,
            "keeps_inputs": 0,
            "positions": w.positions,
            "tail_columns": tail,
            "weight_row": 0,
            "bias_row": 0,
        }

    def _loops(self, loops: Folds) -> dict[str, int]:
        """Loops of what the array computes, and where its weights and biases begin."""
        return {
            "operation": self._opcodes.weighted.code,
            "row_folds": loops.row_folds - 1,
            "column_folds": loops.column_folds - 1,
            "convolution_groups": loops.groups - 1,
            "weight_row": self._images.weight_rows,
            "bias_row": self._images.bias_rows,
            **NO_AVERAGE,
        }

    def _blocks(
        self, fields: Mapping[str, int], loops: Folds, w: Windows, address: int, tail: int
    ) -> list[dict[str, int]]:
        """A descriptor for each block of positions. tail: channels of the last column fold."""
        last = loops.blocks[-1]
        return [
            {**fields, **_block_fields(block, w, address), **self._block_outputs(block, loops, w, tail)}
            | ({} if block is last else {"is_last": 0})
            for block in loops.blocks
        ]

    def _block_outputs(self, block: Block, loops: Folds, w: Windows, tail: int) -> dict[str, int]:
        """The walk over a block's outputs, and how the array waits for them."""
        return {
            "gap": loops.gap(block),
            "keeps_inputs": int(loops.keeps_inputs(block)),
            "output_address": self._output_address + block.first_row * w.outputs[1] + block.first_column,
            "positions": block.positions,
            "plane": w.positions,
            "group_step": self._array.columns * w.positions - block.positions + 1,
            "tail_step": tail * w.positions - block.positions + 1,
            "tail_columns": tail,
        }


def _block_fields(block: Block, w: Windows, address: int) -> dict[str, int]:
    """The walk over a block's positions: that over all, from its first one on."""
    part = replace(w, outputs=(block.rows, block.columns))
    fields = position_fields(part, address)
    down, right = block.first_row * w.stride[0], block.first_column * w.stride[1]
    moved = {"first_row": down, "last_row": down, "first_column": right, "last_column": right}
    moved["input_address"] = down * w.size[1] + right
    return fields | {name: fields[name] + by for name, by in moved.items()}
