"""Sums of products of one layer on the CPU in the fastest arithmetic that is exact."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fewbits.bitexact.accumulator import Range, magnitude, weight_range
from fewbits.bitexact.fused_kernels import round_wide, split
from fewbits.bitexact.layer_arithmetic import FLOAT32_EXACT, FLOAT64_EXACT, convolve, integer_bias
from fewbits.bitexact.table_products import TableSums, range_of_sums
from fewbits.bitexact.wide import LIMB_BITS, split_weight
from fewbits.graph.gather import gather_of
from fewbits.graph.kernels import gather
from fewbits.graph.operations import Layer, Rounding

_FLOAT32_ELEMENTS = 2**18
"""Accumulators that are computed at a time: what follows then finds them in the cache."""


def layer_sums(layer: Layer, inputs: Range) -> LayerSums | None:
    """The arithmetic of a layer whose input codes lie in a range; None if there is no fast one."""
    if layer.tables is not None:
        is_wide = magnitude(range_of_sums(layer, layer.tables)) >= FLOAT64_EXACT
        return None if is_wide else TableSums(layer, layer.tables)
    bound = magnitude(weight_range(layer.weight.integers, inputs, integer_bias(layer)))
    if bound < FLOAT32_EXACT:
        sums = Float32Sums(layer)
        if sums.agrees(inputs):
            return sums
    return Float64Sums(layer) if bound < FLOAT64_EXACT else WideSums(layer)


class Float32Sums:
    """Below 2**24: torch's own float32 convolution or matrix product, which only multiplies and adds."""

    dtype = torch.float32

    def __init__(self, layer: Layer) -> None:
        """Weights and bias in float32."""
        self._layer = layer
        self._weight = torch.from_numpy(layer.weight.integers.astype(np.float32))
        self._bias = None if layer.bias is None else torch.tensor(layer.bias, dtype=torch.float32)
        self.map_shape = _map_shape(layer)
        """Height and width of one output's positions."""
        self.images_at_once = max(1, _FLOAT32_ELEMENTS // (len(layer.weight) * math.prod(self.map_shape)))
        """Images for which `maps` is best called."""

    def maps(self, codes: Tensor) -> Tensor:
        """Accumulators: float32, N x outputs x height x width."""
        values = codes.to(torch.float32)
        sums = self._products(values).contiguous()  # torch follows the layout of the weights, perhaps channels last
        return sums.reshape(len(codes), len(self._weight), *self.map_shape)

    def agrees(self, inputs: Range) -> bool:
        """Whether torch's convolution on this machine is exact: on one image of random codes, all digits are right.

        A fast algorithm (Winograd, Fourier) would show at once, as its factors are no integers.
        """
        if not self._layer.dimensions:
            return True
        generator = torch.Generator().manual_seed(0)
        shape = (1, *self._layer.input_shape)
        codes = torch.randint(inputs[0], inputs[1] + 1, shape, generator=generator).to(torch.float32)
        exact = convolve(codes.double(), self._weight.double(), self._layer)
        if self._bias is not None:
            exact += self._bias.double().view(-1, *(1,) * (exact.ndim - 2))
        return torch.equal(self._products(codes).double(), exact)

    def _products(self, values: Tensor) -> Tensor:
        layer = self._layer
        if not layer.dimensions:
            return F.linear(values, self._weight, self._bias)
        padding = [before for before, _ in layer.padding]
        if layer.padding_value or any(before != after for before, after in layer.padding):
            widths = [width for along in reversed(layer.padding) for width in along]
            values = F.pad(values, widths, value=layer.padding_value)
            padding = [0] * len(padding)
        convolution = F.conv2d if len(padding) == 2 else F.conv1d
        return convolution(values, self._weight, self._bias, layer.stride, padding, layer.dilation, layer.groups)


class Float64Sums:
    """Below 2**53: operands gathered as columns, one matrix product for each group of outputs.

    The bias is one more weight, whose operand is 1.
    """

    dtype = torch.float64

    def __init__(self, layer: Layer) -> None:
        """Weights and bias in float64."""
        self._columns = _Columns(layer, ones=1)
        weight = np.zeros((len(layer.weight), layer.synapses + 1))
        weight[:, :-1] = layer.weight.integers.reshape(len(weight), -1)
        weight[:, -1] = 0 if layer.bias is None else layer.bias
        self._weight = torch.from_numpy(weight).view(self._columns.groups, -1, layer.synapses + 1)
        self._sums = _Memory()
        self.map_shape = _map_shape(layer)
        self.images_at_once = max(1, _COLUMN_ELEMENTS // (layer.synapses * math.prod(self.map_shape)))

    def maps(self, codes: Tensor) -> Tensor:
        """Accumulators: float64, outputs x N x height x width; overwritten by the next call."""
        columns = self._columns.fill(codes)
        groups, outputs, _ = self._weight.shape
        sums = self._sums.take(groups, outputs, columns.shape[-1])
        for group in range(groups):
            torch.mm(self._weight[group], columns[group], out=sums[group])
        return sums.view(groups * outputs, len(codes), *self.map_shape)


class WideSums:
    """At any width: products of 16-bit limbs of weights and codes, summed in float64, then carried."""

    dtype = torch.float64

    def __init__(self, layer: Layer) -> None:
        """Limbs of weights and bias."""
        low, high = layer.input_format.integer_limits
        self._code_limbs = -(-(max(high, -low - 1).bit_length() + 1) // LIMB_BITS)
        weights = split_weight(layer.weight.integers)
        self._limbs = len(weights) + self._code_limbs - 1
        bias = split_weight(np.array(layer.bias or (0,) * len(layer.weight), dtype=object))
        self._limbs = max(self._limbs, len(bias))
        self._bias = np.zeros((self._limbs, len(layer.weight)), dtype=np.int64)
        self._bias[: len(bias)] = np.array(bias)
        self._columns = _Columns(layer)
        groups = self._columns.groups
        self._weights = [torch.from_numpy(limb).reshape(groups, -1, layer.synapses) for limb in weights]
        self._sums, self._low, self._rounded = _Memory(), _Memory(), _Memory()
        self.map_shape = _map_shape(layer)
        self.images_at_once = max(1, _COLUMN_ELEMENTS // (layer.synapses * math.prod(self.map_shape)))

    def rounded_maps(self, codes: Tensor, rounding: Rounding, has_relu: bool) -> Tensor:
        """Codes after ReLU and rounding: float64, outputs x N x height x width; overwritten by the next call.

        rounding: of a shift of at least 1.
        """
        columns = self._columns.fill(codes)
        groups, outputs, _ = self._weights[0].shape
        sums = self._sums.take(self._limbs, groups, outputs, columns.shape[-1]).zero_()
        for index in range(self._code_limbs):
            part = columns
            if index + 1 < self._code_limbs:
                part = self._low.take(*columns.shape)
                split(columns.view(-1).numpy(), part.view(-1).numpy())
            for offset, weight in enumerate(self._weights):
                for group in range(groups):
                    sums[index + offset, group].addmm_(weight[group], part[group])
        rounded = self._rounded.take(groups * outputs, columns.shape[-1])
        limits = rounding.number_format.integer_limits
        flat_sums = sums.view(self._limbs, groups * outputs, -1).numpy()
        round_wide(flat_sums, self._bias, rounding.shift, has_relu, *limits, rounded.numpy())
        return rounded.view(groups * outputs, len(codes), *self.map_shape)


LayerSums = Float32Sums | Float64Sums | WideSums | TableSums

_COLUMN_ELEMENTS = 2**18
"""Operands that are gathered for one matrix product: 2 MiB, enough to be efficient, few enough to stay in cache."""


class _Memory:
    """float64 memory that is used again and again, grown when more is asked for."""

    def __init__(self) -> None:
        self._values = torch.empty(0, dtype=torch.float64)

    def take(self, *shape: int) -> Tensor:
        """The memory in a shape, with whatever is in it."""
        elements = math.prod(shape)
        if self._values.numel() < elements:
            self._values = torch.empty(elements, dtype=torch.float64)
        return self._values[:elements].view(shape)


class _Columns:
    """Operands of a layer's synapses as columns of a matrix for each group of outputs."""

    def __init__(self, layer: Layer, ones: int = 0) -> None:
        """ones: rows of 1 below the operands."""
        self._gather = gather_of(layer)
        self._map_shape = _map_shape(layer)
        self.groups, self._synapses = self._gather.taps.shape
        self._ones = ones
        self._memory = _Memory()

    def fill(self, codes: Tensor) -> Tensor:
        """Groups x synapses (and ones) x (images x positions), float64; overwritten by the next call."""
        padding = [width for along in reversed(self._gather.padding) for width in along]
        padded = F.pad(codes, padding, value=self._gather.padding_value) if any(padding) else codes
        flat = padded.contiguous().view(len(codes), -1).numpy()
        height, width = self._map_shape
        positions = self._gather.positions
        step = int(positions[1] - positions[0]) if width > 1 else 1
        columns = self._memory.take(self.groups, self._synapses + self._ones, len(codes), height, width)
        for group in range(self.groups):
            gather(flat, self._gather.taps[group], positions[::width], step, columns[group].numpy())
        columns[:, self._synapses :] = 1
        return columns.view(self.groups, self._synapses + self._ones, -1)


def _map_shape(layer: Layer) -> tuple[int, int]:
    """Height and width of one output's positions."""
    height, width = (1, 1, *layer.output_shape[1:])[-2:]
    return height, width
