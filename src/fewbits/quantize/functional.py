"""What the calls of a traced network mean: a module for each, functions and methods turned into modules."""

# Arguments of traced calls may be anything.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from fewbits.errors import ModelError


@dataclass(frozen=True)
class Reshape:
    """A `view` or `reshape` to two dimensions, the first of them the batch."""

    features: int
    """Size of the second dimension; -1 for whatever fits."""


@dataclass(frozen=True)
class Addition:
    """The sum of two tensors of one shape."""


@dataclass(frozen=True)
class Concatenation:
    """Tensors one after another."""

    dim: int
    """Along which dimension, the batch counted; negative from the end."""


Meaning = nn.Module | Reshape | Addition | Concatenation


@dataclass(frozen=True)
class Application:
    """A node of a traced graph: something applied to the results of others."""

    meaning: Meaning
    sources: tuple[Any, ...]
    """The operands; fx.Nodes, unless the call is one that cannot be lowered."""


def application(node: fx.Node, network: nn.Module) -> Application:
    """What a node that calls a module, a function or a method does.

    Raises ModelError if fewbits knows no module of this meaning, or its settings depend on values.
    """
    if node.op == "call_module":
        return Application(network.get_submodule(str(node.target)), node.args[:1] or (None,))
    if node.op == "get_attr":
        raise ModelError(f"the network uses its own tensor {node.target!r} outside a layer: it cannot be lowered")
    if node.target in _ADDING:
        return _addition(node)
    if node.target in _CONCATENATING:
        return _concatenation(node)
    source = node.args[0] if node.args else node.kwargs.get("input")
    return Application(_as_module(node), (source,))


def describe(node: fx.Node) -> str:
    """A node as an error calls it: layer, kind."""
    return "the network's result" if node.op == "output" else f"call {node.name!r} ({target_name(node)})"


