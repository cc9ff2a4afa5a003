"""The workload of whatever stands for a network: a workload, a bit-exact network, a torch module or a model's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.errors import ModelError
from fewbits.hardware.workload.liveness import IMAGE, Tensors, with_held_values
from fewbits.hardware.workload.own_precision import own_precision, with_takers
from fewbits.hardware.workload.workload import LayerShape, Size, Workload, addition

if TYPE_CHECKING:
    from torch import nn

    from fewbits.bitexact import BitExactNetwork
    from fewbits.formats import Precision
    from fewbits.graph.operations import Convolution, Layer, Operation, Pooling


def workload_of(
    network: Workload | BitExactNetwork | nn.Module | str, input_shape: tuple[int, ...] | None = None
) -> Workload:
    """The layers that the accelerator computes for a network.

    input_shape: channels, height, width, for a torch module without an attribute `input_shape` and for a model whose
    name does not tell.
    Raises ModelError if the network cannot be computed by the accelerator or its input shape is not known.
    """
    if isinstance(network, Workload):
        return network
    from torch import nn

    from fewbits import models
    from fewbits.hardware.workload.module_workload import module_workload

    if isinstance(network, str):
        shape = _known_shape(input_shape or models.input_shape(network), f"model {network!r}")
        return module_workload(_built(network), shape)
    if isinstance(network, nn.Module):
        return module_workload(network, _known_shape(input_shape or getattr(network, "input_shape", None), "the model"))
    return _bit_exact_workload(network)


def _known_shape(shape: tuple[int, ...] | None, whose: str) -> tuple[int, ...]:
    """The shape, or an error that says how to give it."""
    if shape is None:
        raise ModelError(f"the input shape of {whose} is not known: give input_shape, such as (1, 28, 28), or --input")
    return tuple(shape)


def _built(name: str) -> nn.Module:
    """The model of that name; a built-in one without memory for its weights."""
    import torch

    from fewbits import models

    if name.split("*")[0] in models.MODEL_NAMES:
        with torch.device("meta"):
            return models.build(name)
    return models.build(name, seed=0)


def _bit_exact_workload(network: BitExactNetwork) -> Workload:
    """The layers among a bit-exact network's operations; the others are part of a neuron's output stage."""
    from fewbits.graph.operations import Concatenation

    layers: list[LayerShape] = []
    reads: list[Tensors] = []
    stored: dict[str, Tensors] = {}
    for operation in network.operations:
        taken = frozenset[int]().union(*(stored.get(name, {IMAGE}) for name in operation.inputs))
        layer = _layer(operation, network.precision)
        stored[operation.name] = taken
        if layer is not None:
            stored[operation.name] = frozenset((len(layers),))
            layers.append(layer)
            reads.append(taken)
    concatenations = tuple(one.name for one in network.operations if isinstance(one, Concatenation))
    held = with_takers(with_held_values(layers, reads), reads)
    return Workload(held, network.precision.name, concatenations, _end(network))


def _end(network: BitExactNetwork) -> str | None:
    """What comes last, reshaping apart; None if that is a layer or an addition."""
    from fewbits.graph.operations import Addition, Flatten, Layer

    by_name = {operation.name: operation for operation in network.operations}
    last = network.operations[-1]
    while isinstance(last, Flatten):
        last = by_name[last.inputs[0]]
    return None if isinstance(last, (Layer, Addition)) else last.name


def _layer(operation: Operation, precision: Precision) -> LayerShape | None:
    """What the tile spends cycles on for an operation; None if a neuron's output stage or an address does it."""
    from fewbits.graph.operations import (
        Addition,
        Concatenation,
        Convolution,
        Flatten,
        InputRounding,
        Linear,
        Pooling,
        ReLU,
        Rounding,
    )

    match operation:
        case Convolution():
            return _convolution(operation, precision)
        case Linear():
            inputs, outputs = operation.input_shape[0], operation.output_shape[0]
            has_bias = operation.bias is not None
            return LayerShape(
                *(operation.name, "linear", inputs, (1, 1), outputs, (1, 1)),
                has_bias=has_bias,
                has_channel_shifts=operation.output_shifts is not None,
                precision=_own_precision(operation, precision),
            )
        case Pooling():
            return _pooling(operation)
        case Addition():
            return addition(operation.name, operation.output_shape)
        case InputRounding() | ReLU() | Rounding() | Flatten() | Concatenation():
            return None
        case _:
            kind = type(operation).__name__
            raise ModelError(f"layer {operation.name!r}: the accelerator does not compute {kind}")


def _own_precision(layer: Layer, network: Precision) -> str | None:
    """Name of the layer's precision, if it is another than the network's."""
    return own_precision(layer.weight_format, layer.input_format, layer.scale_bits, network)


def _convolution(layer: Convolution, precision: Precision) -> LayerShape:
    """The shape of a bit-exact convolution."""
    return LayerShape(
        name=layer.name,
        kind="convolution",
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
        precision=_own_precision(layer, precision),
    )


def _pooling(layer: Pooling) -> LayerShape:
    """The shape of a bit-exact pooling."""
    from fewbits.graph.operations import MaxPool

    return LayerShape(
        name=layer.name,
        kind="max-pool" if isinstance(layer, MaxPool) else "average-pool",
        input_channels=layer.input_shape[0],
        input_size=_size(layer.input_shape[1:]),
        neurons=layer.output_shape[0],
        output_size=_size(layer.output_shape[1:]),
        kernel=_size(layer.kernel),
        stride=_size(layer.stride),
        dilation=_size(layer.dilation),
    )


def _size(along: tuple[int, ...]) -> Size:
    """Sizes along one or two dimensions as height and width."""
    return (1, along[0]) if len(along) == 1 else (along[0], along[1])
