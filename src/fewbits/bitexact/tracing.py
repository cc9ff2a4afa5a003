"""Trace a quantized network with torch.fx into calls of modules, functional calls turned into modules."""

# Arguments of traced calls may be anything.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
from __future__ import annotations

import math
import operator
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from fewbits.errors import ModelError
from fewbits.quantize import QuantizedLayer, QuantizedModel


@dataclass(frozen=True, eq=False)
class Call:
    """One traced call, as a module applied to the result of one other call."""

    name: str
    """The module's name in the network; the traced call's own name for a function or a module used before."""

    source: str
    """Name of the call that gives the input; `images` for what the network is given."""

    module: nn.Module | Reshape


@dataclass(frozen=True)
class Reshape:
    """A `view` or `reshape` to two dimensions, the first of them the batch."""

    features: int
    """Size of the second dimension; -1 for whatever fits."""


@dataclass(frozen=True)
class Trace:
    """Calls in the order of execution."""

    calls: tuple[Call, ...]
    output: str
    """Name of the call that gives the network's result."""


IMAGES = "images"
"""Name of what a network is given."""


def trace(model: QuantizedModel) -> Trace:
    """The calls that a quantized network makes on one batch of images, in evaluation mode.

    Raises ModelError, naming the call, if the network cannot be traced, takes several inputs, gives several results,
    or calls a function that has no operation.
    """
    with _evaluating(model.network):
        try:
            graph = _Tracer().trace(model.network)
        except Exception as error:  # whatever a user's forward raises when it is given proxies
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ModelError(
                f"{type(model.network).__name__} cannot be traced by torch.fx: {reason}; "
                "make its forward pass free of decisions on values"
            ) from error
    return _Reader(model, graph).read()


class _Tracer(fx.Tracer):
    """Stops at quantized layers and at torch's own modules."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, QuantizedLayer) or super().is_leaf_module(m, module_qualified_name)


@contextmanager
def _evaluating(network: nn.Module) -> Generator[None]:
    """Evaluation mode for a while: `self.training` is read while tracing."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


class _Reader:
    """Turns the nodes of a traced graph into calls."""

    def __init__(self, model: QuantizedModel, graph: fx.Graph) -> None:
        self._model = model
        self._graph = graph
        self._names: dict[fx.Node, str] = {}

    def read(self) -> Trace:
        calls: list[Call] = []
        output = ""
        needed = _needed(self._graph)
        for node in self._graph.nodes:
            if node not in needed:
                continue
            if node.op == "placeholder":
                self._add_input(node)
            elif node.op == "output":
                output = self._source(node, node.args[0])
            elif not _is_size(node):
                call = self._call(node)
                self._names[node] = call.name
                calls.append(call)
        return Trace(tuple(calls), output)

    def _add_input(self, node: fx.Node) -> None:
        if IMAGES in self._names.values():
            raise ModelError(
                f"the network takes a second input, {node.name!r}: only one batch of images can be lowered"
            )
        self._names[node] = IMAGES

    def _call(self, node: fx.Node) -> Call:
        if node.op == "call_module":
            module = self._model.network.get_submodule(str(node.target))
            name = node.name if node.target in self._names.values() else str(node.target)
            return Call(name, self._source(node, node.args[0] if node.args else None), module)
        if node.op == "get_attr":
            raise ModelError(f"the network uses its own tensor {node.target!r} outside a layer: it cannot be lowered")
        arguments = node.args[0] if node.args else node.kwargs.get("input")
        return Call(node.name, self._source(node, arguments), _as_module(node))

    def _source(self, node: fx.Node, argument: Any) -> str:
        if not isinstance(argument, fx.Node) or argument not in self._names:
            raise ModelError(f"{_describe(node)} takes {argument!r}: it must take the result of one other layer")
        return self._names[argument]


def _needed(graph: fx.Graph) -> set[fx.Node]:
    """The nodes on which the result depends."""
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or node in needed:
            needed.update((node, *node.all_input_nodes))
    return needed


def _is_size(node: fx.Node) -> bool:
    """Whether a node reads a shape (`x.size(0)`, `x.shape[0]`), which a `view` needs."""
    if node.op == "call_method":
        return node.target == "size"
    if node.target is getattr:
        return node.args[1] == "shape"
    return node.target is operator.getitem and isinstance(node.args[0], fx.Node) and _is_size(node.args[0])


def _describe(node: fx.Node) -> str:
    """A node as an error calls it: layer, kind."""
    if node.op == "output":
        return "the network's result"
    target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"call {node.name!r} ({target})"


def _functions() -> dict[Any, tuple[Callable[..., nn.Module], tuple[str, ...]]]:
    """Functions and methods by target: the module of the same meaning, the parameters after the input in order."""
    pool = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    average = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    table: dict[Any, tuple[Callable[..., nn.Module], tuple[str, ...]]] = {
        F.relu: (nn.ReLU, ("inplace",)),
        F.relu_: (nn.ReLU, ()),
        torch.relu: (nn.ReLU, ()),
        torch.relu_: (nn.ReLU, ()),
        "relu": (nn.ReLU, ()),
        "relu_": (nn.ReLU, ()),
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
    for dropout in (F.dropout, F.dropout1d, F.dropout2d, F.alpha_dropout, F.feature_alpha_dropout):
        table[dropout] = (_dropout, ("p", "training", "inplace"))
    return table


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
    if node.target not in _FUNCTIONS:
        raise ModelError(
            f"{_describe(node)} cannot be lowered: there is no bit-exact form of this function; "
            "use convolutions, linear layers, ReLU, pooling and flatten"
        )
    make, parameters = _FUNCTIONS[node.target]
    settings = dict(zip(parameters, node.args[1:], strict=False)) | dict(node.kwargs)
    settings.pop("input", None)
    settings.pop("memory_format", None)
    if any(isinstance(value, (fx.Node, Tensor)) for value in settings.values()):
        raise ModelError(f"{_describe(node)} has settings that depend on values: give constants")
    module = make(**settings)
    if isinstance(module, nn.Dropout):
        raise ModelError(f"{_describe(node)} drops values even in evaluation: pass training=self.training")
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
    raise ModelError(f"{_describe(node)} to {sizes!r} cannot be lowered: only (batch, features) can; use torch.flatten")


def flattened(shape: tuple[int, ...], module: nn.Flatten | Reshape, name: str) -> tuple[int, ...]:
    """Shape, without the batch, after a flatten or view. Raises ModelError if that mixes images or does not fit."""
    if isinstance(module, Reshape):
        if module.features not in (-1, math.prod(shape)):
            raise ModelError(f"call {name!r} views {math.prod(shape)} values of an image as {module.features}")
        return (math.prod(shape),)
    rank = len(shape) + 1
    start, end = (dim + rank if dim < 0 else dim for dim in (module.start_dim, module.end_dim))
    if not 1 <= start <= end < rank:
        raise ModelError(
            f"layer {name!r} flattens dimensions {module.start_dim} to {module.end_dim} of {rank}: "
            "the batch (0) must stay, so start at 1"
        )
    return (*shape[: start - 1], math.prod(shape[start - 1 : end]), *shape[end:])
