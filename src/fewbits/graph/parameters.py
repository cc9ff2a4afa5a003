"""What a network's modules hold: types of parameters, whether they have values, which are shared, hooks."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

from fewbits.errors import ModelError


def check_types(network: nn.Module) -> None:
    """Raise ModelError unless all parameters are float32, or all float64."""
    parameters: dict[str, nn.Parameter] = dict(network.named_parameters())
    named = {name: one.dtype for name, one in parameters.items() if one.is_floating_point() or one.is_complex()}
    for name, dtype in named.items():
        if dtype not in (torch.float32, torch.float64):
            raise ModelError(
                f"parameter {name!r} is {dtype}, which has no room for rounded values and sums: give model.float()"
            )
        first, first_dtype = next(iter(named.items()))
        if dtype != first_dtype:
            raise ModelError(f"parameter {name!r} is {dtype}, {first!r} is {first_dtype}: give model.float()")


def is_initialized(module: nn.Module) -> bool:
    """Whether a module's own parameters have values (those of lazy modules have none before the first call)."""
    lazy = torch.nn.parameter.UninitializedParameter
    return not any(isinstance(parameter, lazy) for parameter in module.parameters(recurse=False))


def shared_parameters(network: nn.Module) -> set[int]:
    """Identities of the parameters that a network has in several places: tied weights."""
    counts = Counter(
        id(parameter)
        for module in network.modules()
        for parameter in module._parameters.values()
        if parameter is not None
    )
    return {parameter for parameter, count in counts.items() if count > 1}


def has_hooks(module: nn.Module) -> bool:
    """Whether a module calls functions of the user's around its forward or backward pass."""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
