"""A bit-exact network's operations on real numbers: its rounded weights and biases, but no rounding of values.

That is what a quantized network computes with the roundings of its values off, so that the two can be compared.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fewbits.bitexact.integer import maximum, window_sums
from fewbits.bitexact.tables import UNROUNDED
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
    ReLU,
    Rounding,
)


def unrounded_values(operations: tuple[Operation, ...], images: Tensor) -> dict[str, Tensor]:
    """Every operation's result for a batch, by name, as values (codes with their radix points) in the images' type."""
    results: dict[str, Tensor] = {operations[0].inputs[0]: images}
    for operation in operations:
        results[operation.name] = UNROUNDED.of(operation)(operation, *(results[name] for name in operation.inputs))
    return {operation.name: results[operation.name] for operation in operations}


def _weight(layer: Layer, like: Tensor) -> Tensor:
    return layer.weight.values().to(like.device, like.dtype)


def _bias(layer: Layer, like: Tensor) -> Tensor | None:
    if layer.bias is None:
        return None
    bias = (
        torch.tensor([float(value) for value in layer.bias], dtype=torch.float64)
        * 2.0**-layer.accumulator_fraction_bits
    )
    return bias.to(like.device, like.dtype)


@UNROUNDED.register(Linear)
def _linear(layer: Linear, x: Tensor) -> Tensor:
    return F.linear(x, _weight(layer, x), _bias(layer, x))


@UNROUNDED.register(Convolution)
def _convolution(layer: Convolution, x: Tensor) -> Tensor:
    value = layer.padding_value * 2.0**-layer.input_fraction_bits
    padded = F.pad(x, [width for along in reversed(layer.padding) for width in along], value=value)
    convolve: Any = F.conv2d if len(layer.stride) == 2 else F.conv1d
    result: Tensor = convolve(padded, _weight(layer, x), _bias(layer, x), layer.stride, 0, layer.dilation, layer.groups)
    return result


@UNROUNDED.register(AveragePool)
def _average(operation: AveragePool, x: Tensor) -> Tensor:
    return window_sums(x, operation) / torch.from_numpy(operation.divisors).to(x.device, x.dtype)


@UNROUNDED.register(Concatenation)
def _joined(operation: Concatenation, *parts: Tensor) -> Tensor:
    return torch.cat(parts, dim=operation.axis + 1)


@UNROUNDED.register(InputRounding, Rounding)
def _same(_: Operation, x: Tensor) -> Tensor:
    return x


@UNROUNDED.register(ReLU)
def _relu(_: ReLU, x: Tensor) -> Tensor:
    return x.clamp(min=0)


@UNROUNDED.register(Flatten)
def _flattened(operation: Flatten, x: Tensor) -> Tensor:
    return x.reshape(len(x), *operation.output_shape)


@UNROUNDED.register(Addition)
def _sum(_: Addition, first: Tensor, second: Tensor) -> Tensor:
    return first + second


@UNROUNDED.register(MaxPool)
def _greatest(operation: MaxPool, x: Tensor) -> Tensor:
    return maximum(x, operation)
