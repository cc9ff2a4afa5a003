"""Sums that a layer's piece starts from: what the chunks before it give, bit for bit as the neuron computes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.vectors import flushed
from fewbits.hardware.process.datapath_key import Accumulation


def partial_sums(
    weights: NDArray[np.int64], inputs: NDArray[np.int64], bias_bits: NDArray[np.uint8], design: Datapath
) -> NDArray[np.uint8]:
    """Bits of accumulators after some chunks, lowest first: (outputs, accumulator bits).

    weights, inputs: codes, (outputs, chunks, synapses). bias_bits: what each starts from, shaped as the result.
    """
    places = range(design.accumulator_bits)
    starts = [design.accumulator_number(sum(int(bit) << place for place, bit in enumerate(row))) for row in bias_bits]
    totals = [design.accumulator_code(total) for total in _SUMS[design.accumulation](weights, inputs, starts, design)]
    return np.array([[total >> place & 1 for place in places] for total in totals], np.uint8)


def _integer_sums(
    weights: NDArray[np.int64], inputs: NDArray[np.int64], starts: list[int | float], design: Datapath
) -> list[int | float]:
    """Each output's products, as the design makes them, added to what it starts from."""
    products = design.integer_products(weights, inputs)
    added = products.reshape(len(products), -1).sum(axis=1).tolist()
    return [start + total for start, total in zip(starts, added, strict=True)]


def _float_sums(
    weights: NDArray[np.int64], inputs: NDArray[np.int64], starts: list[int | float], design: Datapath
) -> list[int | float]:
    """In the order of the adder tree and the accumulator (docs/architecture.md, "Arithmetic")."""
    import torch

    w = design.precision.weights.decode(torch.tensor(weights)).numpy().astype(np.float32)
    x = design.precision.inputs.decode(torch.tensor(inputs)).numpy().astype(np.float32)
    sums = flushed(flushed(w) * flushed(x))
    while sums.shape[2] > 1:
        sums = flushed(sums[:, :, 0::2] + sums[:, :, 1::2])
    totals = np.array(starts, np.float32)
    for chunk in range(sums.shape[1]):
        totals = flushed(totals + sums[:, chunk, 0])
    return totals.tolist()


_SUMS: Mapping[
    Accumulation,
    Callable[[NDArray[np.int64], NDArray[np.int64], list[int | float], Datapath], list[int | float]],
] = {"integer": _integer_sums, "float32": _float_sums}
