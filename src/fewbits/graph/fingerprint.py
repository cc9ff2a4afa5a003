"""What reading a network depends on, as a value: equal ones are read alike, so that a search need not read again.

Only for networks all of whose modules are torch's or fewbits' own: their forward passes read their modules' attributes
and nothing else. A user's may read whatever Python can, which no value tells, and is read each time.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as torch_modules

_KNOWN = ("torch.nn.modules.", "fewbits.models.")
"""Packages whose forward passes read nothing but attributes of their modules."""

_SCALARS = frozenset((int, bool, str, float, type(None)))
_TABLES = frozenset(("_parameters", "_buffers", "_modules"))


class _UnknownError(Exception):
    """Something that may hold more than its value tells."""


def fingerprint(network: nn.Module) -> tuple[Any, ...] | None:
    """Classes, forward passes, attributes, names and sharing of all modules, and shapes of their tensors.

    None where they do not tell everything: for classes of others, hooks, attributes other than numbers, texts and
    tuples of these, parameters that are computed or not initialized. No values of weights are read.
    """
    if torch_modules._global_forward_hooks or torch_modules._global_forward_pre_hooks:
        return None
    found: list[Any] = []
    try:
        _add(network, found, {})
    except _UnknownError:
        return None
    return tuple(found)


def _add(module: nn.Module, found: list[Any], seen: dict[int, int]) -> None:
    """Append what a module and its parts are. seen: numbers of modules and tensors so far, by identity."""
    if id(module) in seen:
        found.append(seen[id(module)])
        return
    seen[id(module)] = len(seen)
    module_class = type(module)
    if not module_class.__module__.startswith(_KNOWN):
        raise _UnknownError
    tables = module._parameters, module._buffers, module._modules
    found += (module_class, module_class.forward, len(module.__dict__), *map(len, tables))
    for name, value in module.__dict__.items():
        kind = type(value)
        if kind in _SCALARS:
            found += (name, kind, value)
        elif kind is tuple or kind is list:
            if not _SCALARS.issuperset(map(type, value)):
                raise _UnknownError
            found += (name, kind, len(value), *map(type, value), *value)
        elif name not in _TABLES and (kind.__module__ not in ("builtins", "collections") or value):
            raise _UnknownError  # hooks, or what is not known
    _add_tensors(module._parameters, nn.Parameter, found, seen)
    _add_tensors(module._buffers, Tensor, found, seen)
    for name, part in module._modules.items():
        found.append(name)
        if part is not None:
            _add(part, found, seen)


def _add_tensors(tensors: dict[str, Any], expected: type, found: list[Any], seen: dict[int, int]) -> None:
    for name, tensor in tensors.items():
        found.append(name)
        if tensor is None:
            found.append(None)
        elif type(tensor) is not expected:
            raise _UnknownError
        else:
            found += (seen.setdefault(id(tensor), len(seen)), tensor.shape)
