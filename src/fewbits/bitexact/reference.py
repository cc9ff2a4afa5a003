"""The slow oracle: every operation from its definition, in Python integers (floats: numpy float32 scalars).

It shares nothing with the executors but the operations themselves: loops over outputs, windows and synapses, one
number at a time, so that it can be checked by eye.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    Operation,
    Pooling,
    ReLU,
    Rounding,
)

Numbers = NDArray[Any]
"""One image's values: Python integers, or numpy float32 scalars, in an object array."""

_NEURON_SYNAPSES = 16
"""Products that a neuron's adder tree takes at a time (docs/architecture.md)."""


def reference_values(operations: tuple[Operation, ...], image: Numbers) -> dict[str, Numbers]:
    """Every operation's result for one image, by name.

    image: float values in the shape of one image, without NaN.
    """
    is_float = any(isinstance(op, Layer) and op.input_format.family == "float" for op in operations)
    results: dict[str, Numbers] = {}
    for operation in operations:
        sources = [image] if isinstance(operation, InputRounding) else [results[name] for name in operation.inputs]
        results[operation.name] = _execute(operation, sources, is_float)
    return results


def _execute(operation: Operation, sources: list[Numbers], is_float: bool) -> Numbers:
    source = sources[0]
    if isinstance(operation, Addition):
        return _sum(operation, sources[0], sources[1], is_float)
    if isinstance(operation, Concatenation):
        return np.concatenate(sources, axis=operation.axis)
    if isinstance(operation, InputRounding):
        return _each(source, lambda value: _nearest(value, operation.fraction_bits, operation.number_format))
    if isinstance(operation, Rounding):
        return _each(source, lambda value: _nearest(value, -operation.shift, operation.number_format))
    if isinstance(operation, ReLU):
        return _each(source, lambda value: value if value > 0 else type(value)(0))
    if isinstance(operation, Flatten):
        return source.reshape(operation.output_shape)
    if isinstance(operation, Layer):
        return _layer(
            operation, source, _float_sum if is_float else partial(_integer_sum, operation.dropped_product_bits)
        )
    assert isinstance(operation, (MaxPool, AveragePool))
    return _pool(operation, source, is_float)


def _sum(operation: Addition, first: Numbers, second: Numbers, is_float: bool) -> Numbers:
    """Both operands moved to the finer radix point, then added; in float32 for floats."""
    result: Numbers = np.empty(operation.output_shape, dtype=object)
    for index in np.ndindex(*operation.output_shape):
        scaled = [
            value * 2**shift for value, shift in zip((first[index], second[index]), operation.shifts, strict=True)
        ]
        if is_float:
            scaled = [_flush(np.float32(value)) for value in scaled]
        result[index] = _flush(scaled[0] + scaled[1]) if is_float else scaled[0] + scaled[1]
    return result


def _nearest(value: Any, exponent: int, number_format: Format) -> Any:
    """Nearest number of a format to value * 2**exponent, as an integer; as float32 for a float format."""
    exact = Fraction(value if isinstance(value, int) else float(value)) * Fraction(2) ** exponent
    number = number_format.quantize_scalar(exact)
    return np.float32(float(number)) if number_format.family == "float" else int(number)


def _layer(layer: Layer, source: Numbers, add: Callable[[list[tuple[Any, Any]], Any], Any]) -> Numbers:
    """Sum the products of every output in the order input channel, kernel row, kernel column."""
    result: Numbers = np.empty(layer.output_shape, dtype=object)
    for index in np.ndindex(*layer.output_shape):
        bias = 0 if layer.bias is None else layer.bias[int(index[0])]
        result[index] = add(list(_operands(layer, source, index)), bias)
    return result


