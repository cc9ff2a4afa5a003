"""What one processing element sees while the array computes a layer: from the bit-exact network, cycle by cycle.

A weight stays for all positions of a fold, while inputs pass and partial sums come from above: other sequences than a
neuron's, whose weights change every cycle. The element is drawn at random, and so is the cycle at which a stretch
begins; folds follow each other in the schedule's order. While weights move, and while the last inputs pass the array,
the inputs of a row stay as they were.

Cycles that count are those in which the element takes an input of its own, as a schedule's busy cycles do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.activity.kernels import BLOCK_CYCLES
from fewbits.hardware.activity.toggles import Stimulus
from fewbits.hardware.dataflow.diannao.operands import (
    LayerOperands,
    code_bits,
    counted_words,
    layer_operands,
    stream_words,
)
from fewbits.hardware.dataflow.diannao.windows import layer_windows
from fewbits.hardware.dataflow.systolic.folds import Block, Folds, folds
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.element_arithmetic import column_bits, product_stages

if TYPE_CHECKING:
    from fewbits.bitexact import BitExactNetwork
    from fewbits.graph.operations import Layer
    from fewbits.hardware.datapath.neuron_design import NeuronDesign


@dataclass(frozen=True, eq=False)
class ElementStream:
    """What an element's ports are given, one entry a cycle."""

    load: NDArray[np.bool_]
    weight: NDArray[np.int64]
    """Code at the port, from above."""

    value: NDArray[np.int64]
    """Code of an input."""

    above: NDArray[np.int64]
    """Partial sum."""

    busy: NDArray[np.bool_]
    """Whether the input is one of a position."""


@dataclass(frozen=True, eq=False)
class _Column:
    """What comes to the array, for one column of it: a row for each cycle."""

    load: NDArray[np.bool_]
    weights: NDArray[np.int64]
    """What the rows' registers hold: (cycles, rows)."""

    top: NDArray[np.int64]
    """At the array's upper edge."""

    inputs: NDArray[np.int64]
    """At its left edge, before they are skewed: (cycles, rows)."""

    busy: NDArray[np.bool_]


def element_stream(
    operands: LayerOperands,
    loops: Folds,
    design: NeuronDesign,
    image: int,
    place: tuple[int, int],
    cycles: int,
    generator: np.random.Generator,
) -> ElementStream:
    """So many cycles of the element at `place` (row, column) at work on one image, from a random cycle on.

    operands: with as many synapses in a chunk as the array has rows.
    """
    row, column = place
    history = loops.array.rows + loops.array.columns + product_stages(design) + 1
    seen = _column(operands, loops, image, column, history + cycles, generator)
    late = np.arange(len(seen.load))
    inputs = np.stack([seen.inputs[np.maximum(late - above - column, 0), above] for above in range(row + 1)], axis=1)
    products = design.integer_products(seen.weights[:, : row + 1], inputs)
    total = np.zeros(len(seen.load), np.int64)
    for above in range(row):
        total += products[np.maximum(late - product_stages(design) - (row - above), 0), above]
    weight = seen.top if row == 0 else seen.weights[:, row - 1]
    taken = slice(history, history + cycles)
    return ElementStream(
        load=seen.load[taken],
        weight=weight[taken],
        value=inputs[taken, row],
        above=total[taken],
        busy=seen.busy[np.maximum(late - row - column, 0)][taken],
    )


