"""`equalize_channels`: weights of neighboring layers brought to one scale; the network computes the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from fewbits.graph.catalogue import kind_of
from fewbits.graph.equivalence import prove_steps
from fewbits.graph.float_layer import FloatLayer
from fewbits.graph.module_kinds import is_float_layer, kind_of_layer, reason_to_leave
from fewbits.graph.parameters import has_hooks, shared_parameters
from fewbits.graph.tracing import trace
from fewbits.graph.wrappers import copied, unwrapped

Network = TypeVar("Network", bound=nn.Module)

_SWEEPS = 100
"""At most: a chain of n layers is equal to float32's precision after some 10 n sweeps."""


def equalize_channels(model: Network, images: Tensor | None = None) -> Network:
    """A copy in which neighboring layers share the scale of their weights evenly; the model stays.

    Between two layers with nothing but ReLU, pooling and reshaping, a channel can be divided by any positive number
    in the first and multiplied by it in the second: the network computes the same up to float rounding. The number is
    chosen so that the channel's weights have the same root mean square in both (Nagel et al., "Data-free quantization
    through weight equalization and bias correction", ICCV 2019, equation 11, which equalizes the largest weights).
    Where one radix point serves a whole layer, channels then lose equally little by rounding; and a learning rate moves
    the weights of all layers alike. Folded batch normalization leaves them far apart.

    model: a float network that torch.fx can trace. Layers that meet anything else (additions, concatenations, other
    functions, a module with hooks, a second use of the layer or its result), grouped convolutions behind them, and
    layers whose weights are computed, tied to others, or that have hooks, stay as they are.
    images: what the model takes, to compare both on, as `fold_batch_norm` does.
    Raises ModelError if the network cannot be traced, the result computes something else, or no images are given and
    none are found.
    """
    given = unwrapped(model)
    pairs = _neighbors(given)
    equalized = _equalized(given, pairs)
    action = "equalizing the channels of"
    prove_steps(given, equalized, images, pairs, _equalized, call="equalize_channels", action=action)
    return cast(Network, equalized)


@dataclass(frozen=True)
class _Neighbors:
    """Names of a layer and of the one that alone takes its channels."""

    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.first!r} with {self.second!r}"


def _equalized(model: nn.Module, neighbors: list[_Neighbors]) -> nn.Module:
    """A copy with some pairs of neighbors equalized."""
    equalized = copied(model)
    pairs = [(_layer(equalized, pair.first), _layer(equalized, pair.second)) for pair in neighbors]
    layers = {id(layer): layer for pair in pairs for layer in pair}.values()
    with torch.no_grad():
        types = [_cast(layer, torch.float64) for layer in layers]
        for _ in range(_SWEEPS):
            factors = [_equalize(*pair) for pair in pairs]
            if all(torch.allclose(factor, torch.ones_like(factor), rtol=1e-6, atol=0) for factor in factors):
                break
        for layer, dtype in zip(layers, types, strict=True):
            _cast(layer, dtype)
    return equalized


def _layer(network: nn.Module, name: str) -> FloatLayer:
    layer = network.get_submodule(name)
    assert isinstance(layer, FloatLayer)
    return layer


def _cast(layer: FloatLayer, dtype: torch.dtype) -> torch.dtype:
    """Give a layer's own parameters a type, in which many small steps may be taken; the one they had."""
    before = layer.weight.dtype
    for parameter in layer.parameters(recurse=False):
        parameter.data = parameter.data.to(dtype)
    return before


@dataclass(frozen=True)
class _Channels:
    """What a call returns still has the channels of a layer, each times what that layer gives it."""

    name: str
    layer: FloatLayer
    are_last: bool
    """They lie along the last dimension, in blocks behind a flattening, as a linear layer takes them; else along the
    second one, as a convolution does."""

    def behind(self, meaning: Any) -> _Channels | None:
        """The channels behind a call; None if it mixes them or changes their scale."""
        are_last = kind_of(meaning).channels_last(meaning, self.are_last)
        return None if are_last is None else _Channels(self.name, self.layer, are_last)

    def fit(self, layer: FloatLayer) -> bool:
        """Whether a layer takes just these channels."""
        of_vectors = kind_of_layer(self.layer).features_are_last
        return kind_of_layer(layer).takes_channels(layer, len(self.layer.weight), self.are_last, of_vectors)


def _neighbors(network: nn.Module) -> list[_Neighbors]:
    """All of a network whose weights are their own."""
    calls = trace(network).calls
    tied = shared_parameters(network)
    uses = Counter(source for call in calls for source in call.sources)
    times = Counter(id(call.module) for call in calls)
    known: dict[str, _Channels] = {}
    pairs: list[_Neighbors] = []
    for call in calls:
        is_alone = len(call.sources) == 1 and uses[call.sources[0]] == 1
        channels = known.get(call.sources[0]) if is_alone else None
        module = call.module
        if isinstance(module, nn.Module) and has_hooks(module):
            continue
        if is_float_layer(module):
            is_own = not tied.intersection(map(id, module.parameters(recurse=False)))
            if times[id(module)] > 1 or not is_own or reason_to_leave(module) is not None:
                continue
            if channels is not None and channels.fit(module):
                pairs.append(_Neighbors(channels.name, call.name))
            known[call.name] = _Channels(call.name, module, are_last=kind_of_layer(module).features_are_last)
        elif channels is not None and (behind := channels.behind(module)) is not None:
            known[call.name] = behind
    return pairs


def _equalize(first: FloatLayer, second: FloatLayer) -> Tensor:
    """Move scale from one layer to the next, in place; the factor of each channel."""
    channels = len(first.weight)
    leaving = first.weight.view(channels, -1)
    entering = second.weight.reshape(len(second.weight), channels, -1)
    before, after = leaving.square().mean(1).sqrt(), entering.square().mean((0, 2)).sqrt()
    factor = (after / before).sqrt()
    factor = torch.where((before > 0) & (after > 0), factor, torch.ones_like(factor))
    first.weight.mul_(factor.view(-1, *(1,) * (first.weight.ndim - 1)))
    if first.bias is not None:
        first.bias.mul_(factor)
    second.weight.copy_((entering / factor.view(1, -1, 1)).reshape(second.weight.shape))
    return factor
