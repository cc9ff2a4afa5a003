"""Sums of products of one layer on any device, exactly at every width.

Products are summed by matrix multiplication in the fastest type in which no partial sum, in whatever order, can be
rounded: float32 below 2**24, float64 below 2**53, limbs of both operands in float64 otherwise. Fast convolution
algorithms (Winograd, Fourier) are not exact, so convolutions are unfolded.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fewbits.bitexact.accumulator import magnitude, weight_range
from fewbits.bitexact.wide import LIMB_BITS, WideIntegers, split_values, split_weight
from fewbits.graph.operations import Layer

FLOAT32_EXACT = 2**24
FLOAT64_EXACT = 2**53
"""Every integer up to this magnitude is a value of the type (IEEE 754: precision p holds all up to 2**p)."""


_UNFOLDED_ELEMENTS = 2**22
"""Operands that are unfolded at a time, so that memory does not grow with the batch."""


class LayerArithmetic:
    """How one layer's products are summed exactly; holds its weights in the types that this takes."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.range = weight_range(layer.weight.integers, layer.input_format.integer_limits, integer_bias(layer))
        self.bound = magnitude(self.range)
        self._weights: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    @cached_property
    def is_wide(self) -> bool:
        """Whether sums may reach 2**53."""
        return self.bound >= FLOAT64_EXACT

    def run(self, values: Tensor) -> Tensor | WideIntegers:
        """Accumulators of a batch of inputs: float64, or limbs if the layer is wide."""
        if self.is_wide:
            return self._run_wide(values)
        dtype = torch.float32 if self.bound < FLOAT32_EXACT else torch.float64
        sums = self._products(values.to(dtype), self._weight(dtype, values.device)).to(torch.float64)
        if self.layer.bias is not None:
            sums += _per_output(torch.tensor(self.layer.bias, dtype=torch.float64, device=sums.device), sums)
        return sums

    def _run_wide(self, values: Tensor) -> WideIntegers:
        """Sum the products of limbs in float64, those of equal weight in int64, then carry."""
        low, high = self.layer.input_format.integer_limits
        input_limbs = max(1, -(-(max(high, -low - 1).bit_length() + 1) // LIMB_BITS))
        value_limbs = split_values(values, input_limbs)
        sums: list[Tensor] = []
        for i, weight in enumerate(self._limbs):
            on_device = torch.from_numpy(weight).to(values.device)
            for j, part in enumerate(value_limbs):
                _add_at(sums, i + j, self._products(part, on_device).to(torch.int64))
        for i, limb in enumerate(self._bias_limbs):
            _add_at(sums, i, _per_output(limb.to(values.device), sums[0]).expand_as(sums[0]))
        return WideIntegers.from_sums(sums, self.layer.accumulator_bits)

    @cached_property
    def _limbs(self) -> list[NDArray[np.float64]]:
        limbs = split_weight(self.layer.weight.integers)
        for limb in limbs:
            largest = magnitude(weight_range(limb.astype(np.int64), (1 - 2**LIMB_BITS, 2**LIMB_BITS - 1), None))
            assert largest < FLOAT64_EXACT, "more than 2**22 synapses"
        return limbs

    @cached_property
    def _bias_limbs(self) -> list[Tensor]:
        if self.layer.bias is None:
            return []
        return [
            torch.from_numpy(limb).to(torch.int64) for limb in split_weight(np.array(self.layer.bias, dtype=object))
        ]

    def _weight(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        if (dtype, device) not in self._weights:
            self._weights[dtype, device] = torch.from_numpy(self.layer.weight.integers.astype(np.float64)).to(
                device, dtype
            )
        return self._weights[dtype, device]

    def _products(self, values: Tensor, weight: Tensor) -> Tensor:
        """Sums of products for every output, in the type of the operands."""
        return convolve(values, weight, self.layer) if self.layer.dimensions else values @ weight.T


def convolve(values: Tensor, weight: Tensor, layer: Layer) -> Tensor:
    """A convolution as unfolding and matrix products: every result is a sum of products and nothing else.

    values: N, channels, length or height and width; weight: of the layer's shape, in the same type.
    """
    if values.ndim == 3:
        values, weight = values.unsqueeze(2), weight.unsqueeze(2)
        stride, dilation, padding = (1, *layer.stride), (1, *layer.dilation), ((0, 0), *layer.padding)
    else:
        stride, dilation, padding = layer.stride, layer.dilation, layer.padding
    values = F.pad(values, [width for along in reversed(padding) for width in along], value=layer.padding_value)
    rows = weight.reshape(layer.groups, len(weight) // layer.groups, -1)
    sums = values.new_empty((len(values), layer.groups, rows.shape[1], math.prod(layer.output_shape[1:])))
    images = max(1, _UNFOLDED_ELEMENTS // (layer.groups * rows.shape[2] * sums.shape[3]))
    for start in range(0, len(values), images):
        columns = F.unfold(values[start : start + images], tuple(weight.shape[2:]), dilation=dilation, stride=stride)
        columns = columns.view(len(columns), layer.groups, rows.shape[2], sums.shape[3])
        torch.matmul(rows, columns, out=sums[start : start + images])
    return sums.view(len(values), *layer.output_shape)


def integer_bias(layer: Layer) -> tuple[int, ...] | None:
    """The bias of a layer of an integer precision."""
    return None if layer.bias is None else tuple(int(value) for value in layer.bias)


def _per_output(values: Tensor, like: Tensor) -> Tensor:
    """One value for each output (dimension 1) in a shape that can be added to `like`."""
    return values.view(1, -1, *(1,) * (like.ndim - 2))


def _add_at(sums: list[Tensor], index: int, values: Tensor) -> None:
    """Add to entry `index`, growing the list."""
    while len(sums) <= index:
        sums.append(torch.zeros_like(sums[0] if sums else values))
    sums[index] = sums[index] + values
