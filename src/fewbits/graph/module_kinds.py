"""Why modules of a network are left float, by the kinds of the catalogue."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import nn

from fewbits.graph.catalogue import catalogue, kind_of
from fewbits.graph.float_layer import FloatLayer, WrappedLayer
from fewbits.graph.kind import KindOfOperation
from fewbits.graph.kinds.batch_norm import FOLDABLE
from fewbits.graph.kinds.layer import KindOfLayer
from fewbits.graph.refusals import FORMS

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
"""Modules of torch's that compute what their parts do."""


def reason_to_skip(module: nn.Module) -> str | None:
    """Why a Conv1d, Conv2d or Linear is left float, and what to do; None if it can be quantized."""
    return kind_of_layer(module).refusal(module)


def reason_to_leave(module: nn.Module) -> str | None:
    """Why the weights of a Conv1d, Conv2d or Linear are not to be changed or used by others; None if they may be."""
    return kind_of_layer(module).reason_to_leave(module)


def is_layer(module: object) -> bool:
    """Whether a module is of a kind with weights that are quantized, or already such a layer."""
    return kind_of(module).effect == "layer"


def is_float_layer(module: object) -> TypeGuard[FloatLayer]:
    """Whether a module is a Conv1d, Conv2d or Linear, and not quantized."""
    return is_layer(module) and not isinstance(module, WrappedLayer)


def kind_of_layer(module: nn.Module) -> KindOfLayer:
    """The kind of a Conv1d, Conv2d or Linear, quantized or not."""
    kind = kind_of(module)
    assert isinstance(kind, KindOfLayer)
    return kind


def is_opaque(module: nn.Module) -> bool:
    """Whether a module is taken as a whole, its children left alone.

    True for torch's own compound modules (attention, transformer, recurrent): they reach into their children's
    parameters, so that a replaced child would break them.
    """
    return _is_torchs_own(module) and not _takes_formats_around(type(module))


def reason_without_form(module: nn.Module) -> str | None:
    """Why a module has no bit-exact form, and what to do; None if it has one. Batch normalization apart."""
    kind = kind_of(module)
    if not kind.has_form:
        return reason_left_float(module) or catalogue().without_form(type(module).__name__)
    return kind.refusal(module)


def reason_left_float(module: nn.Module) -> str | None:
    """Why what a module's own forward pass computes may differ from what its parts do; None if it is just their sum.

    True of torch's own kinds without a low-precision form, of kinds derived from them, of unknown kinds with parameters
    of their own or without parts.
    """
    if _takes_formats_around(type(module)):
        return None
    if _is_torchs_own(module):
        return catalogue().without_form(type(module).__name__)
    base = _torchs_base(module)
    if base in FOLDABLE:
        return (
            f"a kind derived from {base.__name__}, whose forward pass may differ: its arithmetic stays float; use "
            f"nn.{base.__name__} itself, and modules of their own for what is added to it"
        )
    if base is not None and not _takes_formats_around(base):
        return f"a kind derived from {base.__name__}: {catalogue().without_form(base.__name__)}"
    if next(module.parameters(recurse=False), None) is not None:
        return (
            "parameters that its own forward pass uses stay float; make them the weight or bias of a convolution or "
            "linear layer"
        )
    if next(module.children(), None) is None:
        return f"a kind that fewbits does not know: its arithmetic stays float; {FORMS}"
    return None


def _takes_formats_around(module_class: type[nn.Module]) -> bool:
    """Whether values keep or get the formats of the layers around such a module, so that nothing of it stays float.

    Not so whatever multiplies, normalizes, looks up or applies a curve, and every kind that is not known.
    """
    kind = catalogue().kind_of_class(module_class)
    return module_class in _CONTAINERS or _is_between_layers(kind)


def _is_between_layers(kind: KindOfOperation) -> bool:
    return kind.effect in ("keeps", "averages") or (kind.effect == "operands" and kind.has_form)


def _torchs_base(module: nn.Module) -> type[nn.Module] | None:
    """The kind of torch that a user's own is derived from; None if that is nn.Module."""
    if isinstance(module, torch.fx.GraphModule):
        return None
    kinds = (kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.") and kind is not nn.Module)
    return next((kind for kind in kinds if issubclass(kind, nn.Module)), None)


def _is_torchs_own(module: nn.Module) -> bool:
    """Whether torch defines a module's kind; a graph that torch.fx made of a user's model counts as the user's."""
    return type(module).__module__.startswith("torch.") and not isinstance(module, torch.fx.GraphModule)
