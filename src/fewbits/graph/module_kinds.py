"""Which modules of a network are quantized, which compute nothing that needs a format, which are left float."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn

from fewbits.errors import ModelError
from fewbits.graph.float_layer import FloatLayer
from fewbits.graph.ways_out import FORMS, without_form

AVERAGES: frozenset[type[nn.Module]] = frozenset(
    {
        nn.AvgPool1d,
        nn.AvgPool2d,
        nn.AvgPool3d,
        nn.AdaptiveAvgPool1d,
        nn.AdaptiveAvgPool2d,
        nn.AdaptiveAvgPool3d,
    }
)
"""Modules that average values, which are rounded before and after it."""


class FoldedNorm(nn.Identity):
    """Where the normalization of a linear layer's results was, folded for one vector an image: passes vectors alone."""

    def forward(self, input: Tensor) -> Tensor:
        """The input. Raises ModelError for more dimensions, whose normalization was over another than the layer's."""
        if input.ndim != 2:
            raise ModelError(
                f"a normalization was folded into the linear layer before it, which holds for vectors (N, features), "
                f"not for a tensor of {input.ndim} dimensions: fold it after giving the linear layer vectors"
            )
        return input


WITHOUT_ARITHMETIC: frozenset[type[nn.Module]] = AVERAGES | frozenset(
    {
        # containers
        nn.Sequential,
        nn.ModuleList,
        nn.ModuleDict,
        # the same values, all of them or some, or zeros
        nn.Identity,
        FoldedNorm,
        nn.Flatten,
        nn.Unflatten,
        nn.ReLU,
        nn.MaxPool1d,
        nn.MaxPool2d,
        nn.MaxPool3d,
        nn.AdaptiveMaxPool1d,
        nn.AdaptiveMaxPool2d,
        nn.AdaptiveMaxPool3d,
        nn.ZeroPad1d,
        nn.ZeroPad2d,
        nn.ZeroPad3d,
        nn.ReflectionPad1d,
        nn.ReflectionPad2d,
        nn.ReflectionPad3d,
        nn.ReplicationPad1d,
        nn.ReplicationPad2d,
        nn.ReplicationPad3d,
        nn.CircularPad1d,
        nn.CircularPad2d,
        nn.CircularPad3d,
        nn.PixelShuffle,
        nn.PixelUnshuffle,
        nn.ChannelShuffle,
        # the same values outside training
        nn.Dropout,
        nn.Dropout1d,
        nn.Dropout2d,
        nn.Dropout3d,
        nn.AlphaDropout,
        nn.FeatureAlphaDropout,
    }
)
"""Modules that choose, move or average values whose format the layer around gives; not all of them can be lowered.

Not here: whatever multiplies, normalizes, looks up or applies a curve (sigmoid, softmax, ReLU6 with its constant), even
if it has no parameters, and every kind that fewbits does not know.
"""

VANISHING = (
    FoldedNorm,
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
"""Modules that do nothing in evaluation."""

POOLING = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
)

BIT_EXACT: frozenset[type[nn.Module]] = frozenset((*VANISHING, *POOLING, nn.ReLU, nn.Flatten, nn.Unflatten))
"""torch's own modules, layers apart, that have a bit-exact form."""


def reason_to_skip(module: nn.Module) -> str | None:
    """Why a Conv1d, Conv2d or Linear is left float, and what to do; None if it can be quantized."""
    assert isinstance(module, FloatLayer)
    if (reason := reason_to_leave(module)) is not None:
        return reason
    if not isinstance(module, nn.Linear) and module.padding_mode != "zeros":
        return f"padding_mode {module.padding_mode!r}: only 'zeros' is quantized; use padding_mode='zeros'"
    return None


