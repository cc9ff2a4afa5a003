"""Execute integer operations one by one on any device, exactly at every width.

Integers below 2**53 are float64 tensors, wider accumulators limbs. Products are summed by matrix multiplication in the
fastest type in which no partial sum, in whatever order, can be rounded: float32 below 2**24, float64 below 2**53,
limbs of both operands in float64 otherwise. Fast convolution algorithms (Winograd, Fourier) are not exact, so
convolutions are unfolded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fewbits.bitexact.accumulator import magnitude, weight_range
from fewbits.bitexact.wide import LIMB_BITS, WideIntegers, as_objects, split_values, split_weight
from fewbits.errors import FormatError
from fewbits.formats import Format
from fewbits.graph.operations import (
    Addition,
    AveragePool,
    Concatenation,
    Convolution,
    Flatten,
    InputRounding,
    Layer,
    MaxPool,
    ObjectArray,
    Operation,
    Pooling,
    ReLU,
    Rounding,
)

Value = Tensor | WideIntegers | ObjectArray
"""Integers: float64 below 2**53, limbs, or Python integers (after the last layer)."""

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
        if not isinstance(self.layer, Convolution):
            return values @ weight.T
        return convolve(values, weight, self.layer)


def convolve(values: Tensor, weight: Tensor, layer: Convolution) -> Tensor:
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


class SumsProducts(Protocol):
    """How one layer's products are summed."""

    def run(self, values: Tensor) -> Tensor | WideIntegers:
        """Accumulators of a batch of inputs: float64 below 2**53, else limbs."""
        ...


class IntegerExecutor:
    """Executes an integer network's operations one by one."""

    batch_size = 128
    """Images at a time, if their memory allows."""

    def __init__(
        self, operations: tuple[Operation, ...], arithmetic: Callable[[Layer], SumsProducts] = LayerArithmetic
    ) -> None:
        """arithmetic: what sums the products of a layer."""
        self._operations = operations
        self._arithmetic = {op.name: arithmetic(op) for op in operations if isinstance(op, Layer)}

    def values(self, images: Tensor) -> dict[str, Value]:
        """Every operation's result for a batch of images, by name. Raises FormatError if an image holds NaN."""
        results: dict[str, Value] = {}
        for operation in self._operations:
            is_first = isinstance(operation, InputRounding)
            value = self._execute(operation, [images] if is_first else [results[name] for name in operation.inputs])
            is_last = operation is self._operations[-1] or not self._is_rounded_later(operation)
            results[operation.name] = value.to_objects() if isinstance(value, WideIntegers) and is_last else value
        return results

    def logits(self, images: Tensor) -> Value:
        """The last operation's result. Raises FormatError if an image holds NaN."""
        return self.values(images)[self._operations[-1].name]

    def _is_rounded_later(self, operation: Operation) -> bool:
        """Whether the accumulators of a layer go to a rounding, perhaps through a ReLU; if not, they are the logits."""
        users = [user for user in self._operations if operation.name in user.inputs]
        return any(isinstance(u, Rounding) or (isinstance(u, ReLU) and self._is_rounded_later(u)) for u in users)

    def _execute(self, operation: Operation, sources: list[Value]) -> Value:
        if isinstance(operation, Layer):
            (source,) = sources
            assert isinstance(source, Tensor)
            return self._arithmetic[operation.name].run(source)
        return execute(operation, *sources)


def execute(operation: Operation, *sources: Value) -> Value:
    """The result of any operation but a layer. Raises FormatError if an image holds NaN."""
    source = sources[0]
    if isinstance(operation, Addition):
        return _sum(operation, *sources)
    if isinstance(operation, Concatenation):
        return torch.cat([part for part in sources if isinstance(part, Tensor)], dim=operation.axis + 1)
    if isinstance(operation, InputRounding):
        assert isinstance(source, Tensor)
        return round_images(source, operation)
    if isinstance(operation, ReLU):
        return _relu(source)
    if isinstance(operation, Rounding):
        return _round(source, operation)
    assert not isinstance(source, WideIntegers)
    if isinstance(operation, Flatten):
        return source.reshape(len(source), *operation.output_shape)
    assert isinstance(operation, (MaxPool, AveragePool))
    return _pool(source, operation)


def round_images(images: Tensor, operation: InputRounding) -> Tensor:
    """Images to the first layer's input format: float64 integers. Raises FormatError for NaN."""
    if bool(torch.isnan(images).any()):
        raise FormatError("the images hold NaN, which has no code: normalize them without dividing by zero")
    return nearest_integers(images.to(torch.float64) * 2.0**operation.fraction_bits, operation.number_format)


def nearest_integers(numbers: Tensor, number_format: Format) -> Tensor:
    """Nearest integers of a format, ties to the even code, saturating; float64."""
    return number_format.reference_quantize(numbers, float(number_format.largest))


