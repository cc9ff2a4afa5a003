"""How a call is written: its operands and settings, read from the node of a traced graph."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from fewbits.graph.refusals import UnsupportedError, unsupported


@dataclass(frozen=True)
class Application:
    """A node of a traced graph: something applied to the results of others."""

    meaning: Any
    """A module, or what a kind of operation has in its place, such as `kinds.addition.Addition`."""

    sources: tuple[Any, ...]
    """The operands; fx.Nodes, unless the call is one that cannot be lowered."""


Reading = Callable[[fx.Node], Application]
"""What a call of a function or method means. Raises UnsupportedError for settings without a bit-exact form."""


def spelled(make: Callable[..., Any], *parameters: str) -> Reading:
    """The reading of a function of one operand whose arguments are settings.

    make: gives the meaning of settings given by name; None where they have no form. parameters: the settings' names
    after the operand, in order.
    """

    def read(node: fx.Node) -> Application:
        settings = settings_of(node, parameters)
        settings.pop("memory_format", None)
        try:
            meaning = make(**settings)
        except TypeError as error:
            raise unsupported(node, f"fewbits does not know its arguments: {error}") from error
        except SettingError as error:
            raise unsupported(node, str(error)) from error
        return Application(meaning, (operand_of(node),))

    return read


class SettingError(ValueError):
    """Settings without a bit-exact form; the text is the reason that a user reads."""


def called_module(node: fx.Node, network: nn.Module) -> nn.Module:
    """The module that a node calls: `get_submodule`, without its checks of what a trace has found."""
    module: Any = network
    for name in str(node.target).split("."):
        module = module._modules[name]
    return module


def operand_of(node: fx.Node) -> Any:
    """What a call is applied to: its first argument, or `input`."""
    return node.args[0] if node.args else node.kwargs.get("input")


def settings_of(node: fx.Node, parameters: tuple[str, ...]) -> dict[str, Any]:
    """The arguments after the input, by name. Raises UnsupportedError if one depends on values."""
    settings = dict(zip(parameters, node.args[1:], strict=False)) | dict(node.kwargs)
    settings.pop("input", None)
    computed = [used for used in node.all_input_nodes if used is not (node.args[0] if node.args else None)]
    computed = [used for used in computed if used is not node.kwargs.get("input")]
    if computed and all(map(is_size, computed)):
        raise unsupported(
            node,
            "a setting is computed from a tensor's shape: give constants, or for the mean over all of an image's "
            "positions nn.AdaptiveAvgPool2d(1)",
        )
    if computed or any(isinstance(value, Tensor) for value in settings.values()):
        raise unsupported(node, "it has settings that depend on values: give constants")
    return settings


def constant_settings(node: fx.Node, parameters: tuple[str, ...]) -> dict[str, Any] | None:
    """See `settings_of`; None if a setting depends on values."""
    try:
        return settings_of(node, parameters)
    except UnsupportedError:
        return None


_SIZES = ("size", "dim", "ndimension", "numel", "__len__")


def is_size(node: fx.Node) -> bool:
    """Whether a node reads a shape (`x.size(0)`, `len(x)`) or computes with shapes alone, which a `view` needs."""
    if node.op == "call_method" and node.target in _SIZES:
        return True
    if node.op != "call_function":
        return False
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim", "device", "dtype")
    if node.target is len:
        return True
    return bool(node.all_input_nodes) and all(map(is_size, node.all_input_nodes))


def is_shared(node: fx.Node) -> bool:
    """Whether several calls use a node's values (a shape is none of them)."""
    return len(node.users) > 1 and sum(not is_size(user) for user in node.users) > 1


def is_batch_size(node: Any) -> bool:
    """Whether a node reads how many images there are: `x.size(0)`, `x.shape[0]`, `len(x)`."""
    if not isinstance(node, fx.Node):
        return False
    if node.op == "call_method":
        return (node.target == "size" and node.args[1:] == (0,)) or node.target == "__len__"
    reads_one = node.target is operator.getitem and node.args[1] == 0
    return node.target is len or bool(reads_one and isinstance(node.args[0], fx.Node) and is_size(node.args[0]))
