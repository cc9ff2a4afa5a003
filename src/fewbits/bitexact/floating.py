"""Execute a float network's operations one by one, each sum in the order that it is given (`SumOrder`)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewbits.bitexact.float_kernels import float_average, float_layer, float_maximum
from fewbits.bitexact.gather import gather_of
from fewbits.bitexact.sum_order import DEFAULT, SumOrder
from fewbits.bitexact.tables import FLOAT
from fewbits.bitexact.window_tables import window_tables
from fewbits.errors import FormatError, ModelError
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
    Operation,
    Pooling,
    ReLU,
    Rounding,
)

FloatArray = NDArray[np.float32]


Step = Callable[..., FloatArray]
"""Computes an operation's result from its sources."""


class FloatExecutor:
    """Executes a float network; on the CPU, wherever the images are."""

    batch_size = 128
    """Images at a time, if their memory allows."""

    def __init__(self, operations: tuple[Operation, ...], order: SumOrder = DEFAULT) -> None:
        """Prepare what computes each operation. order: of the sums."""
        self._operations = operations
        self._steps = [FLOAT.of(operation)(operation, order) for operation in operations]

    def values(self, images: Tensor) -> dict[str, Tensor]:
        """Every operation's result (float32) for a batch of images, by name.

        Raises FormatError if an image holds NaN, ModelError if a result is infinite, naming the layer.
        """
        results: dict[str, Any] = {self._operations[0].inputs[0]: images}
        for operation, step in zip(self._operations, self._steps, strict=True):
            results[operation.name] = step(*(results[name] for name in operation.inputs))
        return {each.name: torch.from_numpy(results[each.name]).to(images.device) for each in self._operations}

    def logits(self, images: Tensor) -> Tensor:
        """The last operation's result; see `values`."""
        return self.values(images)[self._operations[-1].name]


def _without_order(compute: Callable[..., FloatArray]) -> Callable[[Operation, SumOrder], Step]:
    """An entry for what needs nothing but the operation and its sources."""
    return lambda operation, _: partial(compute, operation)


def checked(compute: Callable[..., FloatArray]) -> Callable[..., FloatArray]:
    """The same, with a ModelError, naming the operation, where a result is infinite."""

    def finite(operation: Operation, *sources: Any) -> FloatArray:
        result = compute(operation, *sources)
        if not np.isfinite(result).all():
            raise ModelError(
                f"layer {operation.name!r}: a result is infinite or no number in float32; scale the weights or images "
                "down"
            )
        return result

    return finite


class _FloatLayer:
    """One layer's weights, subnormal ones flushed, and where it finds its operands."""

    def __init__(self, layer: Layer, order: SumOrder) -> None:
        self._layer = layer
        self._order = order
        self._gather = gather_of(layer)
        outputs = len(layer.weight)
        weight = np.zeros((outputs, order.padded(layer.synapses)), dtype=np.float32)
        weight[:, : layer.synapses] = layer.weight.numbers.reshape(outputs, -1)
        self._weight = _flushed(weight)
        bias = np.zeros(outputs) if layer.bias is None else np.array(layer.bias)
        self._bias = _flushed(bias.astype(np.float32))

    def run(self, values: FloatArray) -> FloatArray:
        """Accumulators of a batch."""
        padded = values
        if any(width for along in self._gather.padding for width in along):
            padded = np.pad(values, ((0, 0), *self._gather.padding))
        flat = np.ascontiguousarray(padded).reshape(len(values), math.prod(padded.shape[1:]))
        result = np.empty((len(values), len(self._weight), len(self._gather.positions)), dtype=np.float32)
        products = self._order.products
        float_layer(flat, self._gather.taps, self._gather.positions, self._weight, self._bias, products, result)
        return result.reshape(len(values), *self._layer.output_shape)


@FLOAT.register(Convolution, Linear)
def _layer(layer: Layer, order: SumOrder) -> Step:
    return partial(checked(_products), layer, _FloatLayer(layer, order))


