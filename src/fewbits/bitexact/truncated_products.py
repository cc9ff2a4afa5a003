"""Layers whose products are cut to their top bits, floor(weight * input / 2**dropped), summed in 64-bit integers."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from fewbits.bitexact.accumulator import magnitude, weight_range
from fewbits.bitexact.layer_arithmetic import FLOAT64_EXACT, integer_bias
from fewbits.bitexact.wide import WideIntegers
from fewbits.compiled import compiled
from fewbits.graph.gather import gather_of
from fewbits.graph.operations import Layer


@compiled  # pragma: no cover (runs as machine code)
def truncated_layer(padded, taps, positions, weight, bias, dropped, out):
    """Accumulators of a layer.

    padded: N x elements, int64; taps, positions: see `Gather`; weight: outputs x synapses, int64; bias: outputs; out:
    N x outputs x positions. A shift of a negative number to the right rounds towards minus infinity.
    """
    per_group = len(weight) // len(taps)
    for image in range(len(padded)):
        for output in range(len(weight)):
            group_taps = taps[output // per_group]
            for index in range(len(positions)):
                total = bias[output]
                for synapse in range(len(group_taps)):
                    value = padded[image, group_taps[synapse] + positions[index]]
                    total += (weight[output, synapse] * value) >> dropped
                out[image, output, index] = total


class TruncatedArithmetic:
    """One layer with truncated products; executes on the CPU."""

    def __init__(self, layer: Layer) -> None:
        """layer: with an accumulator of at most LARGEST_SUM_BITS bits (see `layer_settings`)."""
        self._layer = layer
        self._gather = gather_of(layer)
        self._weight = layer.weight.integers.reshape(len(layer.weight), -1).astype(np.int64)
        bias = integer_bias(layer)
        self._bias = np.array(bias if bias is not None else (0,) * len(layer.weight), dtype=np.int64)
        limits = layer.input_format.integer_limits
        self._is_wide = (
            magnitude(weight_range(layer.weight.integers, limits, bias, layer.dropped_product_bits)) >= FLOAT64_EXACT
        )

    def run(self, values: Tensor) -> Tensor | WideIntegers:
        """Accumulators of a batch of inputs (float64 integers): float64, or limbs where they may reach 2**53."""
        widths = ((0, 0), *self._gather.padding)
        source = values.cpu().numpy().astype(np.int64)
        padded = np.pad(source, widths, constant_values=self._gather.padding_value) if _any(widths) else source
        flat = np.ascontiguousarray(padded).reshape(len(source), math.prod(padded.shape[1:]))
        out = np.empty((len(source), len(self._weight), len(self._gather.positions)), dtype=np.int64)
        truncated_layer(
            flat,
            self._gather.taps,
            self._gather.positions,
            self._weight,
            self._bias,
            self._layer.dropped_product_bits,
            out,
        )
        sums = torch.from_numpy(out.reshape(len(source), *self._layer.output_shape)).to(values.device)
        return WideIntegers.from_sums([sums], self._layer.accumulator_bits) if self._is_wide else sums.double()


def _any(widths: tuple[tuple[int, int], ...]) -> bool:
    return any(width for along in widths for width in along)
