"""`fold_batch_norm`: normalization by frozen statistics becomes part of the weights and bias of the layer before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fewbits.errors import ModelError
from fewbits.graph.catalogue import application, kind_of
from fewbits.graph.equivalence import prove_steps
from fewbits.graph.float_layer import FloatLayer
from fewbits.graph.foldings import Foldings, has_statistics
from fewbits.graph.kinds.batch_norm import FoldedNorm
from fewbits.graph.module_kinds import kind_of_layer
from fewbits.graph.spelling import called_module
from fewbits.graph.tracing import graph_of
from fewbits.graph.wrappers import copied, unwrapped
from fewbits.quantization.layers.layer import QuantizedLayer
from fewbits.quantization.model import QuantizedModel

Network = TypeVar("Network", bound=nn.Module)


def batch_norms(model: nn.Module) -> tuple[str, ...]:
    """Names of the batch normalizations in a network."""
    modules: dict[str, nn.Module] = dict(model.named_modules())
    return tuple(name for name, module in modules.items() if isinstance(module, _BatchNorm))


def fold_batch_norm(model: Network, images: Tensor | None = None) -> Network:
    """A copy in which each batch normalization that directly follows a layer is folded into it; the model stays.

    With the running statistics frozen, normalization is y = scale * x + offset for each channel, scale = weight /
    sqrt(variance + eps): the layer's weights are multiplied by the scale, and its bias becomes scale * (bias - mean) +
    the normalization's bias (Jacob et al., "Quantization and training of neural networks for efficient
    integer-arithmetic inference", CVPR 2018, equation 14). Computed in float64 and rounded once; an nn.Identity takes
    the place of the normalization (a `FoldedNorm` where the graph does not tell that a linear layer is given vectors).
    The result computes what the model does in evaluation, up to float rounding: both are run to see that.

    model: a float network that torch.fx can trace, or a quantized one, which then needs `calibrate` anew, as its
    weights have changed. A normalization stays after anything else (a sum, a pooling, a layer whose result others use
    too) and after a layer whose weights are computed, tied to others, or that has hooks; after `quantize` it is named
    in `.skipped`.
    images: what the model takes, to compare on; without them images are drawn, in the shape that `model.input_shape`
    says, or one that is found by trying.
    Raises ModelError if the network cannot be traced, a normalization has no running statistics, the result computes
    something else, or no images are given and none are found.
    """
    given: nn.Module = unwrapped(model)
    if isinstance(given, QuantizedModel):
        given.prove(images)
    pairs = _pairs_of(given)
    folded = _folded(given, pairs)
    action = "folding batch normalization into the layers of"
    prove_steps(given, folded, images, pairs, _folded, call="fold_batch_norm", action=action)
    return cast(Network, folded)


@dataclass(frozen=True)
class _Pair:
    """A layer and the normalization that alone takes its result, by name."""

    layer: str
    norm: str
    is_safe: bool
    """Whether the graph tells that the two have one axis of channels: a linear layer must be given vectors for that."""

    def __str__(self) -> str:
        return f"{self.norm!r} folded into {self.layer!r}"


def _pairs_of(model: nn.Module) -> list[_Pair]:
    network = _network(model)
    return _pairs(graph_of(network), network) if batch_norms(network) else []


def _network(model: nn.Module) -> nn.Module:
    return model.network if isinstance(model, QuantizedModel) else model


def _folded(model: nn.Module, pairs: list[_Pair]) -> nn.Module:
    """A copy with some normalizations folded."""
    given = _network(model)
    norms = {pair: given.get_submodule(pair.norm) for pair in pairs}
    folded = copied(model, {norms[pair]: nn.Identity() if pair.is_safe else FoldedNorm() for pair in pairs})
    network = _network(folded)
    for pair, norm in norms.items():
        assert isinstance(norm, _BatchNorm)
        fold_into(network.get_submodule(pair.layer), norm, pair.norm)
    if isinstance(folded, QuantizedModel):
        done = {pair.norm for pair in pairs}
        folded.skipped = tuple(entry for entry in folded.skipped if entry.name not in done)
    return folded


def foldable(graph: fx.Graph, network: nn.Module) -> dict[str, str]:
    """The normalizations that `fold_batch_norm` folds, by name, each with the name of the layer before it."""
    return {
        pair.norm: pair.layer for pair in _pairs(graph, network) if has_statistics(network.get_submodule(pair.norm))
    }


def _pairs(graph: fx.Graph, network: nn.Module) -> list[_Pair]:
    """Each layer and the normalization that alone takes its result."""
    foldings = Foldings(graph, network)
    pairs: list[_Pair] = []
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(called_module(node, network), _BatchNorm):
            continue
        if foldings.obstacle(node) is None:
            (source,) = node.all_input_nodes
            kind = kind_of_layer(called_module(source, network))
            is_safe = not kind.features_are_last or _are_vectors(source, network)
            pairs.append(_Pair(str(source.target), str(node.target), is_safe))
    return pairs


def _are_vectors(node: fx.Node, network: nn.Module) -> bool:
    """Whether what a linear layer gives has two dimensions, by the flattening somewhere before it."""
    while node.op in ("call_module", "call_function", "call_method"):
        try:
            applied = application(node, network)
        except ModelError:
            return False
        kind = kind_of(applied.meaning)
        if kind.makes_vectors(applied.meaning):
            return True
        if not kind.keeps_dims:
            return False
        if not isinstance(applied.sources[0], fx.Node):
            return False
        node = applied.sources[0]
    return False


def fold_into(layer: nn.Module, norm: _BatchNorm, name: str) -> None:
    """Change the weights and bias of the layer before a normalization, in place; see `fold_batch_norm`.

    Raises ModelError if the normalization has no running statistics.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ModelError(f"layer {name!r} keeps no running statistics, so that it cannot be folded: train it with them")
    if isinstance(layer, QuantizedLayer):
        layer.forget_weight_point()
        layer = layer.layer
    assert isinstance(layer, FloatLayer)
    with torch.no_grad():
        mean, variance = norm.running_mean.double(), norm.running_var.double()
        scale = torch.rsqrt(variance + norm.eps)
        offset = torch.zeros_like(mean)
        if norm.affine:
            scale, offset = scale * norm.weight.double(), norm.bias.double()
        weight, bias = layer.weight, layer.bias
        old_bias = mean.new_zeros(()) if bias is None else bias.double()
        new_bias = (scale * (old_bias - mean) + offset).to(weight.dtype)
        weight.copy_(weight.double() * scale.view(-1, *(1,) * (weight.ndim - 1)))
        if bias is None:
            layer.bias = nn.Parameter(new_bias)
        else:
            bias.copy_(new_bias)
