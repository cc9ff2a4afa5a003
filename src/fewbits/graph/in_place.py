"""Calls that overwrite a tensor, written in a traced graph as calls whose result all later ones take.

PyTorch's in-place calls change an object that several names may mean; a traced graph knows values alone. Here each
storage has a newest value, and what was taken from the storage before is taken anew from that, as a view shows it.
"""

from __future__ import annotations

import inspect
import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from fewbits.errors import ModelError
from fewbits.graph.catalogue import catalogue
from fewbits.graph.refusals import target_name
from fewbits.graph.spelling import called_module, is_size, operand_of

AUGMENTED: dict[str, Any] = {
    "__iadd__": operator.iadd,
    "__isub__": operator.isub,
    "__imul__": operator.imul,
    "__itruediv__": operator.itruediv,
    "__ifloordiv__": operator.ifloordiv,
    "__imod__": operator.imod,
    "__ipow__": operator.ipow,
}
"""Python's augmented assignments that overwrite a tensor."""

_PLAIN: dict[Any, Any] = {
    function: getattr(operator, function.__name__.removeprefix("i")) for function in AUGMENTED.values()
}


def write_as_values(graph: fx.Graph, network: nn.Module) -> None:
    """Let every call that follows an in-place one take its result, whatever name the source has; in place.

    Raises ModelError where a part of a tensor is overwritten and the rest is used again.
    """
    _Writer(graph, network).write()


@dataclass(frozen=True)
class _Place:
    """Where a value lies."""

    root: fx.Node
    """The call that made the tensor."""

    views: tuple[fx.Node, ...] = ()
    """Calls that lead from the tensor to the value."""