def _operands(layer: Layer, source: Numbers, index: tuple[int, ...]) -> Iterator[tuple[Any, Any]]:
    """Weight and input of each synapse of one output; what zero is rounded to where there is padding."""
    output, *position = index
    if not isinstance(layer, Convolution):
        yield from zip(layer.weight.numbers[output].tolist(), source.tolist(), strict=True)
        return
    channels, *kernel = layer.weight.shape[1:]
    weights = layer.weight.numbers.astype(object)
    padded = int(layer.input_format.quantize_scalar(Fraction(0)))
    first_channel = output // (len(layer.weight) // layer.groups) * channels
    for tap in itertools.product(range(channels), *map(range, kernel)):
        place = [
            at * stride - before + offset * dilation
            for at, stride, (before, _), offset, dilation in zip(
                position, layer.stride, layer.padding, tap[1:], layer.dilation, strict=True
            )
        ]
        inside = all(0 <= at < length for at, length in zip(place, source.shape[1:], strict=True))
        yield weights[(output, *tap)], source[(first_channel + tap[0], *place)] if inside else padded


def _integer_sum(dropped: int, operands: list[tuple[int, int]], bias: int) -> int:
    """Python's division of integers rounds towards minus infinity."""
    return sum(weight * value // 2**dropped for weight, value in operands) + bias


def _float_sum(operands: list[tuple[float, Any]], bias: float) -> np.float32:
    """The hardware's order: chunks of 16 in a tree of neighbours, chunk sums one after another from the bias."""
    total = _flush(np.float32(bias))
    for start in range(0, len(operands), _NEURON_SYNAPSES):
        chunk = operands[start : start + _NEURON_SYNAPSES]
        level = [_flush(_flush(np.float32(weight)) * _flush(np.float32(value))) for weight, value in chunk]
        level += [np.float32(0)] * (_NEURON_SYNAPSES - len(level))
        while len(level) > 1:
            level = [_flush(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
        total = _flush(total + level[0])
    return total


def _flush(value: np.float32) -> np.float32:
    """A subnormal number becomes a zero of its sign."""
    return np.copysign(np.float32(0), value) if abs(value) < np.finfo(np.float32).smallest_normal else value


def _pool(operation: MaxPool | AveragePool, source: Numbers, is_float: bool) -> Numbers:
    result: Numbers = np.empty(operation.output_shape, dtype=object)
    for index in np.ndindex(*operation.output_shape):
        window = list(_window(operation, source, index))
        if isinstance(operation, MaxPool):
            result[index] = max(window)
        else:
            divisor = _divisor(operation, index[1:])
            result[index] = (
                _float_average(window, divisor, operation.number_format)
                if is_float
                else _integer_average(window, divisor, operation)
            )
    return result


def _window(operation: Pooling, source: Numbers, index: tuple[int, ...]) -> Iterator[Any]:
    """Values of one window in row-major order, padding left out."""
    for offset in itertools.product(*map(range, operation.kernel)):
        place = [
            at * stride - padding + step * dilation
            for at, stride, padding, step, dilation in zip(
                index[1:], operation.stride, operation.padding, offset, operation.dilation, strict=True
            )
        ]
        if all(0 <= at < length for at, length in zip(place, source.shape[1:], strict=True)):
            yield source[(index[0], *place)]


def _divisor(operation: AveragePool, position: tuple[int, ...]) -> int:
    """Elements of one window that count: in the input, or in the input with its padding."""
    if operation.divisor_override is not None:
        return operation.divisor_override
    count = 1
    for at, length, kernel, stride, padding in zip(
        position, operation.input_shape[1:], operation.kernel, operation.stride, operation.padding, strict=True
    ):
        margin = padding if operation.count_include_pad else 0
        start = at * stride - padding
        count *= sum(-margin <= element < length + margin for element in range(start, start + kernel))
    return count


def _integer_average(window: list[int], divisor: int, operation: AveragePool) -> int:
    """Rounded to the format; of accumulators, the sum that stands for its quotient by the common divisor."""
    if operation.number_format is None:
        return sum(window) * (operation.common_divisor // divisor)
    return int(operation.number_format.nearest(Fraction(sum(window), divisor)))


def _float_average(window: list[np.float32], divisor: int, number_format: Format | None) -> np.float32:
    total = np.float32(0)
    for value in window:
        total = _flush(total + _flush(value))
    average = _flush(total / np.float32(divisor))
    return average if number_format is None else _nearest(average, 0, number_format)


def _each(values: Numbers, function: Callable[[Any], Any]) -> Numbers:
    result: Numbers = np.empty(values.shape, dtype=object)
    for index in np.ndindex(*values.shape):
        result[index] = function(values[index])
    return result
