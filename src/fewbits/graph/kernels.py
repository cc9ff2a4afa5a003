"""Compiled loops that gather operands of a layer, and add up products that tables give."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from fewbits.compiled import compiled

LANES = 16
"""Outputs that are computed together: 64 bytes of int32, a cache line and the widest vector register."""

_FEWEST_LANES = 8
"""Fewer outputs than this are computed one by one: most lanes would be idle."""

_FEWEST_LOOK_UPS = 2
"""Look-ups for each entry of an interleaved table, from which on it pays to make one (benchmarks/product_tables.py)."""


@compiled  # pragma: no cover (runs as machine code)
def to_columns_of_tables(numbers, low, out):
    """Out = number - low: the column of an input's number in tables whose columns are in the order of the numbers.

    numbers: flat, integers in any type, from `low` to `low` + 255; out: flat, uint8.
    """
    for index in range(numbers.size):
        out[index] = np.uint8(np.int64(numbers[index]) - low)


@intrinsic
def _add_lanes(typing_context, sums, at, table, first, second):  # pragma: no cover (runs as machine code)
    """sums[at + k] += table[first + k] + table[second + k] for all lanes k, as vectors: numba's own loops over so few
    elements are not made such, as arrays might overlap.
    """

    def generate(context, builder, signature, arguments):
        element = context.get_data_type(signature.args[0].dtype)
        vector = ir.VectorType(element, LANES)
        size = context.get_abi_sizeof(element)

        def pointer(which, index):
            array = make_array(signature.args[which])(context, builder, arguments[which])
            return builder.bitcast(builder.gep(array.data, [index]), vector.as_pointer())

        def load(place):
            values = builder.load(place)
            values.align = size
            return values

        target = pointer(0, arguments[1])
        pair = builder.add(load(pointer(2, arguments[3])), load(pointer(2, arguments[4])))
        builder.store(builder.add(load(target), pair), target).align = size
        return context.get_dummy_value()

    return types.void(sums, at, table, first, second), generate


@compiled  # pragma: no cover (runs as machine code)
def _interleave(rows, synapse, tables, lowest, highest, interleaved):
    """The tables of two neighbouring synapses of LANES outputs, entry by entry; zeros where there are fewer.

    rows: at most LANES outputs x synapses; lowest, highest: columns that are looked up.
    """
    for half in range(2):
        for lane in range(LANES):
            is_there = lane < len(rows) and synapse + half < rows.shape[1]
            row = tables[rows[lane, synapse + half] if is_there else len(tables) - 1]
            at = half * tables.shape[1] * LANES + lane
            for column in range(lowest, highest + 1):
                interleaved[at + column * LANES] = row[column]


@compiled  # pragma: no cover (runs as machine code)
def _add_together(columns, rows, tables, lowest, highest, sums, interleaved):
    """Sums of LANES outputs at a time; sums: positions x LANES, flat."""
    synapses, positions = columns.shape
    sums[: positions * LANES] = 0
    for synapse in range(0, synapses, 2):
        _interleave(rows, synapse, tables, lowest, highest, interleaved)
        ours, theirs = columns[synapse], columns[min(synapse + 1, synapses - 1)]
        for position in range(positions):
            first = np.int64(ours[position]) * LANES
            second = (np.int64(theirs[position]) + tables.shape[1]) * LANES
            _add_lanes(sums, position * LANES, interleaved, first, second)


@compiled  # pragma: no cover (runs as machine code)
def _add_alone(columns, row, tables, sums):
    """Sums of one output; sums: positions."""
    synapses, positions = columns.shape
    sums[:positions] = 0
    for synapse in range(0, synapses - 1, 2):
        first, second = tables[row[synapse]], tables[row[synapse + 1]]
        ours, theirs = columns[synapse], columns[synapse + 1]
        for position in range(positions):
            sums[position] += first[ours[position]] + second[theirs[position]]
    if synapses % 2:
        last, ours = tables[row[synapses - 1]], columns[synapses - 1]
        for position in range(positions):
            sums[position] += last[ours[position]]


@compiled  # pragma: no cover (runs as machine code)
def add_products(columns, rows, tables, bias, moves, sums, interleaved, out):
    """Out = sum over synapses of tables[row of the weight, column of the input] * 2**move + bias, for all outputs.

    columns: synapses x positions, uint8; rows: outputs x synapses; tables: rows x columns, the last row zeros; bias,
    moves: outputs, int64; sums: positions x LANES, flat, interleaved: 2 x columns of the tables x LANES, flat, both of
    a type that no sum leaves; out: outputs x positions, of a type that holds every result.
    """
    outputs, positions = len(rows), columns.shape[1]
    lowest, highest = 255, 0
    for value in columns.flat:
        lowest, highest = min(lowest, value), max(highest, value)
    together = 0
    if positions >= _FEWEST_LOOK_UPS * (highest - lowest + 1):
        together = outputs if outputs % LANES >= _FEWEST_LANES else outputs - outputs % LANES
    for start in range(0, together, LANES):
        stop = min(start + LANES, together)
        _add_together(columns, rows[start:stop], tables, lowest, highest, sums, interleaved)
        for output in range(start, stop):
            for position in range(positions):
                total = np.int64(sums[position * LANES + output - start])
                out[output, position] = (total << moves[output]) + bias[output]
    for output in range(together, outputs):
        _add_alone(columns, rows[output], tables, sums)
        for position in range(positions):
            out[output, position] = (np.int64(sums[position]) << moves[output]) + bias[output]


@compiled  # pragma: no cover (runs as machine code)
def gather(flat, taps, rows, step, out):
    """Operands of every synapse at every position of every image.

    flat: N x elements; taps: synapses; rows: first position of each row of the output, `step` elements between the
    positions of a row (see `Gather`); out: synapses x N x rows x positions in a row, of any type.
    """
    width = out.shape[3]
    for synapse in range(len(taps)):
        for image in range(len(flat)):
            for row in range(len(rows)):
                start = taps[synapse] + rows[row]
                target = out[synapse, image, row]
                if step == 1:  # a copy, which the compiler vectorizes
                    source = flat[image, start : start + width]
                    for column in range(width):
                        target[column] = source[column]
                else:
                    for column in range(width):
                        target[column] = flat[image, start + column * step]