def target_name(node: fx.Node) -> str:
    """Name of the function or method that a node calls."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def is_size(node: fx.Node) -> bool:
    """Whether a node reads a shape (`x.size(0)`, `x.shape[0]`), which a `view` needs."""
    if node.op == "call_method":
        return node.target == "size"
    if node.target is getattr:
        return node.args[1] == "shape"
    return node.target is operator.getitem and isinstance(node.args[0], fx.Node) and is_size(node.args[0])


_ADDING: frozenset[Any] = frozenset((operator.add, operator.iadd, torch.add, "add", "add_", "__add__", "__iadd__"))
_CONCATENATING: frozenset[Any] = frozenset((torch.cat, torch.concat, torch.concatenate))


def _addition(node: fx.Node) -> Application:
    """The sum of two tensors. Raises ModelError for a constant or a factor (`alpha`)."""
    operands = (*node.args, *(node.kwargs[name] for name in ("input", "other") if name in node.kwargs))
    if len(operands) != 2 or not all(isinstance(operand, fx.Node) for operand in operands):
        raise ModelError(f"{describe(node)} adds {operands!r}: only the results of two layers can be added")
    if node.kwargs.get("alpha", 1) != 1:
        raise ModelError(f"{describe(node)} has alpha {node.kwargs['alpha']!r}: only plain sums can be lowered")
    return Application(Addition(), operands)


def _concatenation(node: fx.Node) -> Application:
    """Tensors joined along a dimension."""
    settings: dict[str, Any] = dict(zip(("tensors", "dim"), node.args, strict=False)) | dict(node.kwargs)
    tensors, dim = settings.get("tensors"), settings.get("dim", settings.get("axis", 0))
    is_plain = isinstance(tensors, (tuple, list)) and all(isinstance(tensor, fx.Node) for tensor in tensors)
    if not is_plain or not isinstance(dim, int):
        raise ModelError(f"{describe(node)} joins {tensors!r} along {dim!r}: give a list of tensors and a constant")
    parts: Any = tensors
    return Application(Concatenation(dim), tuple(parts))


def _functions() -> dict[Any, tuple[Callable[..., nn.Module], tuple[str, ...]]]:
    """Functions and methods by target: the module of the same meaning, the parameters after the input in order."""
    pool = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    average = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    table: dict[Any, tuple[Callable[..., nn.Module], tuple[str, ...]]] = {
        F.relu: (nn.ReLU, ("inplace",)),
        F.relu_: (_relu_in_place, ()),
        torch.relu: (nn.ReLU, ()),
        torch.relu_: (_relu_in_place, ()),
        "relu": (nn.ReLU, ()),
        "relu_": (_relu_in_place, ()),
        F.max_pool1d: (nn.MaxPool1d, (*pool, "return_indices")),
        F.max_pool2d: (nn.MaxPool2d, (*pool, "return_indices")),
        torch.max_pool1d: (nn.MaxPool1d, pool),
        torch.max_pool2d: (nn.MaxPool2d, pool),
        F.avg_pool1d: (nn.AvgPool1d, average[:-1]),
        F.avg_pool2d: (nn.AvgPool2d, average),
        F.adaptive_avg_pool1d: (nn.AdaptiveAvgPool1d, ("output_size",)),
        F.adaptive_avg_pool2d: (nn.AdaptiveAvgPool2d, ("output_size",)),
        F.adaptive_max_pool1d: (nn.AdaptiveMaxPool1d, ("output_size", "return_indices")),
        F.adaptive_max_pool2d: (nn.AdaptiveMaxPool2d, ("output_size", "return_indices")),
        torch.flatten: (_flatten, ("start_dim", "end_dim")),
        "flatten": (_flatten, ("start_dim", "end_dim")),
        "contiguous": (nn.Identity, ("memory_format",)),
        "detach": (nn.Identity, ()),
    }
    for dropout in DROPOUTS:
        table[dropout] = (_dropout, ("p", "training", "inplace"))
    return table


DROPOUTS: dict[Any, type[nn.Module]] = {
    F.dropout: nn.Dropout,
    F.dropout1d: nn.Dropout1d,
    F.dropout2d: nn.Dropout2d,
    F.alpha_dropout: nn.AlphaDropout,
    F.feature_alpha_dropout: nn.FeatureAlphaDropout,
}
"""Functions that drop values, and the modules that do so in training alone."""


def settings_of(node: fx.Node, parameters: tuple[str, ...]) -> dict[str, Any]:
    """The arguments after the input, by name. Raises ModelError if one depends on values."""
    settings = dict(zip(parameters, node.args[1:], strict=False)) | dict(node.kwargs)
    settings.pop("input", None)
    if any(isinstance(value, (fx.Node, Tensor)) for value in settings.values()):
        raise ModelError(f"{describe(node)} has settings that depend on values: give constants")
    return settings


MEANS: frozenset[Any] = frozenset((torch.mean, "mean"))
"""Functions and methods that average; global ones are written as pooling before (`global_average.py`)."""


def _relu_in_place() -> nn.ReLU:
    """A ReLU that overwrites its input."""
    return nn.ReLU(inplace=True)


def _flatten(start_dim: int = 0, end_dim: int = -1) -> nn.Flatten:
    """`torch.flatten`, whose default includes the batch."""
    return nn.Flatten(start_dim, end_dim)


def _dropout(p: float = 0.5, training: bool = True, inplace: bool = False) -> nn.Module:
    """What a functional dropout does in evaluation; `training` is on unless the call says otherwise."""
    return nn.Dropout(p) if training else nn.Identity()


_FUNCTIONS = _functions()


def _as_module(node: fx.Node) -> nn.Module | Reshape:
    """The module that means the same as a functional call. Raises ModelError if there is none."""
    if node.target in ("view", "reshape") or node.target is torch.reshape:
        return _reshape(node)
    if node.target in MEANS:
        raise ModelError(
            f"{describe(node)} cannot be lowered: only the mean over all spatial dimensions of what a convolution "
            "makes can, as x.mean((2, 3)); use nn.AdaptiveAvgPool2d or nn.AdaptiveAvgPool1d"
        )
    if node.target not in _FUNCTIONS:
        raise ModelError(
            f"{describe(node)} cannot be lowered: there is no bit-exact form of this function; "
            "use convolutions, linear layers, ReLU, pooling, flatten, addition and concatenation"
        )
    make, parameters = _FUNCTIONS[node.target]
    settings = settings_of(node, parameters)
    settings.pop("memory_format", None)
    module = make(**settings)
    if isinstance(module, nn.Dropout):
        raise ModelError(f"{describe(node)} drops values even in evaluation: pass training=self.training")
    return module


def _reshape(node: fx.Node) -> Reshape:
    """A view to (batch, features). Raises ModelError for any other."""
    sizes: Any = node.args[1:] or (node.kwargs.get("shape"),)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    if len(sizes) == 2:
        batch, features = sizes
        keeps_batch = batch == -1 or isinstance(batch, fx.Node)
        if keeps_batch and isinstance(features, int) and (features > 0 or isinstance(batch, fx.Node)):
            return Reshape(features)
    raise ModelError(f"{describe(node)} to {sizes!r} cannot be lowered: only (batch, features) can; use torch.flatten")
