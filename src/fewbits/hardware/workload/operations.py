"""The workload of a bit-exact network: what an accelerator spends cycles on, operation by operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fewbits.bitexact import BitExactNetwork
from fewbits.bitexact.tables import Table
from fewbits.formats import Precision
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
from fewbits.hardware.workload.liveness import IMAGE, Tensors, with_held_values
from fewbits.hardware.workload.own_precision import own_precision, with_consumers
from fewbits.hardware.workload.switched_parts import switched_parts
from fewbits.hardware.workload.workload import Kind, LayerShape, Size, Workload, addition

WORKLOAD: Table[Callable[[Any, Precision], LayerShape | None]] = Table(
    "workload", "a function that takes the operation and the network's precision and gives its `LayerShape`, or None,"
)
"""What an accelerator spends cycles on for an operation; None if an output stage or an address does it on the way."""


def bit_exact_workload(network: BitExactNetwork) -> Workload:
    """The layers among a bit-exact network's operations; the others are part of a neuron's output stage."""
    layers: list[LayerShape] = []
    reads: list[Tensors] = []
    stored: dict[str, Tensors] = {}
    for operation in network.operations:
        taken = frozenset[int]().union(*(stored.get(name, {IMAGE}) for name in operation.inputs))
        layer = WORKLOAD.of(operation)(operation, network.precision)
        stored[operation.name] = taken
        if layer is not None:
            parts = switched_parts(layer, getattr(operation, "products", None))
            stored[operation.name] = frozenset(range(len(layers), len(layers) + len(parts)))
            layers.extend(parts)
            reads.extend([taken] * len(parts))
    concatenations = tuple(operation.name for operation in network.operations if operation.joins)
    held = with_consumers(with_held_values(layers, reads), reads)
    uncounted = tuple(filter(None, (operation.uncounted for operation in network.operations)))
    return Workload(held, network.precision.name, concatenations, _end(network), uncounted)


def _end(network: BitExactNetwork) -> str | None:
    """What comes last, reshaping apart; None if that is a layer or an addition."""
    by_name = {operation.name: operation for operation in network.operations}
    last = network.operations[-1]
    while last.keeps_values:
        last = by_name[last.inputs[0]]
    return None if last.makes_sums else last.name


@WORKLOAD.register(Convolution)
def _convolution(layer: Convolution, precision: Precision) -> LayerShape:
    return _layer("convolution", layer, precision)


@WORKLOAD.register(Linear)
def _linear(layer: Linear, precision: Precision) -> LayerShape:
    return _layer("linear", layer, precision)


@WORKLOAD.register(MaxPool)
def _max_pool(pool: MaxPool, _: Precision) -> LayerShape:
    return _pooling("max-pool", pool)


@WORKLOAD.register(AveragePool)
def _average_pool(pool: AveragePool, _: Precision) -> LayerShape:
    return _pooling("average-pool", pool)


@WORKLOAD.register(Addition)
def _addition(operation: Addition, _: Precision) -> LayerShape:
    return addition(operation.name, operation.output_shape)


@WORKLOAD.register(InputRounding, ReLU, Rounding, Flatten, Concatenation)
def _on_the_way(_: Operation, __: Precision) -> None:
    """What a neuron's output stage or an address does."""


def _layer(kind: Kind, layer: Layer, precision: Precision) -> LayerShape:
    return LayerShape(
        name=layer.name,
        kind=kind,
        input_channels=layer.input_shape[0],
        input_size=_size(layer.input_shape[1:]),
        neurons=layer.output_shape[0],
        output_size=_size(layer.output_shape[1:]),
        kernel=_size(layer.weight.shape[2:]),
        stride=_size(layer.stride),
        dilation=_size(layer.dilation),
        groups=layer.groups,
        has_bias=layer.bias is not None,
        has_channel_shifts=layer.output_shifts is not None,
        precision=own_precision(layer.weight_format, layer.input_format, layer.scale_bits, precision),
    )


def _pooling(kind: Kind, layer: Pooling) -> LayerShape:
    return LayerShape(
        name=layer.name,
        kind=kind,
        input_channels=layer.input_shape[0],
        input_size=_size(layer.input_shape[1:]),
        neurons=layer.output_shape[0],
        output_size=_size(layer.output_shape[1:]),
        kernel=_size(layer.kernel),
        stride=_size(layer.stride),
        dilation=_size(layer.dilation),
    )


def _size(along: tuple[int, ...]) -> Size:
    """Sizes along none, one or two dimensions as height and width."""
    height, width = (1, 1, *along)[-2:]
    return int(height), int(width)
