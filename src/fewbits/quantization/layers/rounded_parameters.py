"""The rounded weights and bias of one layer: the memory that holds them, and their straight-through gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fewbits.quantization.layers.straight_through import gate, mask_gradient

if TYPE_CHECKING:
    from fewbits.quantization.layers.layer import QuantizedLayer


class RoundedParameters:
    """Rounded weights and bias of one layer, in memory that is written again and again.

    While the shadow weights stay as they are, every forward pass may use the same memory. When they have changed,
    the memory's version is raised, so that a backward pass through an older forward pass is refused by autograd, as
    it is for a float layer. A copied or stored layer starts without the memory.
    """

    __slots__ = ("_alias", "_key", "_values")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drop the memory; a graph that still uses it keeps it alive."""
        self._values: tuple[Tensor, Tensor | None] | None = None
        self._alias: tuple[Tensor, Tensor | None] | None = None
        self._key: tuple[object, ...] = ()

    def update(self, owner: QuantizedLayer, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Round weights and bias; in evaluation only if they changed since the last time.

        In training they are rounded each time, since a change made through `.data` leaves no trace.
        """
        key = (
            weight.data_ptr(),
            None if bias is None else bias.data_ptr(),
            _version(weight),
            None if bias is None else _version(bias),
            owner.weight_fraction_bits,
            owner.input_fraction_bits,
        )
        values = self._values
        if values is None or not _fit(values, (weight, bias)):
            values = (torch.empty_like(weight), None if bias is None else torch.empty_like(bias))
            self._values = values
            # The alias has a version counter of its own: writing leaves that of `values` alone.
            self._alias = (values[0].data, None if values[1] is None else values[1].data)
        elif key == self._key:
            if not owner.training:
                return values
        else:
            torch.autograd.graph.increment_version([value for value in values if value is not None])
        assert self._alias is not None
        owner.round_weight(weight, self._alias[0])
        if bias is not None:
            owner.round_bias(bias, self._alias[1])
        self._key = key
        return values

    def __deepcopy__(self, memo: dict[int, Any]) -> RoundedParameters:
        return RoundedParameters()

    def __reduce__(self) -> tuple[type[RoundedParameters], tuple[()]]:
        return RoundedParameters, ()


class StraightThroughParameters(torch.autograd.Function):
    """Round a layer's weights and bias; gradients as in `StraightThrough`, the bias' never masked."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, owner: QuantizedLayer) -> tuple[Tensor, Tensor | None]:
        """Round into the layer's memory and return views of it."""
        rounded_weight, rounded_bias = owner.rounded.update(owner, weight, bias)
        ctx.gate, ctx.leaves_out = None, owner.leaves_out
        if ctx.leaves_out:
            ctx.owner = owner
        if owner.rounds_weights:
            ctx.save_for_backward(weight)
            ctx.gate = gate(owner.weight_format, owner.weight_fraction_bits, weight.dtype)
            ctx.scale = owner.weight_scale
        return rounded_weight.detach(), None if rounded_bias is None else rounded_bias.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Mask the weights' gradient; pass on that of the bias."""
        weight_gradient, bias_gradient = gradients
        weight_gradient = ctx.owner.without_left_out(weight_gradient.clone()) if ctx.leaves_out else weight_gradient
        if ctx.gate is not None and ctx.needs_input_grad[0]:
            (weight,) = ctx.saved_tensors
            weight_gradient = mask_gradient(weight_gradient, ctx.scale.aligned(weight), ctx.gate)
        return weight_gradient, bias_gradient, None


def _version(tensor: Tensor) -> object:
    """What changes when a tensor's values do; an inference tensor has none, so that it always seems changed."""
    return object() if tensor.is_inference() else tensor._version


def _fit(memory: tuple[Tensor | None, ...], tensors: tuple[Tensor | None, ...]) -> bool:
    """Whether memory can hold the rounded values of tensors."""
    return all(
        held is tensor is None
        or (
            held is not None
            and tensor is not None
            and held.shape == tensor.shape
            and held.stride() == tensor.stride()
            and held.dtype == tensor.dtype
            and held.device == tensor.device
            and held.is_inference() <= torch.is_inference_mode_enabled()
        )
        for held, tensor in zip(memory, tensors, strict=True)
    )
