"""Widening: the same chain of layers with its inner channels scaled."""

from __future__ import annotations

import copy
import math

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]  # the one base of 1d, 2d, 3d

from fewbits.arguments import is_real, shown
from fewbits.errors import ModelError

_Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
_Weighted = _Convolution | nn.Linear


_MOST_CHANNELS = 1 << 24
"""Of a layer: what the accelerator's addresses reach."""


def widen(model: nn.Module, factor: float) -> nn.Module:
    """A freshly initialized copy of a chain with its inner channels times `factor`, rounded, at least 1.

    The input channels and the last layer's outputs stay. A linear layer that follows a flattened convolution gets
    the same number of positions times the new channels. Grouped convolutions keep their groups (channels are rounded
    to multiples of them); depthwise ones stay depthwise. Batch normalization follows its layer.

    Layers are taken in the order in which the model registers them, which must be the order of the chain: a layer
    whose inputs do not fit the outputs of the one before is refused.

    model: Conv1d/2d/3d, Linear and BatchNorm1d/2d/3d beside modules without parameters; left unchanged.
    Raises ModelError if the factor is not a positive number or a layer cannot be widened (names the layer).
    """
    if not is_real(factor, 0, open_low=True):
        raise ModelError(f"a model is widened by a positive number, not {shown(factor)}")
    layers = _parametrized(model)
    weighted = {name: layer for name, layer in layers.items() if isinstance(layer, _Weighted)}
    if not weighted:
        raise ModelError("a model without convolution and linear layers cannot be widened")
    followers = [*list(weighted.values())[1:], None]
    following = dict(zip(weighted, followers, strict=True))
    replaced: dict[str, nn.Module] = {}
    old_channels = new_channels = _inputs(next(iter(weighted.values())))
    for name, layer in layers.items():
        if isinstance(layer, _BatchNorm):
            replaced[name] = _batch_norm(name, layer, old_channels, new_channels)
            continue
        inputs = _scaled_inputs(name, layer, old_channels, new_channels)
        outputs = _scaled_outputs(layer, inputs, factor, following[name])
        replaced[name] = _rebuild(name, layer, inputs, outputs)
        old_channels, new_channels = _outputs(layer), outputs
    return _with_modules(model, replaced)


def _parametrized(model: nn.Module) -> dict[str, _Weighted | _BatchNorm]:
    """Every module with parameters of its own, in order of registration; refuses unknown kinds."""
    layers: dict[str, _Weighted | _BatchNorm] = {}
    modules: dict[str, nn.Module] = dict(model.named_modules())  # pyright: ignore[reportUnknownArgumentType]
    for name, module in modules.items():
        if isinstance(module, _Weighted | _BatchNorm) and type(module).__module__.startswith("torch.nn."):
            layers[name] = module
        elif next(module.parameters(recurse=False), None) is not None:
            raise ModelError(
                f"layer {name!r} ({type(module).__name__}) cannot be widened: only convolution, linear and "
                "batch normalization layers can"
            )
    return layers


def _inputs(layer: _Weighted) -> int:
    """Input channels or features."""
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def _outputs(layer: _Weighted) -> int:
    """Output channels or features."""
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def _scaled_inputs(name: str, layer: _Weighted, old_channels: int, new_channels: int) -> int:
    """Inputs of a layer after the one before it went from `old_channels` to `new_channels`."""
    inputs = _inputs(layer)
    flattened = isinstance(layer, nn.Linear)
    if inputs % old_channels or (not flattened and inputs != old_channels):
        raise ModelError(
            f"layer {name!r} takes {inputs} inputs but the layer before it gives {old_channels} channels: "
            "only a chain of layers can be widened"
        )
    return inputs // old_channels * new_channels


def _is_depthwise(layer: _Weighted) -> bool:
    """Whether each input channel has outputs of its own."""
    return isinstance(layer, _Convolution) and layer.groups == layer.in_channels and layer.groups > 1


def _groups(layer: _Weighted | None) -> int:
    """Groups that constrain the channels before a layer: none for linear and depthwise layers."""
    if isinstance(layer, _Convolution) and not _is_depthwise(layer):
        return layer.groups
    return 1


def _scaled_outputs(layer: _Weighted, inputs: int, factor: float, following: _Weighted | None) -> int:
    """New outputs: scaled, rounded to what the groups of this layer and the next one allow; the last layer's stay."""
    outputs = _outputs(layer)
    if following is None:
        return outputs
    if isinstance(layer, _Convolution) and _is_depthwise(layer):
        return outputs // layer.in_channels * inputs
    multiple = math.lcm(_groups(layer), _groups(following))
    wanted = outputs * factor / multiple
    if wanted > _MOST_CHANNELS:
        raise ModelError(f"too large, a layer would get {wanted:.3g} channels: choose a smaller factor than {factor:g}")
    return max(1, round(wanted)) * multiple


def _rebuild(name: str, layer: _Weighted, inputs: int, outputs: int) -> nn.Module:
    """A new layer of the same kind and geometry."""
    bias = "bias" in dict(layer.named_parameters(recurse=False))
    device, dtype = layer.weight.device, layer.weight.dtype
    if isinstance(layer, nn.Linear):
        return nn.Linear(inputs, outputs, bias=bias, device=device, dtype=dtype)
    depthwise = _is_depthwise(layer)
    groups = inputs if depthwise else layer.groups
    if inputs % groups or outputs % groups:
        raise ModelError(f"layer {name!r} cannot be widened: {inputs} to {outputs} channels in {groups} groups")
    kind = nn.Conv1d if isinstance(layer, nn.Conv1d) else nn.Conv2d if isinstance(layer, nn.Conv2d) else nn.Conv3d
    return kind(
        inputs,
        outputs,
        layer.kernel_size,  # pyright: ignore[reportArgumentType]  # of this kind's length
        stride=layer.stride,  # pyright: ignore[reportArgumentType]
        padding=layer.padding,  # pyright: ignore[reportArgumentType]
        dilation=layer.dilation,  # pyright: ignore[reportArgumentType]
        groups=groups,
        bias=bias,
        padding_mode=layer.padding_mode,
        device=device,
        dtype=dtype,
    )


def _batch_norm(name: str, layer: _BatchNorm, old_channels: int, new_channels: int) -> nn.Module:
    """A new batch normalization over the new channels (or over all positions of them, after a flatten)."""
    if layer.num_features % old_channels:
        raise ModelError(f"layer {name!r} normalizes {layer.num_features} features after {old_channels} channels")
    return type(layer)(
        layer.num_features // old_channels * new_channels,
        eps=layer.eps,
        momentum=layer.momentum,
        affine=layer.affine,
        track_running_stats=layer.track_running_stats,
    )


def _with_modules(model: nn.Module, replaced: dict[str, nn.Module]) -> nn.Module:
    """A copy of the model with the named modules exchanged (a bare layer is exchanged itself)."""
    if "" in replaced:
        return replaced[""]
    # Layers to be exchanged are "copied" as their replacements, so that no weight is copied only to be dropped.
    memo: dict[int, object] = {id(model.get_submodule(name)): module for name, module in replaced.items()}
    return copy.deepcopy(model, memo)
