"""Trace a network with torch.fx: its graph, and its calls as modules applied to the results of other calls."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.fx import proxy as fx_proxy
from torch.nn.modules.batchnorm import _BatchNorm

from fewbits.errors import ModelError
from fewbits.graph.catalogue import application
from fewbits.graph.float_layer import TracedNetwork, ValueRounding, WrappedLayer
from fewbits.graph.foldings import Foldings
from fewbits.graph.global_average import write_as_pooling
from fewbits.graph.in_place import AUGMENTED, write_as_values
from fewbits.graph.kinds.batch_norm import FoldedNorm
from fewbits.graph.modes import in_mode, noting_mode
from fewbits.graph.module_kinds import is_float_layer, is_layer, reason_left_float, reason_to_skip, reason_without_form
from fewbits.graph.parameters import has_hooks
from fewbits.graph.refusals import OWN_TENSOR, Skipped, UnsupportedError, target_name, unsupported
from fewbits.graph.spelling import called_module, is_size


class TraceError(UnsupportedError):
    """A network that torch.fx cannot trace as a whole."""

    def __init__(self, network: nn.Module, reason: str) -> None:
        super().__init__(Skipped("", class_name(network), reason))


@dataclass(frozen=True, eq=False)
class Call:
    """One traced call, as a module applied to the results of other calls."""

    name: str
    """The module's name in the network; the traced call's own name for a function or a module used before."""

    sources: tuple[str, ...]
    """Names of the calls that give the inputs; `images` for what the network is given."""

    module: Any
    """What is applied: a module, or what its kind of operation has in its place."""

    place: str = ""
    """The module's name, also when it is used again; of a function or method the module that calls it, or its own name
    where that is the network itself."""


@dataclass(frozen=True)
class Trace:
    """Calls in the order of execution."""

    calls: tuple[Call, ...]
    output: str
    """Name of the call that gives the network's result."""


IMAGES = "images"
"""Name of what a network is given."""


def trace(network: nn.Module) -> Trace:
    """The calls that a network makes on one batch of images, in evaluation mode.

    Raises TraceError if the network cannot be traced; UnsupportedError, naming the module or call, if it takes several
    inputs, gives several results, or calls what has no bit-exact form (convolutions and linear layers count as such).
    """
    return calls_of(network, graph_of(network))


def calls_of(network: nn.Module, graph: fx.Graph, folded: Collection[str] = ()) -> Trace:
    """The calls of a traced graph. folded: names of normalizations that count as part of the layer before them.

    Raises UnsupportedError; see `trace`.
    """
    reader = _Reader(network, graph, folded)
    traced = reader.read()
    for refusal in reader.refusals:
        raise UnsupportedError(refusal)
    return traced


def refusals_of(network: nn.Module, graph: fx.Graph) -> tuple[Skipped, ...]:
    """Everything that a network executes and that has no bit-exact form, in the order of execution; each once."""
    reader = _Reader(network, graph)
    reader.read()
    return tuple(reader.refusals)


def graph_of(network: nn.Module, *, training: bool = False) -> fx.Graph:
    """The graph of a network's calls in evaluation or training mode; see `graph_and_mode`."""
    return graph_and_mode(network, training=training)[0]


def graph_and_mode(network: nn.Module, *, training: bool = False) -> tuple[fx.Graph, bool]:
    """The graph of a network's calls in evaluation or training mode, and whether the other mode's may differ.

    Arguments with a default keep it. Means over all spatial dimensions are written as pooling, in-place calls as calls
    whose result all later ones take. A network with roundings has its graph already.
    Raises TraceError if torch.fx cannot trace it, or if it overwrites a part of a tensor whose rest is used again.
    """
    if isinstance(network, TracedNetwork) and not has_hooks(network):
        return network.graph, False
    with in_mode(network, training=training), noting_mode(network) as asking:
        try:
            graph = _Tracer().trace(network, concrete_args=_defaults(network))
        except (Exception, SystemExit) as error:  # whatever a user's forward raises when it is given proxies
            raise TraceError(network, f"it cannot be traced by torch.fx: {_cause(error)}") from error
    try:
        write_as_values(graph, network)
    except ModelError as error:
        raise TraceError(network, f"it cannot be traced as values: {error}") from error
    write_as_pooling(graph, network)
    for node in graph.nodes:
        node.type = None  # annotations, here and of the user, may be text, which torch.fx cannot pickle
    return graph, bool(asking)


class _DecisionError(ModelError):
    """A forward pass that asks for a value while it is traced."""


