"""Float layers in a given order of sums (`SumOrder`): compiled loops over many outputs at once.

Compiled without fast-math, so that every product and sum is rounded to float32 where it is written.
"""

from __future__ import annotations

import numpy as np

from fewbits.compiled import compiled, inlined

_UNROLLED = 16
"""Products of the tree that is written out, so that its sums stay in registers; other trees are loops."""

_LANES = 64
"""Outputs computed together: a multiple of every vector width, and few enough that their operands stay in cache."""

_SMALLEST_NORMAL = np.float32(2.0**-126)
_ZERO = np.float32(0)


@inlined  # pragma: no cover (runs as machine code)
def _flush(x):
    """A subnormal number becomes a zero of its sign."""
    return x if abs(x) >= _SMALLEST_NORMAL else x * _ZERO


@inlined  # pragma: no cover (runs as machine code)
def _add(a, b):
    return _flush(a + b)


@inlined  # pragma: no cover (runs as machine code)
def _times(a, b):
    return _flush(a * b)


@compiled  # pragma: no cover (runs as machine code)
def float_layer(padded, taps, positions, weight, bias, products, out):
    """Accumulators of a layer.

    padded: N x elements, float32; taps, positions: see `Gather`; weight: outputs x synapses, the synapses filled up to
    whole trees; bias: outputs; products: of a tree (see `SumOrder`); out: N x outputs x positions.
    """
    count = len(positions)
    total = len(padded) * count
    groups, synapses = taps.shape
    per_group = len(weight) // groups
    operands = np.zeros((weight.shape[1], _LANES), np.float32)
    accumulators = np.empty(_LANES, np.float32)
    tree = np.empty((products, _LANES), np.float32)
    flat = padded.reshape(-1)
    bases = np.zeros(_LANES, np.int64)
    targets = np.zeros(_LANES, np.int64)
    results = out.reshape(-1)
    for start in range(0, total, _LANES):
        lanes = min(_LANES, total - start)
        for lane in range(lanes):
            image, position = divmod(start + lane, count)
            bases[lane] = image * padded.shape[1] + positions[position]
            targets[lane] = image * len(weight) * count + position
        for group in range(groups):
            for synapse in range(synapses):
                for lane in range(_LANES):
                    operands[synapse, lane] = _flush(flat[bases[lane] + taps[group, synapse]])
            for output in range(group * per_group, (group + 1) * per_group):
                if products == _UNROLLED:
                    _add_unrolled(operands, weight[output], bias[output], accumulators)
                else:
                    _add_trees(operands, weight[output], bias[output], tree, accumulators)
                for lane in range(lanes):
                    results[targets[lane] + output * count] = accumulators[lane]


@compiled  # pragma: no cover (runs as machine code)
def _add_trees(operands, weight, bias, tree, accumulators):
    """Add tree after tree of products to the accumulators, which start at the bias.

    tree: memory, a row for each product of one.
    In what fills the last tree both operands are +0, and so is their product.
    """
    for lane in range(_LANES):
        accumulators[lane] = bias
    products = len(tree)
    for first in range(0, len(weight), products):
        for product in range(products):
            w = weight[first + product]
            for lane in range(_LANES):
                tree[product, lane] = _times(w, operands[first + product, lane])
        width = products // 2
        while width:
            for pair in range(width):
                for lane in range(_LANES):
                    tree[pair, lane] = _add(tree[2 * pair, lane], tree[2 * pair + 1, lane])
            width //= 2
        for lane in range(_LANES):
            accumulators[lane] = _add(accumulators[lane], tree[0, lane])


@compiled  # pragma: no cover (runs as machine code)
def _add_unrolled(operands, weight, bias, accumulators):
    """The same for trees of 16 products."""
    for lane in range(_LANES):
        accumulators[lane] = bias
    for first in range(0, len(weight), _UNROLLED):
        x, w = operands[first : first + _UNROLLED], weight[first : first + _UNROLLED]
        for lane in range(_LANES):
            a = _add(_times(w[0], x[0, lane]), _times(w[1], x[1, lane]))
            b = _add(_times(w[2], x[2, lane]), _times(w[3], x[3, lane]))
            c = _add(_times(w[4], x[4, lane]), _times(w[5], x[5, lane]))
            d = _add(_times(w[6], x[6, lane]), _times(w[7], x[7, lane]))
            low = _add(_add(a, b), _add(c, d))
            a = _add(_times(w[8], x[8, lane]), _times(w[9], x[9, lane]))
            b = _add(_times(w[10], x[10, lane]), _times(w[11], x[11, lane]))
            c = _add(_times(w[12], x[12, lane]), _times(w[13], x[13, lane]))
            d = _add(_times(w[14], x[14, lane]), _times(w[15], x[15, lane]))
            high = _add(_add(a, b), _add(c, d))
            accumulators[lane] = _add(accumulators[lane], _add(low, high))


@compiled  # pragma: no cover (runs as machine code)
def float_maximum(x, rows, columns, out):
    """The first largest value of each window.

    x: maps x height x width; rows, columns: positions x elements of the window, -1 for padding; out: maps x positions.
    """
    for index in range(len(x)):
        for i in range(len(rows)):
            for j in range(len(columns)):
                best = np.float32(-np.inf)
                for row in rows[i]:
                    for column in columns[j]:
                        if row >= 0 and column >= 0 and x[index, row, column] > best:
                            best = x[index, row, column]
                out[index, i, j] = best


@compiled  # pragma: no cover (runs as machine code)
def float_average(x, rows, columns, divisors, out):
    """Sums of windows in row-major order, from +0, padding left out; divided by their divisors, all in float32.

    See `float_maximum`; divisors: float32, rows x columns of positions.
    """
    for index in range(len(x)):
        for i in range(len(rows)):
            for j in range(len(columns)):
                total = _ZERO
                for row in rows[i]:
                    for column in columns[j]:
                        if row >= 0 and column >= 0:
                            total = _add(total, _flush(x[index, row, column]))
                out[index, i, j] = _flush(total / divisors[i, j])
