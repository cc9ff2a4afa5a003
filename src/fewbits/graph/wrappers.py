"""Networks inside the wrappers that torch puts around them: parallel, compiled and scripted ones."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fewbits.errors import ModelError


def unwrapped(model: nn.Module) -> nn.Module:
    """The network without DataParallel, DistributedDataParallel and torch.compile around it or its parts.

    Itself where there are none; a copy where a part is wrapped, named then without the wrapper.
    Raises ModelError for what is no module, and for a scripted one, whose Python code is gone.
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"fewbits takes a torch.nn.Module, not {type(model).__name__}")
    while (inner := _inner(model)) is not None:
        model = inner
    modules: dict[str, nn.Module] = dict(model.named_modules())
    for name, module in modules.items():
        if isinstance(module, torch.jit.ScriptModule):
            where = f"module {name!r}" if name else "the model"
            raise ModelError(
                f"{where} is scripted by torch.jit, which hides its layers: give the model before scripting"
            )
    if not any(_inner(module) is not None for module in modules.values()):
        return model
    network = copied(model)
    for module in list(network.modules()):
        for name, child in module._modules.items():
            while child is not None and (inner := _inner(child)) is not None:
                module._modules[name] = child = inner
    return network


def copied(network: nn.Module, replaced: Mapping[nn.Module, nn.Module] | None = None) -> nn.Module:
    """A deep copy; also of weights that a hook computes before each call (pruning, weight norm), which torch refuses.

    replaced: what the copy has in place of some modules.
    Raises ModelError where a part cannot be copied.
    """
    computed = [
        value
        for module in network.modules()
        if module._forward_pre_hooks
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    ]
    try:
        memo: dict[int, Any] = {id(value): value.detach().clone() for value in computed}
        return copy.deepcopy(network, memo | {id(module): other for module, other in (replaced or {}).items()})
    except Exception as error:
        raise ModelError(f"{type(network).__name__} cannot be copied: {type(error).__name__}: {error}") from error


def _inner(module: nn.Module) -> nn.Module | None:
    """What a wrapper holds; None for any other module."""
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return module.module
    return module._modules.get("_orig_mod") if type(module).__name__ == "OptimizedModule" else None