class _Tracer(fx.Tracer):
    """Stops at quantized layers, roundings and torch's own modules; says what a decision rests on.

    Calls the network's own hooks, and sees `y += x`.
    """

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Refuse an `if`, `assert` or `while` on a traced value."""
        inner = next(reversed(self.module_stack.values()))[0] if self.module_stack else ""
        if isinstance(norm := self.root.get_submodule(inner), _BatchNorm) and (reason := reason_left_float(norm)):
            raise _DecisionError(f"layer {inner!r} ({class_name(norm)}) is {reason}")
        if is_size(obj.node):
            raise _DecisionError(
                "its forward pass decides on a shape, which is not known before an image is given; leave the check "
                "out, or write it as torch._assert(x.shape[2] == 32, 'message')"
            )
        raise _DecisionError(
            "its forward pass decides on values, so that each image might take another way; leave the decision out"
        )

    def iter(self, obj: fx.Proxy) -> Any:
        """Refuse a loop over a traced value; unpacking to a known number of names is none."""
        try:
            return super().iter(obj)
        except fx_proxy.TraceError:
            what = "a shape: write its sizes as numbers, or use torch.flatten(x, 1)" if is_size(obj.node) else "values"
            raise _DecisionError(f"its forward pass loops over {what}") from None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        is_whole = isinstance(m, (WrappedLayer, ValueRounding, FoldedNorm)) or _is_plain_norm(m)
        return is_whole or super().is_leaf_module(m, module_qualified_name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Value(node, self)

    def create_args_for_root(self, *args: Any, **kwargs: Any) -> Any:
        """torch.fx traces the forward pass alone, without the hooks around it; those of parts it calls."""
        forward, arguments = super().create_args_for_root(*args, **kwargs)

        def with_hooks(network: nn.Module, *values: Any) -> Any:
            return _with_hooks(network, forward, values)

        return with_hooks, arguments


def _is_plain_norm(module: nn.Module) -> bool:
    """Whether a batch normalization's forward pass is torch's own, which asks for the images' shape."""
    return isinstance(module, _BatchNorm) and type(module).forward is _BatchNorm.forward


class _Value(fx.Proxy):
    """A traced value that records augmented assignments, which overwrite tensors, as what they are."""


def _augmented(function: Any) -> Any:
    def record(self: _Value, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return record


for _name, _function in AUGMENTED.items():
    setattr(_Value, _name, _augmented(_function))


def _with_hooks(network: nn.Module, forward: Any, values: tuple[Any, ...]) -> Any:
    """A forward pass with the hooks that calling the network would call."""
    named: dict[str, Any] = {}
    for number, hook in network._forward_pre_hooks.items():
        takes_named = number in network._forward_pre_hooks_with_kwargs
        given = hook(network, values, named) if takes_named else hook(network, values)
        if given is not None:
            given = given[0] if takes_named else given
            values = given if isinstance(given, tuple) else (given,)
    result = forward(network, *values)
    for number, hook in network._forward_hooks.items():
        takes_named = number in network._forward_hooks_with_kwargs
        changed = hook(network, values, named, result) if takes_named else hook(network, values, result)
        result = result if changed is None else changed
    return result


_LIBRARIES = {Path(torch.__file__).parent, Path(__file__).parents[1]}


def _cause(error: BaseException) -> str:
    """Why a forward pass cannot be traced, and where in the user's code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.line and not _LIBRARIES & set(Path(frame.filename).parents)]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno}: {(own[-1].line or '')[:80]})" if own else ""
    if isinstance(error, ModelError):
        return f"{error}{where}"
    if "'len' is not supported" in str(error):
        return f"its forward pass takes the length of a tensor, which x.size(0) gives too{where}"
    if "does not support item assignment" in str(error):
        return f"its forward pass writes into a part of a tensor{where}; make a new one, as torch.where or torch.cat do"
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{reason}{where}; make its forward pass one of layers and functions of tensors, without decisions on values"


def _defaults(network: nn.Module) -> dict[str, Any] | None:
    """The default values of a forward pass' arguments, which a proxy would hide from its decisions."""
    parameters = inspect.signature(network.forward).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty} or None