def reason_to_leave(module: nn.Module) -> str | None:
    """Why the weights of a Conv1d, Conv2d or Linear are not to be changed or used by others; None if they may be."""
    assert isinstance(module, FloatLayer)
    base = _base_name(module)
    if not is_initialized(module):
        return "it is not initialized; run the model once on an image first"
    for kind, values in (("weight", module.weight), ("bias", module.bias)):
        if not isinstance(values, nn.Parameter) and (kind == "weight" or values is not None):
            return (
                f"its {kind} is computed (a parametrization, weight norm or a pruning mask), not a parameter; after "
                f"training make it one by torch.nn.utils.parametrize.remove_parametrizations(layer, {kind!r}), "
                "remove_weight_norm(layer) or prune.remove"
            )
    if type(module) not in (nn.Conv1d, nn.Conv2d, nn.Linear):
        return f"a kind derived from {base}, whose forward pass may differ; use nn.{base} itself"
    if "forward" in module.__dict__:
        return "this instance has a forward pass of its own, which a quantized layer would not call"
    if has_hooks(module):
        return "it has hooks, which a quantized layer would not call; remove them, or write what they do into forward"
    return None


def has_hooks(module: nn.Module) -> bool:
    """Whether a module calls functions of the user's around its forward or backward pass."""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def shared_parameters(network: nn.Module) -> set[int]:
    """Identities of the parameters that a network has in several places: tied weights."""
    counts = Counter(
        id(parameter)
        for module in network.modules()
        for parameter in module._parameters.values()
        if parameter is not None
    )
    return {parameter for parameter, count in counts.items() if count > 1}


def is_opaque(module: nn.Module) -> bool:
    """Whether a module is taken as a whole, its children left alone.

    True for torch's own compound modules (attention, transformer, recurrent): they reach into their children's
    parameters, so that a replaced child would break them.
    """
    return _is_torchs_own(module) and type(module) not in WITHOUT_ARITHMETIC


def reason_without_form(module: nn.Module) -> str | None:
    """Why a module has no bit-exact form, and what to do; None if it has one. Batch normalization apart."""
    if isinstance(module, FloatLayer):
        return reason_to_skip(module)
    if type(module) not in BIT_EXACT:
        return reason_left_float(module) or without_form(type(module).__name__)
    if isinstance(module, nn.Flatten) and module.start_dim == 0:
        return f"it flattens dimensions {module.start_dim} to {module.end_dim}: the batch (0) must stay, so start at 1"
    if isinstance(module, nn.Unflatten) and (module.dim == 0 or type(module.dim) is not int):
        return f"it unflattens dimension {module.dim!r}: give the number of one behind the batch (0)"
    if getattr(module, "return_indices", False):
        return "it returns indices, which cannot be lowered: set return_indices=False"
    return None


def reason_left_float(module: nn.Module) -> str | None:
    """Why what a module's own forward pass computes may differ from what its parts do; None if it is just their sum.

    True of torch's own kinds without a low-precision form, of kinds derived from them, of unknown kinds with parameters
    of their own or without parts.
    """
    if type(module) in WITHOUT_ARITHMETIC:
        return None
    if _is_torchs_own(module):
        return without_form(type(module).__name__)
    base = _torchs_base(module)
    if base in (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm):
        return (
            f"a kind derived from {base.__name__}, whose forward pass may differ: its arithmetic stays float; use "
            f"nn.{base.__name__} itself, and modules of their own for what is added to it"
        )
    if base is not None and base not in WITHOUT_ARITHMETIC:
        return f"a kind derived from {base.__name__}: {without_form(base.__name__)}"
    if next(module.parameters(recurse=False), None) is not None:
        return (
            "parameters that its own forward pass uses stay float; make them the weight or bias of a convolution or "
            "linear layer"
        )
    if next(module.children(), None) is None:
        return f"a kind that fewbits does not know: its arithmetic stays float; {FORMS}"
    return None


def _torchs_base(module: nn.Module) -> type[nn.Module] | None:
    """The kind of torch that a user's own is derived from; None if that is nn.Module."""
    if isinstance(module, torch.fx.GraphModule):
        return None
    kinds = (kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.") and kind is not nn.Module)
    return next((kind for kind in kinds if issubclass(kind, nn.Module)), None)


def _base_name(module: nn.Module) -> str:
    """Which of the quantizable kinds a module derives from."""
    return next(kind.__name__ for kind in (nn.Conv1d, nn.Conv2d, nn.Linear) if isinstance(module, kind))


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


def _is_torchs_own(module: nn.Module) -> bool:
    """Whether torch defines a module's kind; a graph that torch.fx made of a user's model counts as the user's."""
    return type(module).__module__.startswith("torch.") and not isinstance(module, torch.fx.GraphModule)