def _products(_: Layer, prepared: _FloatLayer, values: FloatArray) -> FloatArray:
    return prepared.run(values)


@FLOAT.register(InputRounding)
@_without_order
@checked
def _images(operation: InputRounding, images: Tensor) -> FloatArray:
    """Images to numbers of the first layer's input format. Raises FormatError for NaN."""
    if bool(torch.isnan(images).any()):
        raise FormatError("the images hold NaN, which has no code: normalize them without dividing by zero")
    numbers = images.cpu().to(torch.float64).numpy() * 2.0**operation.fraction_bits
    return nearest_numbers(numbers, operation.number_format)


@FLOAT.register(Rounding)
@_without_order
@checked
def _rounded(operation: Rounding, accumulators: FloatArray) -> FloatArray:
    """Accumulators to numbers of the next layer's format, without its radix point; none to change for float32."""
    if operation.number_format.name == "float32" and operation.shift == 0:
        return accumulators
    values = operation.number_format.quantize(torch.from_numpy(accumulators), -operation.shift)
    return values.mul_(2.0**-operation.shift).numpy()


@FLOAT.register(ReLU)
@_without_order
def _relu(_: ReLU, source: FloatArray) -> FloatArray:
    return np.where(source > 0, source, np.float32(0))


@FLOAT.register(Flatten)
@_without_order
def _flattened(operation: Flatten, source: FloatArray) -> FloatArray:
    return source.reshape(len(source), *operation.output_shape)


@FLOAT.register(Concatenation)
@_without_order
def _joined(operation: Concatenation, *parts: FloatArray) -> FloatArray:
    return np.concatenate(parts, axis=operation.axis + 1)


@FLOAT.register(Addition)
@_without_order
@checked
def _sum(operation: Addition, first: FloatArray, second: FloatArray) -> FloatArray:
    """Both operands scaled to the finer radix point, added in float32."""
    scales = [np.float32(2.0**shift) for shift in operation.shifts]
    with np.errstate(over="ignore"):  # `checked` names the operation
        return _flushed(_flushed(first * scales[0]) + _flushed(second * scales[1]))


@FLOAT.register(MaxPool)
@_without_order
@checked
def _greatest(operation: MaxPool, source: FloatArray) -> FloatArray:
    rows, columns = window_tables(operation)
    maps = _maps(source, operation)
    out = np.empty((len(maps), len(rows), len(columns)), dtype=np.float32)
    float_maximum(maps, rows, columns, out)
    return out.reshape(len(source), *operation.output_shape)


@FLOAT.register(AveragePool)
@_without_order
@checked
def _averaged(operation: AveragePool, source: FloatArray) -> FloatArray:
    rows, columns = window_tables(operation)
    maps = _maps(source, operation)
    out = np.empty((len(maps), len(rows), len(columns)), dtype=np.float32)
    divisors = operation.divisors.astype(np.float32).reshape(len(rows), len(columns))
    float_average(maps, rows, columns, divisors, out)
    if operation.number_format is not None:
        out = nearest_numbers(out.astype(np.float64), operation.number_format)
    return out.reshape(len(source), *operation.output_shape)


def _maps(source: FloatArray, operation: Pooling) -> FloatArray:
    """All channels of all images, in two dimensions; one dimension is a map of one row."""
    shape = (len(source) * operation.output_shape[0], *operation.input_shape[1:])
    return source.reshape(shape if len(shape) == 3 else (shape[0], 1, shape[1]))


def nearest_numbers(numbers: NDArray[np.float64], number_format: Format) -> FloatArray:
    """Nearest numbers of a format that float32 holds."""
    rounded = number_format.reference_quantize(torch.from_numpy(numbers), float(number_format.largest))
    return rounded.to(torch.float32).numpy()


def _flushed(values: FloatArray) -> FloatArray:
    """Subnormal numbers to zeros of their sign."""
    return np.where(np.abs(values) < np.float32(2.0**-126), np.copysign(np.float32(0), values), values)