class _Reader:
    """Turns the nodes of a traced graph into calls; what has no bit-exact form is noted and read on."""

    def __init__(self, network: nn.Module, graph: fx.Graph, folded: Collection[str] = ()) -> None:
        self._network = network
        self._graph = graph
        self._folded = folded
        self._foldings = Foldings(graph, network)
        self._names: dict[fx.Node, str] = {}
        self._refusals: dict[str, Skipped] = {}

    @property
    def refusals(self) -> list[Skipped]:
        """What has no bit-exact form, in the order of execution."""
        return list(self._refusals.values())

    def read(self) -> Trace:
        calls: list[Call] = []
        output = ""
        needed = needed_nodes(self._graph)
        for node in self._graph.nodes:
            if node not in needed or node.op == "get_attr" or (is_size(node) and node.op != "output"):
                continue
            if node.op == "placeholder":
                self._add_input(node)
            elif node.op == "output":
                output = self._source(node, node.args[0])
            else:
                call = self._call(node)
                self._names[node] = call.name
                calls.append(call)
        if not self._refusals and not any(is_layer(call.module) for call in calls):
            self._refuse_network(
                "its result does not pass through a convolution or linear layer: there is nothing to lower"
            )
        return Trace(tuple(calls), output)

    def _add_input(self, node: fx.Node) -> None:
        if IMAGES in self._names.values():
            self._refuse_network(f"it takes a second input, {node.name!r}, and only one batch of images can be lowered")
        self._names[node] = IMAGES

    def _call(self, node: fx.Node) -> Call:
        is_first_use = node.op == "call_module" and node.target not in self._names.values()
        name = str(node.target) if is_first_use else node.name
        place = place_of(node) or target_name(node)
        try:
            applied = application(node, self._network)
            self._check_module(node, applied.meaning)
        except UnsupportedError as error:
            self._refuse(node, error.skipped)
            return Call(name, (), nn.Identity(), place)
        is_folded = node.op == "call_module" and node.target in self._folded
        sources = tuple(self._source(node, source) for source in applied.sources)
        return Call(name, sources, nn.Identity() if is_folded else applied.meaning, place)

    def _check_module(self, node: fx.Node, meaning: Any) -> None:
        """Raise UnsupportedError for a module without a bit-exact form."""
        is_known = not isinstance(meaning, nn.Module) or isinstance(meaning, (WrappedLayer, ValueRounding))
        if is_known or (node.op == "call_module" and node.target in self._folded):
            return
        normalizes = isinstance(meaning, _BatchNorm)
        reason = self._foldings.advice(node) if normalizes else reason_without_form(meaning)
        if reason is not None and node.op == "call_module":
            raise UnsupportedError(Skipped(str(node.target), type(meaning).__name__, reason))
        if reason is not None:
            raise unsupported(node, reason)

    def _source(self, node: fx.Node, argument: Any) -> str:
        if isinstance(argument, fx.Node) and argument in self._names:
            return self._names[argument]
        if isinstance(argument, fx.Node) and argument.op == "get_attr":
            reason = OWN_TENSOR.format(argument.target)
        else:
            reason = f"it takes {argument!r}, and must take the result of one other layer"
        if node.op == "output":
            several = isinstance(argument, (tuple, list, dict))
            what = "it returns several results" if several else reason.replace("it takes", "it returns")
            self._refuse_network(f"{what}: return the tensor of one layer" if several else what)
        elif node.op == "call_module":
            self._refuse(node, Skipped(str(node.target), class_name(called_module(node, self._network)), reason))
        else:
            self._refuse(node, unsupported(node, reason).skipped)
        return IMAGES

    def _refuse(self, node: fx.Node, refusal: Skipped) -> None:
        """Note a refusal; a call's under the name of the user's module that calls it, if its kind is the cause."""
        name = place_of(node)
        if refusal.is_call and name:
            module = self._network.get_submodule(name)
            reason = reason_to_skip(module) if is_float_layer(module) else reason_left_float(module)
            if reason is not None:
                is_leaf = next(module.children(), None) is None and next(module.parameters(), None) is None
                cause = f"its forward pass calls {refusal.kind!r}: {refusal.reason}"
                refusal = Skipped(name, class_name(module), cause if is_leaf else reason)
        elif refusal.name and not refusal.is_call:
            refusal = replace(refusal, kind=class_name(self._network.get_submodule(refusal.name)))
        self._refusals.setdefault(refusal.name, refusal)

    def _refuse_network(self, reason: str) -> None:
        self._refusals.setdefault("", Skipped("", class_name(self._network), reason))


def place_of(node: fx.Node) -> str:
    """Name of the module that a node calls, or in whose forward pass it is; empty in the network's own."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(list(stack.values())[-1][0]) if stack else ""


def class_name(module: nn.Module) -> str:
    """A module's class; that of the float layer in a quantized one."""
    return type(module.layer if isinstance(module, WrappedLayer) else module).__name__


def needed_nodes(graph: fx.Graph) -> set[fx.Node]:
    """The nodes on which the result depends."""
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or node in needed:
            needed.update((node, *node.all_input_nodes))
    return needed
