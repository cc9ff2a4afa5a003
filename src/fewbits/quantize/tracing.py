"""Trace a network with torch.fx: its graph, and its calls as modules applied to the results of other calls."""

# Arguments of traced calls may be anything.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportPrivateUsage=false
from __future__ import annotations

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from fewbits.errors import ModelError
from fewbits.quantize.functional import Meaning, application, describe, is_size
from fewbits.quantize.global_average import write_as_pooling
from fewbits.quantize.in_place import AUGMENTED, write_as_values
from fewbits.quantize.layer import QuantizedLayer
from fewbits.quantize.module_kinds import FoldedNorm
from fewbits.quantize.tensor_rounding import TensorRounding


class TraceError(ModelError):
    """A network that torch.fx cannot trace as a whole."""


@dataclass(frozen=True, eq=False)
class Call:
    """One traced call, as a module applied to the results of other calls."""

    name: str
    """The module's name in the network; the traced call's own name for a function or a module used before."""

    sources: tuple[str, ...]
    """Names of the calls that give the inputs; `images` for what the network is given."""

    module: Meaning


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

    Raises ModelError, naming the call, if the network cannot be traced, takes several inputs, gives several results,
    or calls a function that has no operation.
    """
    return _Reader(network, graph_of(network)).read()


def graph_of(network: nn.Module, *, training: bool = False) -> fx.Graph:
    """The graph of a network's calls in evaluation or training mode; arguments with a default keep it.

    Means over all spatial dimensions are written as pooling, in-place calls as calls whose result all later ones take.
    Raises TraceError if torch.fx cannot trace it, or if it overwrites a part of a tensor whose rest is used again.
    """
    with _in_mode(network, training):
        try:
            graph = _Tracer().trace(network, concrete_args=_defaults(network))
        except Exception as error:  # whatever a user's forward raises when it is given proxies
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise TraceError(
                f"{type(network).__name__} cannot be traced by torch.fx: {reason}; "
                "make its forward pass free of decisions on values"
            ) from error
    try:
        write_as_values(graph, network)
    except ModelError as error:
        raise TraceError(f"{type(network).__name__} cannot be traced as values: {error}") from error
    write_as_pooling(graph, network)
    return graph


class _Tracer(fx.Tracer):
    """Stops at quantized layers, roundings and torch's own modules; calls the network's own hooks, sees `y += x`."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (QuantizedLayer, TensorRounding, FoldedNorm)) or super().is_leaf_module(
            m, module_qualified_name
        )

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Value(node, self)

    def create_args_for_root(self, *args: Any, **kwargs: Any) -> Any:
        """torch.fx traces the forward pass alone, without the hooks around it; those of parts it calls."""
        forward, arguments = super().create_args_for_root(*args, **kwargs)

        def with_hooks(network: nn.Module, *values: Any) -> Any:
            return _with_hooks(network, forward, values)

        return with_hooks, arguments


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


def _defaults(network: nn.Module) -> dict[str, Any] | None:
    """The default values of a forward pass' arguments, which a proxy would hide from its decisions."""
    parameters = inspect.signature(network.forward).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty} or None


@contextmanager
def _in_mode(network: nn.Module, training: bool) -> Generator[None]:
    """A mode for a while: `self.training` is read while tracing."""
    modes = {module: module.training for module in network.modules()}
    network.train(training)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


class _Reader:
    """Turns the nodes of a traced graph into calls."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        self._network = network
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
            elif not is_size(node):
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
        applied = application(node, self._network)
        is_first_use = node.op == "call_module" and node.target not in self._names.values()
        name = str(node.target) if is_first_use else node.name
        sources = tuple(self._source(node, source) for source in applied.sources)
        return Call(name, sources, applied.meaning)

    def _source(self, node: fx.Node, argument: Any) -> str:
        if not isinstance(argument, fx.Node) or argument not in self._names:
            raise ModelError(f"{describe(node)} takes {argument!r}: it must take the result of one other layer")
        return self._names[argument]


def is_shared(node: fx.Node) -> bool:
    """Whether several calls use a node's values (a shape is none of them)."""
    return sum(not is_size(user) for user in node.users) > 1


def _needed(graph: fx.Graph) -> set[fx.Node]:
    """The nodes on which the result depends."""
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or node in needed:
            needed.update((node, *node.all_input_nodes))
    return needed
