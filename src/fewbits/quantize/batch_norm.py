"""`fold_batch_norm`: normalization by frozen statistics becomes part of the weights and bias of the layer before it."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportPrivateUsage=false
from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fewbits.errors import ModelError
from fewbits.quantize.float_layer import FloatLayer
from fewbits.quantize.layer import QuantizedLayer
from fewbits.quantize.model import QuantizedModel
from fewbits.quantize.tracing import graph_of, is_shared

Network = TypeVar("Network", bound=nn.Module)


def batch_norms(model: nn.Module) -> tuple[str, ...]:
    """Names of the batch normalizations in a network."""
    modules: dict[str, nn.Module] = dict(model.named_modules())
    return tuple(name for name, module in modules.items() if isinstance(module, _BatchNorm))


def fold_batch_norm(model: Network) -> Network:
    """A copy in which each batch normalization that directly follows a layer is folded into it; the model stays.

    With the running statistics frozen, normalization is y = scale * x + offset for each channel, scale = weight /
    sqrt(variance + eps): the layer's weights are multiplied by the scale, and its bias becomes scale * (bias - mean) +
    the normalization's bias (Jacob et al., "Quantization and training of neural networks for efficient
    integer-arithmetic inference", CVPR 2018, equation 14). Computed in float64 and rounded once; an nn.Identity takes
    the place of the normalization. The result computes what the model does in evaluation, up to float32's rounding.

    model: a float network that torch.fx can trace, or a quantized one, which then needs `calibrate` anew, as its
    weights have changed. A normalization after anything else (a sum, a pooling, a layer whose result others use too)
    stays; after `quantize` it is named in `.skipped`.
    Raises ModelError if the network cannot be traced, or a normalization has no running statistics.
    """
    folded = copy.deepcopy(model)
    network = folded.network if isinstance(folded, QuantizedModel) else folded
    if not batch_norms(network):
        return folded
    done: list[str] = []
    for layer_name, norm_name in _pairs(graph_of(network), network):
        norm = network.get_submodule(norm_name)
        assert isinstance(norm, _BatchNorm)
        fold_into(network.get_submodule(layer_name), norm, norm_name)
        network.set_submodule(norm_name, nn.Identity())
        done.append(norm_name)
    if isinstance(folded, QuantizedModel):
        folded.skipped = tuple(entry for entry in folded.skipped if entry.name not in done)
    return folded


def foldable(graph: fx.Graph, network: nn.Module) -> dict[str, str]:
    """The normalizations that `fold_batch_norm` folds, by name, each with the name of the layer before it."""
    return {norm: layer for layer, norm in _pairs(graph, network) if _has_statistics(network.get_submodule(norm))}


def _has_statistics(norm: nn.Module) -> bool:
    return getattr(norm, "running_mean", None) is not None


def _pairs(graph: fx.Graph, network: nn.Module) -> list[tuple[str, str]]:
    """Names of each layer and the normalization that alone takes its result, both used once."""
    calls: dict[int, int] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            module = id(network.get_submodule(str(node.target)))
            calls[module] = calls.get(module, 0) + 1
    pairs: list[tuple[str, str]] = []
    for node in graph.nodes:
        source = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or is_shared(source):
            continue
        norm, layer = network.get_submodule(str(node.target)), network.get_submodule(str(source.target))
        is_pair = isinstance(norm, _BatchNorm) and isinstance(layer, (FloatLayer, QuantizedLayer))
        if is_pair and calls[id(norm)] == calls[id(layer)] == 1:
            pairs.append((str(source.target), str(node.target)))
    return pairs


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
