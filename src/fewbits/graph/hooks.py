"""Which hooks change values: those that return something, or write into what they are shown."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as torch_modules
from torch.utils import _pytree as pytree

from fewbits.errors import ModelError
from fewbits.graph.refusals import Skipped


@contextmanager
def watching_hooks(network: nn.Module) -> Generator[dict[str, nn.Module]]:
    """The modules, by name, whose hooks change values while the network runs inside.

    Raises ModelError at the end for a hook of all modules that does, as it would change those of the rewrite too.
    """
    changing: dict[str, nn.Module] = {}
    is_global: list[str] = []
    before: list[tuple[Any, dict[int, Any]]] = []
    for table in (torch_modules._global_forward_pre_hooks, torch_modules._global_forward_hooks):
        before.append((table, dict(table)))
        for number, hook in before[-1][1].items():
            table[number] = _watched(hook, partial(is_global.append, "found"))
    for name, module in network.named_modules():
        for table in (module._forward_pre_hooks, module._forward_hooks):
            before.append((table, dict(table)))
            for number, hook in before[-1][1].items():
                table[number] = _watched(hook, partial(changing.__setitem__, name, module))
    try:
        yield changing
    finally:
        for table, hooks in before:
            table.update(hooks)
    if is_global:
        raise ModelError(
            "a hook of all modules (torch.nn.modules.module.register_module_forward_hook) changes values, which no "
            "rewrite of a network can follow: remove it"
        )


def hooked(name: str, module: nn.Module) -> Skipped:
    """What stays float as a hook changes its values."""
    reason = (
        "it has a hook that changes values: what that does stays float; remove it, or write what it does as modules"
    )
    return Skipped(name, type(module).__name__, reason)


def changed_by_hooks(changing: dict[str, nn.Module]) -> tuple[Skipped, ...]:
    """What stays float for that reason: modules without parts, as the graph shows what hooks of others do."""
    return tuple(hooked(name, module) for name, module in changing.items() if next(module.children(), None) is None)


def _watched(hook: Callable[..., Any], note: Callable[[], Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        tensors = [leaf for leaf in pytree.tree_leaves((args[1:], kwargs)) if isinstance(leaf, Tensor)]
        versions = [tensor._version for tensor in tensors]
        result = hook(*args, **kwargs)
        if result is not None or versions != [tensor._version for tensor in tensors]:
            note()
        return result

    return call
