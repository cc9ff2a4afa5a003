"""Sums that a layer's piece starts from: what the chunks before it give, bit for bit as the neuron computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.datapath.vectors import flushed

if TYPE_CHECKING:
    from fewbits.hardware.datapath.neuron_design import NeuronDesign


def partial_sums(
    weights: NDArray[np.int64], inputs: NDArray[np.int64], bias_bits: NDArray[np.uint8], design: NeuronDesign
) -> NDArray[np.uint8]:
    """Bits of accumulators after some chunks, lowest first: (outputs, accumulator bits).

    weights, inputs: codes, (outputs, chunks, synapses). bias_bits: what each starts from, shaped as the result.
    """
    places = np.arange(design.accumulator_bits)
    if design.is_float:
        codes = (bias_bits.astype(np.uint64) << places.astype(np.uint64)).sum(axis=1).astype(np.uint32)
        totals = _float_sums(weights, inputs, codes.view(np.float32), design).view(np.uint32)
        return (totals[:, None] >> places.astype(np.uint32) & 1).astype(np.uint8)
    numbers = [sum(int(bit) << place for place, bit in enumerate(row)) for row in bias_bits]
    added = _integer_sums(weights, inputs, design)
    mask = (1 << design.accumulator_bits) - 1
    totals = [(start + more) & mask for start, more in zip(numbers, added, strict=True)]
    return np.array([[total >> place & 1 for place in places.tolist()] for total in totals], np.uint8)


def _integer_sums(weights: NDArray[np.int64], inputs: NDArray[np.int64], design: NeuronDesign) -> list[int]:
    """The sum of each output's products, cut where the design cuts them."""
    import torch

    w = design.precision.weights.to_integers(torch.tensor(weights)).numpy()
    x = design.precision.inputs.to_integers(torch.tensor(inputs)).numpy()
    if design.accumulator_bits > 63:  # beyond int64: Python's integers
        w, x = w.astype(object), x.astype(object)
    products = w * x >> design.dropped_product_bits
    return [int(total) for total in products.reshape(len(products), -1).sum(axis=1)]


def _float_sums(
    weights: NDArray[np.int64], inputs: NDArray[np.int64], starts: NDArray[np.float32], design: NeuronDesign
) -> NDArray[np.float32]:
    """In the order of the adder tree and the accumulator (docs/architecture.md, "Arithmetic")."""
    import torch

    w = design.precision.weights.decode(torch.tensor(weights)).numpy().astype(np.float32)
    x = design.precision.inputs.decode(torch.tensor(inputs)).numpy().astype(np.float32)
    sums = flushed(flushed(w) * flushed(x))
    while sums.shape[2] > 1:
        sums = flushed(sums[:, :, 0::2] + sums[:, :, 1::2])
    totals = starts
    for chunk in range(sums.shape[1]):
        totals = flushed(totals + sums[:, chunk, 0])
    return totals