def _sum(operation: Addition, first: Value, second: Value) -> Value:
    """Codes moved left to the finer radix point, then added; float64, or limbs if sums may reach 2**53."""
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    if operation.accumulator_bits <= FLOAT64_EXACT.bit_length() - 1:
        return first * 2.0 ** operation.shifts[0] + second * 2.0 ** operation.shifts[1]
    moved = [
        as_objects(codes.cpu().numpy()) * 2**shift
        for codes, shift in zip((first, second), operation.shifts, strict=True)
    ]
    limbs = [torch.from_numpy(limb).to(first.device, torch.int64) for limb in split_weight(moved[0] + moved[1])]
    return WideIntegers.from_sums(limbs, operation.accumulator_bits)


def _relu(source: Value) -> Value:
    if isinstance(source, Tensor):
        return source.clamp(min=0)
    return source.relu() if isinstance(source, WideIntegers) else np.maximum(source, 0)


def _round(source: Value, operation: Rounding) -> Tensor:
    """Scale to the new radix point, exactly, then round."""
    assert isinstance(source, (Tensor, WideIntegers))
    numbers = source.rounded_to_odd() if isinstance(source, WideIntegers) else source
    return nearest_integers(numbers * 2.0**-operation.shift, operation.number_format)


def _pool(source: Tensor | ObjectArray, operation: MaxPool | AveragePool) -> Tensor | ObjectArray:
    if isinstance(operation, MaxPool):
        return maximum(source, operation) if isinstance(source, Tensor) else _windowed(source, operation, np.max)
    if operation.number_format is not None:
        assert isinstance(source, Tensor)
        return _average(source, operation)
    return _sum_windows(source, operation)


def _sum_windows(source: Tensor | ObjectArray, operation: AveragePool) -> Tensor | ObjectArray:
    """Exact sums of accumulators, brought to the windows' common divisor; float64 below 2**53."""
    factors = operation.common_divisor // operation.divisors
    if isinstance(source, Tensor):
        largest = int(source.abs().max()) if source.numel() else 0
        if largest * math.prod(operation.kernel) * int(factors.max()) < FLOAT64_EXACT:
            return window_sums(source, operation) * torch.from_numpy(factors).to(source)
        source = as_objects(source.cpu().numpy())
    sums: ObjectArray = _windowed(source, operation, np.sum) * factors.astype(object)
    return sums


def maximum(source: Tensor, operation: MaxPool) -> Tensor:
    """The largest of each window; infinity below zero stands for padding."""
    settings = (operation.kernel, operation.stride, operation.padding, operation.dilation)
    pool = F.max_pool2d if len(operation.kernel) == 2 else F.max_pool1d
    return pool(source, *settings, ceil_mode=operation.ceil_mode)


def _average(source: Tensor, operation: AveragePool) -> Tensor:
    """Exact sums, then the nearest integer of the format to their quotients.

    While sums stay below 2**51, a float64 quotient lies on the same side of every tie as the exact one: the two
    differ by a share of 2**-53, while sum / divisor and a tie (a multiple of 1/2) differ by 1 / (2 * divisor) or more.
    """
    assert operation.number_format is not None
    largest = magnitude(operation.number_format.integer_limits) * math.prod(operation.kernel)
    if largest >= 2**51:
        return _average_of_fractions(source, operation, operation.number_format)
    sums = window_sums(source, operation)
    divisors = torch.from_numpy(operation.divisors).to(sums.device, torch.float64)
    return nearest_integers(sums / divisors, operation.number_format)


def _average_of_fractions(source: Tensor, operation: AveragePool, number_format: Format) -> Tensor:
    """The same, for powers of two so large that sums leave float64."""
    values = as_objects(source.cpu().numpy())
    quotients: ObjectArray = _windowed(values, operation, np.sum) * Fraction(1) / operation.divisors.astype(object)
    nearest = np.array([float(number_format.nearest(quotient)) for quotient in quotients.flat])
    return torch.from_numpy(nearest.reshape(quotients.shape)).to(source.device)


def window_sums(source: Tensor, operation: AveragePool) -> Tensor:
    """Sums of windows in float64; a divisor of 1 makes torch's average a sum."""
    if len(operation.kernel) == 2:
        kernel, stride, padding, values = operation.kernel, operation.stride, operation.padding, source
    else:
        kernel, stride, padding = (1, *operation.kernel), (1, *operation.stride), (0, *operation.padding)
        values = source.unsqueeze(2)
    sums = F.avg_pool2d(values, kernel, stride, padding, ceil_mode=operation.ceil_mode, divisor_override=1)
    return sums.view(len(source), *operation.output_shape)


def _windowed(values: ObjectArray, operation: Pooling, reduce: Any) -> ObjectArray:
    """Reduce each window of Python integers to one."""
    shape = (len(values), *operation.output_shape)
    result: ObjectArray = np.empty(shape, dtype=object)
    windows = operation.windows
    for position in np.ndindex(*operation.output_shape[1:]):
        part: Any = values
        for axis, (index, along) in enumerate(zip(position, windows, strict=True)):
            part = np.take(part, list(along[int(index)]), axis=axis + 2)
        result[(slice(None), slice(None), *position)] = reduce(part, axis=tuple(range(2, values.ndim)))
    return result


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
