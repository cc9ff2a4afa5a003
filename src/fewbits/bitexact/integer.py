"""Execute integer operations one by one on any device, exactly at every width.

Integers below 2**53 are float64 tensors, wider accumulators limbs; what takes those whole, pooling and reshaping
behind the last layer, takes Python integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fewbits.bitexact.accumulator import magnitude
from fewbits.bitexact.layer_arithmetic import FLOAT64_EXACT, LayerArithmetic
from fewbits.bitexact.table_products import TableArithmetic
from fewbits.bitexact.tables import INTEGER
from fewbits.bitexact.truncated_products import TruncatedArithmetic
from fewbits.bitexact.wide import WideIntegers, as_objects, split_weight
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
    Linear,
    MaxPool,
    ObjectArray,
    Operation,
    Pooling,
    ReLU,
    Rounding,
)

Value = Tensor | WideIntegers | ObjectArray
"""Integers: float64 below 2**53, limbs, or Python integers (after the last layer)."""

Step = Callable[..., Value]
"""Computes an operation's result from its sources."""


class IntegerExecutor:
    """Executes an integer network's operations one by one."""

    batch_size = 128
    """Images at a time, if their memory allows."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        """Prepare what computes each operation."""
        self._operations = operations
        self._steps = [INTEGER.of(operation)(operation) for operation in operations]

    def values(self, images: Tensor) -> dict[str, Value]:
        """Every operation's result for a batch of images, by name. Raises FormatError if an image holds NaN."""
        results: dict[str, Value] = {self._operations[0].inputs[0]: images}
        for operation, step in zip(self._operations, self._steps, strict=True):
            results[operation.name] = step(*(results[name] for name in operation.inputs))
        return {operation.name: results[operation.name] for operation in self._operations}

    def logits(self, images: Tensor) -> Value:
        """The last operation's result. Raises FormatError if an image holds NaN."""
        return self.values(images)[self._operations[-1].name]


@INTEGER.register(Convolution, Linear)
def _layer(layer: Layer) -> Step:
    if layer.tables is not None:
        return TableArithmetic(layer, layer.tables).run
    return TruncatedArithmetic(layer).run if layer.dropped_product_bits else LayerArithmetic(layer).run


def _without_state(compute: Callable[..., Value]) -> Callable[[Operation], Step]:
    """An entry for what needs nothing but the operation and its sources."""
    return lambda operation: partial(compute, operation)


@INTEGER.register(InputRounding)
@_without_state
def _images(operation: InputRounding, images: Tensor) -> Tensor:
    """Images to the first layer's input format: float64 integers. Raises FormatError for NaN."""
    if bool(torch.isnan(images).any()):
        raise FormatError("the images hold NaN, which has no code: normalize them without dividing by zero")
    return nearest_integers(images.to(torch.float64) * 2.0**operation.fraction_bits, operation.number_format)


def nearest_integers(numbers: Tensor, number_format: Format) -> Tensor:
    """Nearest integers of a format, ties to the even code, saturating; float64."""
    return number_format.reference_quantize(numbers, float(number_format.largest))


@INTEGER.register(Addition)
@_without_state
def _sum(operation: Addition, first: Tensor, second: Tensor) -> Value:
    """Codes moved left to the finer radix point, then added; float64, or limbs if sums may reach 2**53."""
    if operation.accumulator_bits <= FLOAT64_EXACT.bit_length() - 1:
        return first * 2.0 ** operation.shifts[0] + second * 2.0 ** operation.shifts[1]
    moved = [
        as_objects(codes.cpu().numpy()) * 2**shift
        for codes, shift in zip((first, second), operation.shifts, strict=True)
    ]
    limbs = [torch.from_numpy(limb).to(first.device, torch.int64) for limb in split_weight(moved[0] + moved[1])]
    return WideIntegers.from_sums(limbs, operation.accumulator_bits)


@INTEGER.register(Concatenation)
@_without_state
def _joined(operation: Concatenation, *parts: Tensor) -> Tensor:
    return torch.cat(parts, dim=operation.axis + 1)


@INTEGER.register(ReLU)
@_without_state
def _relu(_: ReLU, source: Value) -> Value:
    if isinstance(source, Tensor):
        return source.clamp(min=0)
    return source.relu() if isinstance(source, WideIntegers) else np.maximum(source, 0)


@INTEGER.register(Rounding)
@_without_state
def _round(operation: Rounding, source: Tensor | WideIntegers) -> Tensor:
    """Scale to the new radix point, exactly, then round."""
    numbers = source.rounded_to_odd() if isinstance(source, WideIntegers) else source
    return nearest_integers(numbers * 2.0**-operation.shift, operation.number_format)


@INTEGER.register(Flatten)
@_without_state
def _flattened(operation: Flatten, source: Value) -> Value:
    whole = _whole(source)
    return whole.reshape(len(whole), *operation.output_shape)


@INTEGER.register(MaxPool)
@_without_state
def _greatest(operation: MaxPool, source: Value) -> Value:
    source = _whole(source)
    return maximum(source, operation) if isinstance(source, Tensor) else _windowed(source, operation, np.max)


@INTEGER.register(AveragePool)
@_without_state
def _averaged(operation: AveragePool, source: Any) -> Value:
    """Codes are averaged; accumulators are summed."""
    if operation.number_format is None:
        return _sum_windows(_whole(source), operation)
    return _average(source, operation, operation.number_format)


def _whole(source: Value) -> Tensor | ObjectArray:
    """Python integers instead of limbs."""
    return source.to_objects() if isinstance(source, WideIntegers) else source


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


def _average(source: Tensor, operation: AveragePool, number_format: Format) -> Tensor:
    """Exact sums, then the nearest integer of the format to their quotients.

    While sums stay below 2**51, a float64 quotient lies on the same side of every tie as the exact one: the two
    differ by a share of 2**-53, while sum / divisor and a tie (a multiple of 1/2) differ by 1 / (2 * divisor) or more.
    """
    if magnitude(number_format.integer_limits) * math.prod(operation.kernel) >= 2**51:
        return _average_of_fractions(source, operation, number_format)
    sums = window_sums(source, operation)
    divisors = torch.from_numpy(operation.divisors).to(sums.device, torch.float64)
    return nearest_integers(sums / divisors, number_format)


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