class _Writer:
    """Follows the values of a graph through its in-place calls."""

    def __init__(self, graph: fx.Graph, network: nn.Module) -> None:
        self._graph = graph
        self._network = network
        self._order = {node: number for number, node in enumerate(graph.nodes)}
        self._users = {node: tuple(node.users) for node in graph.nodes}
        self._places: dict[fx.Node, _Place] = {}
        self._newest: dict[fx.Node, fx.Node] = {}
        """The newest value of each tensor, by the call that made it."""
        self._seen: dict[fx.Node, fx.Node] = {}
        """The newest value of its tensor when a value was taken."""
        self._made: dict[tuple[fx.Node, fx.Node], fx.Node] = {}

    def write(self) -> None:
        if not any("out" in node.kwargs or self._is_in_place(node) for node in self._graph.nodes):
            return
        for node in list(self._graph.nodes):
            if not is_size(node):
                self._read(node)
        for value, _ in reversed(self._made):  # views that nobody takes as they were
            if not value.users:
                self._graph.erase_node(value)

    def _read(self, node: fx.Node) -> None:
        written = self._written(node)
        source = operand_of(node)
        is_view = written is None and isinstance(source, fx.Node) and self._kind(node) is not None
        place = self._places[source] if is_view and source in self._places else None
        if any(not self._is_current(value) for value in node.all_input_nodes):
            with self._graph.inserting_before(node):
                node.args = fx.map_arg(node.args, self._current)
                node.kwargs = fx.map_arg(node.kwargs, self._current)
        self._places[node] = _Place(node) if place is None else _Place(place.root, (*place.views, node))
        self._take(node)
        if written is not None:
            self._overwrite(node, self._places[written])

    def _take(self, node: fx.Node) -> None:
        root = self._places[node].root
        self._seen[node] = self._newest.setdefault(root, root)

    def _is_current(self, value: fx.Node) -> bool:
        place = self._places.get(value)
        return place is None or self._newest[place.root] is self._seen[value]

    def _current(self, value: fx.Node) -> fx.Node:
        """What a value is now: itself, or seen anew in what has overwritten its tensor."""
        if self._is_current(value):
            return value
        place = self._places[value]
        newest = self._newest[place.root]
        if (value, newest) not in self._made:
            made = newest
            for view in place.views:
                made = self._copy(view, made)
            self._made[value, newest] = made
        return self._made[value, newest]

    def _copy(self, node: fx.Node, source: fx.Node) -> fx.Node:
        """The same call on another source."""
        first = node.args[0]
        return self._graph.node_copy(node, lambda operand: source if operand is first else operand)

    def _overwrite(self, node: fx.Node, place: _Place) -> None:
        """An in-place call: its result is the newest value of the tensor."""
        whole = all(self._kind(view) == "whole" for view in place.views)
        moves = any(_is_reshaping(view, self._network) for view in place.views)
        if (not whole or (moves and not self._is_elementwise(node))) and self._is_read_again(node, place.root):
            raise ModelError(
                f"call {node.name!r} ({target_name(node)}) writes into a part or another view of a tensor that is "
                "used again: give its result a name, or join parts by torch.cat"
            )
        if not moves or not whole:
            self._newest[place.root] = self._seen[node] = node
            self._places[node] = place  # the overwritten view, which a later call may change again
            _as_plain(node)
            return
        with self._graph.inserting_before(node):  # each element by itself: then the whole tensor may be overwritten
            newest = result = self._copy(node, self._newest[place.root])
            for view in place.views:
                result = self._copy(view, result)
        _as_plain(newest)
        node.replace_all_uses_with(result)
        self._users[result] = self._users[node]
        self._graph.erase_node(node)
        del self._places[node], self._seen[node]
        self._newest[place.root] = self._seen[result] = newest
        self._places[result] = place

    def _is_read_again(self, node: fx.Node, root: fx.Node) -> bool:
        aliases = [value for value, place in self._places.items() if place.root is root and value is not node]
        return any(self._order[user] > self._order[node] for alias in aliases for user in self._users.get(alias, ()))

    def _written(self, node: fx.Node) -> fx.Node | None:
        """What a call overwrites; None for others."""
        out = node.kwargs.get("out")
        source = operand_of(node)
        target = out if out is not None else source
        if not isinstance(target, fx.Node) or target not in self._places or is_size(target):
            return None
        return target if out is not None or self._is_in_place(node) else None

    def _is_in_place(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return getattr(called_module(node, self._network), "inplace", False) is True
        if node.op not in ("call_function", "call_method"):
            return False
        return node.target in _PLAIN or _has_in_place_name(node) or _inplace_argument(node)

    def _is_elementwise(self, node: fx.Node) -> bool:
        return len(node.all_input_nodes) == 1 and (
            node.op == "call_module" or _inplace_argument(node) or _name(node) in catalogue().elementwise
        )

    def _kind(self, node: fx.Node) -> str | None:
        """Whether a call gives the whole of its input, or a part, in its memory; None if it makes a tensor."""
        return catalogue().view_of(_called(node, self._network))


def _called(node: fx.Node, network: nn.Module) -> Any:
    """The class of the module, or the function or method, that a node calls; None for other nodes."""
    if node.op == "call_module":
        return type(called_module(node, network))
    return node.target if node.op in ("call_function", "call_method") else None


def _is_reshaping(view: fx.Node, network: nn.Module) -> bool:
    """Whether a view has another shape, perhaps, than what it shows."""
    return not catalogue().keeps_shape(_called(view, network))


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")


def _has_in_place_name(node: fx.Node) -> bool:
    """Whether torch's naming says that a function or method overwrites its input: `relu_`."""
    name = _name(node)
    if not name.endswith("_") or name.endswith("__") or name == "requires_grad_":
        return False
    if node.op == "call_method":
        return hasattr(Tensor, name)
    return getattr(F, name, getattr(torch, name, None)) is node.target


def _inplace_argument(node: fx.Node) -> bool:
    """Whether a function is called with `inplace`, by name or by position."""
    if node.kwargs.get("inplace") is True:
        return True
    if node.op != "call_function" or True not in node.args or not inspect.isfunction(node.target):
        return False
    names = list(inspect.signature(node.target).parameters)
    return "inplace" in names and node.args[names.index("inplace") : names.index("inplace") + 1] == (True,)


def _as_plain(node: fx.Node) -> None:
    """Write an in-place call as the one that makes a new tensor, where there is one."""
    node.kwargs = {name: value for name, value in node.kwargs.items() if name not in ("inplace", "out")}
    if node.op == "call_module":
        return
    if node.target in _PLAIN:
        node.target = _PLAIN[node.target]
    elif inspect.isfunction(node.target):
        names = list(inspect.signature(node.target).parameters)
        if "inplace" in names:
            at = names.index("inplace")
            node.args = (*node.args[:at], False, *node.args[at + 1 :]) if len(node.args) > at else node.args
    if _has_in_place_name(node):
        plain = _name(node)[:-1]
        if node.op == "call_method":
            node.target = plain if callable(getattr(Tensor, plain, None)) else node.target
        else:
            node.target = getattr(F, plain, getattr(torch, plain, node.target))
