"""The slow oracle: every operation from its definition, in Python integers (floats: numpy float32 scalars).

It shares nothing with the executors but the operations themselves: loops over outputs, windows and synapses, one
number at a time, so that it can be checked by eye.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewbits.bitexact.sum_order import DEFAULT, SumOrder
from fewbits.bitexact.tables import REFERENCE
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
    arithmetics,
)

Numbers = NDArray[Any]
"""One image's values: Python integers, or numpy float32 scalars, in an object array."""


def reference_values(
    operations: tuple[Operation, ...], image: Numbers, order: SumOrder = DEFAULT
) -> dict[str, Numbers]:
    """Every operation's result for one image, by name.

    image: float values in the shape of one image, without NaN. order: of the sums of a float precision.
    """
    computed_in = arithmetics(operations)
    results: dict[str, Numbers] = {operations[0].inputs[0]: image}
    for operation in operations:
        sources = [results[name] for name in operation.inputs]
        own_order = order if computed_in[operation.name] == "float32" else None
        results[operation.name] = REFERENCE.of(operation)(operation, sources, own_order)
    return {operation.name: results[operation.name] for operation in operations}


@REFERENCE.register(InputRounding)
def _images(operation: InputRounding, sources: list[Numbers], _: SumOrder | None) -> Numbers:
    return _each(sources[0], lambda value: _nearest(value, operation.fraction_bits, operation.number_format))


@REFERENCE.register(Rounding)
def _rounded(operation: Rounding, sources: list[Numbers], _: SumOrder | None) -> Numbers:
    return _each(sources[0], lambda value: _nearest(value, -operation.shift, operation.number_format))


@REFERENCE.register(ReLU)
def _relu(_: ReLU, sources: list[Numbers], __: SumOrder | None) -> Numbers:
    return _each(sources[0], lambda value: value if value > 0 else type(value)(0))


@REFERENCE.register(Flatten)
def _flattened(operation: Flatten, sources: list[Numbers], _: SumOrder | None) -> Numbers:
    return sources[0].reshape(operation.output_shape)


@REFERENCE.register(Concatenation)
def _joined(operation: Concatenation, sources: list[Numbers], _: SumOrder | None) -> Numbers:
    return np.concatenate(sources, axis=operation.axis)


@REFERENCE.register(Addition)
def _sum(operation: Addition, sources: list[Numbers], order: SumOrder | None) -> Numbers:
    """Both operands moved to the finer radix point, then added; in float32 for floats."""
    first, second = sources
    result: Numbers = np.empty(operation.output_shape, dtype=object)
    for index in np.ndindex(*operation.output_shape):
        scaled = [
            value * 2**shift for value, shift in zip((first[index], second[index]), operation.shifts, strict=True)
        ]
        if order is not None:
            scaled = [_flush(np.float32(value)) for value in scaled]
        result[index] = scaled[0] + scaled[1] if order is None else _flush(scaled[0] + scaled[1])
    return result


def _nearest(value: Any, exponent: int, number_format: Format) -> Any:
    """Nearest number of a format to value * 2**exponent, as an integer; as float32 for a float format."""
    exact = Fraction(value if isinstance(value, int) else float(value)) * Fraction(2) ** exponent
    number = number_format.quantize_scalar(exact)
    return np.float32(float(number)) if number_format.arithmetic == "float32" else int(number)


@REFERENCE.register(Convolution, Linear)
def _layer(layer: Layer, sources: list[Numbers], order: SumOrder | None) -> Numbers:
    """Sum the products of every output in the order input channel, kernel row, kernel column."""
    result: Numbers = np.empty(layer.output_shape, dtype=object)
    for index in np.ndindex(*layer.output_shape):
        bias = 0 if layer.bias is None else layer.bias[int(index[0])]
        operands = list(_operands(layer, sources[0], index))
        result[index] = (
            _integer_sum(layer.dropped_product_bits, operands, int(bias))
            if order is None
            else _float_sum(order.products, operands, bias)
        )
    return result


def _operands(layer: Layer, source: Numbers, index: tuple[int, ...]) -> Iterator[tuple[Any, Any]]:
    """Weight and input of each synapse of one output; what zero is rounded to where there is padding."""
    output, *position = index
    channels, *kernel = layer.weight.shape[1:]
    weights = layer.weight.numbers[output].astype(object)
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
        yield weights[tap], source[(first_channel + tap[0], *place)] if inside else padded


def _integer_sum(dropped: int, operands: list[tuple[int, int]], bias: int) -> int:
    """Python's division of integers rounds towards minus infinity."""
    return sum(weight * value // 2**dropped for weight, value in operands) + bias


def _float_sum(products: int, operands: list[tuple[float, Any]], bias: float) -> np.float32:
    """So many products in a tree of neighbours, tree sums one after another from the bias."""
    total = _flush(np.float32(bias))
    for start in range(0, len(operands), products):
        chunk = operands[start : start + products]
        level = [_flush(_flush(np.float32(weight)) * _flush(np.float32(value))) for weight, value in chunk]
        level += [np.float32(0)] * (products - len(level))
        while len(level) > 1:
            level = [_flush(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
        total = _flush(total + level[0])
    return total


def _flush(value: np.float32) -> np.float32:
    """A subnormal number becomes a zero of its sign."""
    return np.copysign(np.float32(0), value) if abs(value) < np.finfo(np.float32).smallest_normal else value


@REFERENCE.register(MaxPool)
def _greatest(operation: MaxPool, sources: list[Numbers], _: SumOrder | None) -> Numbers:
    result: Numbers = np.empty(operation.output_shape, dtype=object)
    for index in np.ndindex(*operation.output_shape):
        result[index] = max(_window(operation, sources[0], index))
    return result


@REFERENCE.register(AveragePool)
def _averaged(operation: AveragePool, sources: list[Numbers], order: SumOrder | None) -> Numbers:
    result: Numbers = np.empty(operation.output_shape, dtype=object)
    for index in np.ndindex(*operation.output_shape):
        window, divisor = list(_window(operation, sources[0], index)), _divisor(operation, index[1:])
        result[index] = (
            _integer_average(window, divisor, operation)
            if order is None
            else _float_average(window, divisor, operation.number_format)
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
