"""Execute a float network's operations one by one, each sum in the hardware's order (docs/architecture.md)."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewbits.bitexact.float_kernels import CHUNK, float_average, float_layer, float_maximum
from fewbits.bitexact.gather import gather_of
from fewbits.bitexact.window_tables import window_tables
from fewbits.errors import FormatError, ModelError
from fewbits.formats import Format
from fewbits.graph.operations import (
    Addition,
    AveragePool,
    Concatenation,
    Flatten,
    InputRounding,
    Layer,
    MaxPool,
    Operation,
    ReLU,
    Rounding,
)

FloatArray = NDArray[np.float32]


class FloatExecutor:
    """Executes a float network; on the CPU, wherever the images are."""

    batch_size = 128
    """Images at a time, if their memory allows."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        """Prepare the weights of the layers."""
        self._operations = operations
        self._layers = {op.name: _FloatLayer(op) for op in operations if isinstance(op, Layer)}

    def values(self, images: Tensor) -> dict[str, Tensor]:
        """Every operation's result (float32) for a batch of images, by name.

        Raises FormatError if an image holds NaN, ModelError if a result is infinite, naming the layer.
        """
        results: dict[str, FloatArray] = {}
        for operation in self._operations:
            if isinstance(operation, InputRounding):
                results[operation.name] = _round_images(images, operation)
            else:
                results[operation.name] = self._execute(operation, [results[name] for name in operation.inputs])
        return {name: torch.from_numpy(result).to(images.device) for name, result in results.items()}

    def logits(self, images: Tensor) -> Tensor:
        """The last operation's result; see `values`."""
        return self.values(images)[self._operations[-1].name]

    def _execute(self, operation: Operation, sources: list[FloatArray]) -> FloatArray:
        source = sources[0]
        if isinstance(operation, Addition):
            return _checked(_sum(operation, *sources), operation)
        if isinstance(operation, Concatenation):
            return np.concatenate(sources, axis=operation.axis + 1)
        if isinstance(operation, Layer):
            return _checked(self._layers[operation.name].run(source), operation)
        if isinstance(operation, ReLU):
            return np.where(source > 0, source, np.float32(0))
        if isinstance(operation, Rounding):
            return _checked(_rounded(source, operation), operation)
        if isinstance(operation, Flatten):
            return source.reshape(len(source), *operation.output_shape)
        assert isinstance(operation, (MaxPool, AveragePool))
        return _checked(_pool(source, operation), operation)


class _FloatLayer:
    """One layer's weights, subnormal ones flushed, and where it finds its operands."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._gather = gather_of(layer)
        outputs = len(layer.weight)
        weight = np.zeros((outputs, -(-layer.synapses // CHUNK) * CHUNK), dtype=np.float32)
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
        float_layer(flat, self._gather.taps, self._gather.positions, self._weight, self._bias, result)
        return result.reshape(len(values), *self._layer.output_shape)


def _round_images(images: Tensor, operation: InputRounding) -> FloatArray:
    """Images to numbers of the first layer's input format. Raises FormatError for NaN."""
    if bool(torch.isnan(images).any()):
        raise FormatError("the images hold NaN, which has no code: normalize them without dividing by zero")
    numbers = images.cpu().to(torch.float64).numpy() * 2.0**operation.fraction_bits
    return _checked(_nearest(numbers, operation.number_format), operation)


def _rounded(accumulators: FloatArray, operation: Rounding) -> FloatArray:
    """Accumulators to numbers of the next layer's format, without its radix point; none to change for float32."""
    if operation.number_format.name == "float32" and operation.shift == 0:
        return accumulators
    values = operation.number_format.quantize(torch.from_numpy(accumulators), -operation.shift)
    return values.mul_(2.0**-operation.shift).numpy()


def _nearest(numbers: NDArray[np.float64], number_format: Format) -> FloatArray:
    """Nearest numbers of a format that float32 holds."""
    rounded = number_format.reference_quantize(torch.from_numpy(numbers), float(number_format.largest))
    return rounded.to(torch.float32).numpy()


def _checked(result: FloatArray, operation: Operation) -> FloatArray:
    if not np.isfinite(result).all():
        raise ModelError(
            f"layer {operation.name!r}: a result is infinite or no number in float32; scale the weights or images down"
        )
    return result


def _sum(operation: Addition, first: FloatArray, second: FloatArray) -> FloatArray:
    """Both operands scaled to the finer radix point, added in float32."""
    scales = [np.float32(2.0**shift) for shift in operation.shifts]
    with np.errstate(over="ignore"):  # `_checked` names the operation
        return _flushed(_flushed(first * scales[0]) + _flushed(second * scales[1]))


def _pool(source: FloatArray, operation: MaxPool | AveragePool) -> FloatArray:
    """Pool maps of two dimensions; one dimension is a map of one row."""
    shape = (len(source) * operation.output_shape[0], *operation.input_shape[1:])
    maps = source.reshape(shape if len(shape) == 3 else (shape[0], 1, shape[1]))
    rows, columns = window_tables(operation)
    out = np.empty((len(maps), len(rows), len(columns)), dtype=np.float32)
    if isinstance(operation, MaxPool):
        float_maximum(maps, rows, columns, out)
    else:
        divisors = operation.divisors.astype(np.float32).reshape(len(rows), len(columns))
        float_average(maps, rows, columns, divisors, out)
        if operation.number_format is not None:
            out = _nearest(out.astype(np.float64), operation.number_format)
    return out.reshape(len(source), *operation.output_shape)


def _flushed(values: FloatArray) -> FloatArray:
    """Subnormal numbers to zeros of their sign."""
    return np.where(np.abs(values) < np.float32(2.0**-126), np.copysign(np.float32(0), values), values)