def _column(
    operands: LayerOperands, loops: Folds, image: int, column: int, cycles: int, generator: np.random.Generator
) -> _Column:
    """So many cycles from a random one of the layer on; behind its last fold comes its first."""
    rows, blocks = loops.array.rows, loops.blocks
    lengths = np.array([rows + block.positions + loops.gap(block) for block in blocks]) * loops.count
    block = int(generator.choice(len(blocks), p=lengths / lengths.sum()))
    fold = block * loops.count + int(generator.integers(loops.count))
    length = lengths[block] // loops.count
    start = int(generator.integers(length))
    before, parts, found = _fold(operands, loops, image, column, fold - 1), [], -start
    while found < cycles:
        parts.append(_fold(operands, loops, image, column, fold))
        found += len(parts[-1][1])
        fold += 1
    held = before[0], before[1][-1]
    load: list[NDArray[np.bool_]] = []
    busy: list[NDArray[np.bool_]] = []
    weights: list[NDArray[np.int64]] = []
    inputs: list[NDArray[np.int64]] = []
    top: list[NDArray[np.int64]] = []
    for stationary, streamed, positions in parts:
        count = len(streamed)
        moving = np.concatenate([stationary[::-1], np.repeat(stationary[:1], count - rows)])
        registers = np.empty((count, rows), np.int64)
        for cycle in range(rows):  # rows that came so far are above those that still go out
            registers[cycle] = np.concatenate([stationary[rows - cycle :], held[0][: rows - cycle]])
        registers[rows:] = stationary
        filled = streamed.copy()
        filled[:rows] = held[1]
        order = np.arange(count)
        load.append(order < rows)
        busy.append((order >= rows) & (order < rows + positions))
        weights.append(registers)
        inputs.append(filled)
        top.append(moving)
        held = stationary, streamed[-1]
    taken = slice(start, start + cycles)
    return _Column(
        load=np.concatenate(load)[taken],
        weights=np.concatenate(weights)[taken],
        top=np.concatenate(top)[taken],
        inputs=np.concatenate(inputs)[taken],
        busy=np.concatenate(busy)[taken],
    )


def _fold(
    operands: LayerOperands, loops: Folds, image: int, column: int, number: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """A column's weights (rows), the rows of inputs of its cycles (cycles, rows), and its positions.

    number: of the fold, over all blocks; inputs stay as they were while weights move, and behind the last position.
    """
    number %= len(loops.blocks) * loops.count
    block_number, rest = divmod(number, loops.count)
    group, rest = divmod(rest, loops.column_folds * loops.row_folds)
    column_fold, chunk = divmod(rest, loops.row_folds)
    block = loops.blocks[block_number]
    within = column_fold * loops.array.columns + column
    idle = len(operands.weights) - 1
    channel = group * operands.channels_per_group + within if within < operands.channels_per_group else idle
    taps = operands.taps[group, _positions(block, loops.outputs[1]), chunk]
    codes = np.where(taps >= 0, operands.inputs[image][np.maximum(taps, 0)], 0)
    head = np.repeat(codes[:1], loops.array.rows, axis=0)
    tail = np.repeat(codes[-1:], loops.gap(block), axis=0)
    return operands.weights[channel, chunk], np.concatenate([head, codes, tail]), block.positions


def _positions(block: Block, width: int) -> NDArray[np.int64]:
    """A block's positions in the plane of the result."""
    rows = np.arange(block.first_row, block.first_row + block.rows)
    columns = np.arange(block.first_column, block.first_column + block.columns)
    return (rows[:, None] * width + columns).ravel()


def operand_stream(
    network: BitExactNetwork,
    layer: Layer,
    values: object,
    design: NeuronDesign,
    accelerator: Systolic,
    ports: dict[str, tuple[str, NDArray[np.int64]]],
    images: int,
    generator: np.random.Generator,
    blocks: int,
) -> Stimulus:
    """A stretch of a layer for each image, one after the other, as `base.OperandStream` has it.

    ports: of the element's netlist. Each stretch is of an element of its own.
    """
    array, precision = accelerator, design.precision
    operands = layer_operands(network, layer, values, replace(design, synapses=array.rows))
    w = layer_windows(layer)
    loops = folds(layer.groups, operands.channels_per_group, layer.synapses, w.outputs, array)
    cycles, sum_bits = blocks * BLOCK_CYCLES, column_bits(design, array.rows)
    words: list[NDArray[np.uint64]] = []
    counted: list[NDArray[np.uint64]] = []
    nets = np.zeros(0, np.int64)
    for image in range(images):
        place = int(generator.integers(array.rows)), int(generator.integers(array.columns))
        taken = element_stream(operands, loops, design, image, place, cycles, generator)
        bits = {
            "load": taken.load[:, None].astype(np.uint8),
            "weight": code_bits(taken.weight[:, None], precision.weights.bits),
            "value": code_bits(taken.value[:, None], precision.inputs.bits),
            "above": code_bits(taken.above[:, None], len(ports["above"][1]) if "above" in ports else sum_bits),
        }
        nets, own = stream_words(ports, bits)
        words.append(own)
        counted.append(counted_words(taken.busy & (np.arange(cycles) > product_stages(design))))
    return Stimulus(nets, np.concatenate(words), np.concatenate(counted), np.repeat(np.arange(images), blocks))
