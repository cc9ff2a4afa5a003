"""Operating points of one set of weights: the network with a part of its channels."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fewbits.errors import ModelError
from fewbits.graph.float_layer import FloatLayer
from fewbits.graph.module_kinds import kind_of_layer
from fewbits.quantization import QuantizedLayer, QuantizedModel, calibrate

Kept = dict[str, tuple[int, int]]
"""Outputs and inputs of each layer that stay, by its name: the first ones."""


@dataclass(frozen=True, eq=False)
class OperatingPoint:
    """A network that computes with a part of another's weights."""

    part: float
    """Of the inner channels, above 0 to 1."""

    model: QuantizedModel
    """In evaluation mode; it can be lowered and costed as any other."""


def operating_points(
    model: QuantizedModel, images: Tensor, parts: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
) -> tuple[OperatingPoint, ...]:
    """The operating points of a network that the recipe `runtime-configurable` made.

    Weights and biases are those of the network, and so are the weights' radix points; those of the inputs, which are
    shifts that the configuration sets, are chosen for each point.
    images: normalized training images for calibration. parts: the recipe's `increments`.
    Raises ModelError for a network that is no chain of layers.
    """
    points: list[OperatingPoint] = []
    for part in parts:
        narrow = sliced(model, kept(model, part)).eval()
        calibrate(narrow, images, weights=False)
        points.append(OperatingPoint(part, narrow))
    return tuple(points)


def kept(model: QuantizedModel, part: float) -> Kept:
    """What stays of each layer of a chain at a part of the inner channels, rounded, at least one channel.

    Layers are taken in the order of modules. Raises ModelError, naming the layer, if they do not form a chain.
    """
    _refuse_other_parameters(model)
    layers = model.layers
    *_, last = layers
    result: Kept = {}
    old = new = _channels(next(iter(layers.values())).layer)[1]
    for name, layer in layers.items():
        outputs, inputs = _channels(layer.layer)
        is_flattened = kind_of_layer(layer.layer).features_are_last
        if inputs % old or (inputs != old and not is_flattened) or getattr(layer.layer, "groups", 1) != 1:
            raise ModelError(
                f"layer {name!r} does not take just the {old} channels of the layer before it: only a chain of "
                "ungrouped layers can be configured at run time"
            )
        inputs_kept = inputs // old * new
        old, new = outputs, outputs if name == last else max(1, round(outputs * part))
        result[name] = (new, inputs_kept)
    return result


def sliced(model: QuantizedModel, parts: Kept) -> QuantizedModel:
    """A copy with the first outputs and inputs of each layer; a flattened layer's inputs are ordered by channel."""
    narrow = copy.deepcopy(model)
    for name, layer in narrow.layers.items():
        outputs, inputs = parts[name]
        layer.layer = _slice(layer.layer, outputs, inputs)
        layer.rounded.forget()
    return narrow


def write_back(narrow: QuantizedModel, model: QuantizedModel) -> None:
    """Copy the parameters and radix points of a slice to the network that it was cut from."""
    with torch.no_grad():
        for name, layer in narrow.layers.items():
            _write_layer(layer, model.layers[name])


def _write_layer(narrow: QuantizedLayer, whole: QuantizedLayer) -> None:
    outputs, inputs = narrow.layer.weight.shape[:2]
    whole.layer.weight[:outputs, :inputs].copy_(narrow.layer.weight)
    if narrow.layer.bias is not None and whole.layer.bias is not None:
        whole.layer.bias[:outputs].copy_(narrow.layer.bias)
    whole.weight_fraction_bits = narrow.weight_fraction_bits
    whole.input_fraction_bits = narrow.input_fraction_bits


def _channels(layer: FloatLayer) -> tuple[int, int]:
    """Outputs and inputs."""
    outputs, inputs = kind_of_layer(layer).size_names
    return getattr(layer, outputs), getattr(layer, inputs)


def _slice(layer: FloatLayer, outputs: int, inputs: int) -> FloatLayer:
    """A copy of a layer with its first outputs and inputs."""
    narrow = copy.deepcopy(layer)
    narrow.weight = nn.Parameter(layer.weight.detach()[:outputs, :inputs].clone())
    if layer.bias is not None:
        narrow.bias = nn.Parameter(layer.bias.detach()[:outputs].clone())
    for name, size in zip(kind_of_layer(narrow).size_names, (outputs, inputs), strict=True):
        setattr(narrow, name, size)
    return narrow


def _refuse_other_parameters(model: QuantizedModel) -> None:
    inside = {id(parameter) for layer in model.layers.values() for parameter in layer.parameters()}
    for name, parameter in model.network.named_parameters():
        if id(parameter) not in inside:
            raise ModelError(f"parameter {name!r} lies outside the quantized layers: its channels cannot be divided")
