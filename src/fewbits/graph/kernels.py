"""Compiled loops that gather operands of a layer, and add up products that tables give."""

from __future__ import annotations

import numpy as np

from fewbits.compiled import compiled


@compiled  # pragma: no cover (runs as machine code)
def to_columns_of_tables(numbers, low, out):
    """Out = number - low: the column of an input's number in tables whose columns are in the order of the numbers.

    numbers: flat, integers in any type, from `low` to `low` + 255; out: flat, uint8.
    """
    for index in range(numbers.size):
        out[index] = np.uint8(np.int64(numbers[index]) - low)


@compiled  # pragma: no cover (runs as machine code)
def add_products(columns, rows, tables, bias, moves, sums, out):
    """Out = sum over synapses of tables[row of the weight, column of the input] * 2**move + bias, for all outputs.

    columns: synapses x positions, uint8; rows: outputs x synapses; tables: rows x columns; bias, moves: outputs, int64;
    sums: positions, of a type that no sum leaves; out: outputs x positions, of a type that holds every result.
    """
    synapses, positions = columns.shape
    paired = synapses - synapses % 2
    for output in range(len(rows)):
        for position in range(positions):
            sums[position] = 0
        for synapse in range(0, paired, 2):
            first, second = tables[rows[output, synapse]], tables[rows[output, synapse + 1]]
            ours, theirs = columns[synapse], columns[synapse + 1]
            for position in range(positions):
                sums[position] += first[ours[position]] + second[theirs[position]]
        if paired < synapses:
            last, ours = tables[rows[output, paired]], columns[paired]
            for position in range(positions):
                sums[position] += last[ours[position]]
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
