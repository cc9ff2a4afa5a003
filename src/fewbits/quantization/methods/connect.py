"""Weights that are drawn by chance while training, and gradients of weights made from inputs that are powers of two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fewbits.formats import parse_format
from fewbits.formats.capture import is_captured
from fewbits.formats.operators import limits
from fewbits.graph.float_layer import apply_layer
from fewbits.quantization.layers.captured import rounded
from fewbits.quantization.layers.radix_point import choose_fraction_bits
from fewbits.quantization.layers.training_method import TrainingMethod
from fewbits.quantization.methods import operators
from fewbits.quantization.methods.stochastic import sample_signs

if TYPE_CHECKING:
    from fewbits.quantization.layers.layer import QuantizedLayer

_BACKWARD_INPUTS = parse_format("pow2-4")
"""Sign and seven powers of two, or zero. Lin et al. (arXiv:1510.03009, section 5.4) found three to four bits of shift
in each direction enough."""


class StochasticSigns(TrainingMethod):
    """Signs drawn by BinaryConnect's hard sigmoid (arXiv:1511.00363, equations 2 and 3); see `train.connect`."""

    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result, with signs drawn in training, those of the weights in evaluation."""
        weight = layer.straight_through_weight()
        if layer.training:
            magnitude = _magnitude(layer)
            shadow = layer.layer.weight
            probability = (shadow.detach() / magnitude).add_(1).div_(2)
            weight = weight + (sample_signs(probability).mul_(magnitude) - weight.detach())
        return layer.compute(layer.rounded_input(x), weight)


class TernaryConnect(TrainingMethod):
    """Ternary weights drawn by chance, and quantized back-propagation; see `train.connect`."""

    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result, with ternary weights drawn in training, rounded ones in evaluation."""
        inputs = layer.rounded_input(x)
        weight = layer.straight_through_weight()
        if not layer.training:
            return layer.compute(inputs, weight)
        magnitude = _magnitude(layer)
        shadow = layer.layer.weight.detach()
        kept = torch.rand_like(shadow) < shadow.abs() / magnitude
        drawn = torch.where(kept, shadow.sign().mul_(magnitude), 0.0)
        weight = weight + (drawn - weight.detach())
        powers = _as_powers(inputs.detach())
        # The value and the gradient to the inputs come from the first call, that to the weights from the second.
        forward = layer.compute(inputs, weight.detach())
        gradient_only = apply_layer(layer.layer, powers, weight, None, layer.padding_value)
        if is_captured(x):
            return operators.add_gradient(forward, gradient_only)
        return _Add.apply(forward, gradient_only)


def _magnitude(layer: QuantizedLayer) -> float | Tensor:
    """That of the signs; a tensor without dimensions where torch captures the layer."""
    if is_captured(layer.layer.weight):
        return limits(layer.weight_radix_point, layer.weight_format.name, layer.layer.weight)[1]
    return layer.weight_format.limits(layer.weight_fraction_bits)[1]


def _as_powers(inputs: Tensor) -> Tensor:
    """Inputs rounded to powers of two, at the largest radix point at which none saturates."""
    if is_captured(inputs):
        point = operators.largest_unsaturated(inputs, _BACKWARD_INPUTS.name)
        return rounded(inputs, _BACKWARD_INPUTS, point)
    return _BACKWARD_INPUTS.quantize(inputs, choose_fraction_bits(_BACKWARD_INPUTS, inputs, "maximum"))


class _Add(torch.autograd.Function):
    """The first operand in the forward pass; the gradient goes to both."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradient_only: Tensor) -> Tensor:
        """The first operand."""
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """The same gradient twice."""
        return gradients[0], gradients[0]
