"""Steps between a format's values that training learns: LSQ, with free or power-of-two steps, and PACT's clipping."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fewbits.formats import Format
from fewbits.quantize.scaled_weights import round_scale, scaled_format, settle_scaled
from fewbits.quantize.training_method import TrainingMethod

if TYPE_CHECKING:
    from fewbits.quantize.layer import QuantizedLayer

_RATE = 10.0
"""Steps learn this many times as fast as weights, as their unit is an octave: an estimate. Jain et al.
(arXiv:1903.08066) gave thresholds a learning rate far above that of the weights too."""


class LogStep(nn.Module):
    """The learned logarithm (base 2) of a step. What is learned starts at 0, so that weight decay draws it back to the
    calibrated step.
    """

    def __init__(self, fraction_bits: int, like: Tensor) -> None:
        """Start at a radix point; like: gives dtype and device."""
        super().__init__()
        self.start: Tensor
        self.register_buffer("start", torch.full((), -float(fraction_bits), dtype=like.dtype, device=like.device))
        self.offset = nn.Parameter(torch.zeros_like(self.start))

    def forward(self) -> Tensor:
        """The logarithm, without dimensions."""
        return self.start + _RATE * self.offset

    @property
    def fraction_bits(self) -> int:
        """The radix point nearest to it."""
        return -round(self().item())


class LearnedSteps(TrainingMethod):
    """Learned step size quantization of a layer's weights and inputs.

    Esser et al., "Learned step size quantization" (arXiv:1902.08153): the step is a parameter whose gradient sees how
    far each value is from its rounded one (equation 3), scaled by 1 / sqrt(elements x largest integer) (section 2.2).
    What is learned is the step's logarithm, as in Jain et al., "Trained quantization thresholds" (arXiv:1903.08066),
    so that one learning rate suits every scale; the step itself is rounded to a power of two, straight through.
    """

    def __init__(self, layer: QuantizedLayer) -> None:
        """Start from a calibrated layer's radix points."""
        super().__init__()
        self.weight_step = LogStep(layer.weight_fraction_bits, layer.layer.weight)
        self.input_step = LogStep(layer.input_fraction_bits, layer.layer.weight)

    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result at the learned steps."""
        from fewbits.quantize.layer import apply_layer

        self.settle(layer)
        weight = layer.layer.weight
        if layer.rounds_weights:
            weight = learned(weight, self.weight_step(), layer.weight_format, layer.weight_fraction_bits)
        if layer.rounds_inputs:
            x = learned(x, self.input_step(), layer.input_format, layer.input_fraction_bits)
        return apply_layer(layer.layer, x, weight, layer.straight_through_bias(), layer.padding_value)

    def settle(self, layer: QuantizedLayer) -> None:
        """Leave the learned radix points."""
        move_radix_points(layer, self.weight_step.fraction_bits, self.input_step.fraction_bits)


class FreeWeightSteps(LearnedSteps):
    """The same with the weights' steps free: one factor a layer, rounded to `SCALE_BITS` bits.

    The hardware multiplies each sum by the factor (one multiplier a neuron); inputs keep power-of-two steps, since
    a free one would need the same multiplier and could be merged with it.
    """

    def __init__(self, layer: QuantizedLayer) -> None:
        """Start from a calibrated layer's radix points. Raises ModelError for weights of more than 16 bits."""
        super().__init__(layer)
        scaled_format(layer.weight_format)

    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result at the learned steps."""
        from fewbits.quantize.layer import apply_layer

        log2_step = self.weight_step()
        scale = round_scale(2.0 ** log2_step.detach())
        move_radix_points(layer, scale.fraction_bits, self.input_step.fraction_bits)
        step = scale.values.item()
        low, high = (limit * step for limit in layer.weight_format.limits(0))
        weight = layer.layer.weight
        rounded = layer.weight_format.quantize(weight.detach() / step, 0).mul_(step)
        factor = _gradient_scale(weight, layer.weight_format)
        weight = _LearnedStep.apply(weight, log2_step, rounded, low, high, factor)
        if layer.rounds_inputs:
            x = learned(x, self.input_step(), layer.input_format, layer.input_fraction_bits)
        return apply_layer(layer.layer, x, weight, layer.straight_through_bias(), layer.padding_value)

    def settle(self, layer: QuantizedLayer) -> None:
        """Leave weights of the wider format that holds factor times integer."""
        scale = round_scale(2.0 ** self.weight_step().detach())
        integers = layer.weight_format.quantize(layer.layer.weight.detach() / scale.values, 0)
        layer.input_fraction_bits = self.input_step.fraction_bits
        settle_scaled(layer, integers, scale)


class LearnedClipping(TrainingMethod):
    """Learned clipping of a layer's inputs; weights as with the straight-through estimator.

    Choi et al., "PACT: parameterized clipping activation" (arXiv:1805.06085): the level at which inputs are clipped is
    a parameter; its gradient comes from the clipped inputs alone (equation 3) and from a penalty on its square. Here
    the level is the format's largest value, so that it moves in powers of two, and both signs are clipped.
    """

    def __init__(self, layer: QuantizedLayer, penalty: float) -> None:
        """Start from a calibrated layer's radix points. penalty: times the squared level, added to the loss."""
        super().__init__()
        self.input_step = LogStep(layer.input_fraction_bits, layer.layer.weight)
        self.penalty = penalty

    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result with clipped inputs."""
        from fewbits.quantize.layer import apply_layer

        self.settle(layer)
        if layer.rounds_inputs:
            point = layer.input_fraction_bits
            low, high = layer.input_format.limits(point)
            rounded = layer.input_format.quantize(x.detach(), point)
            x = _LearnedClip.apply(x, self.input_step(), rounded, low, high, self.penalty)
        return apply_layer(
            layer.layer, x, layer.straight_through_weight(), layer.straight_through_bias(), layer.padding_value
        )

    def settle(self, layer: QuantizedLayer) -> None:
        """Leave the learned radix point of the inputs."""
        move_radix_points(layer, layer.weight_fraction_bits, self.input_step.fraction_bits)


def move_radix_points(layer: QuantizedLayer, weight: int, inputs: int) -> None:
    """Set a layer's radix points where they differ."""
    if weight != layer.weight_fraction_bits:
        layer.weight_fraction_bits = weight
    if inputs != layer.input_fraction_bits:
        layer.input_fraction_bits = inputs


def learned(x: Tensor, log2_step: Tensor, number_format: Format, fraction_bits: int) -> Tensor:
    """A tensor rounded to a format at a radix point, with LSQ's gradients to it and to the logarithm of the step."""
    low, high = number_format.limits(fraction_bits)
    rounded = number_format.quantize(x.detach(), fraction_bits)
    return _LearnedStep.apply(x, log2_step, rounded, low, high, _gradient_scale(x, number_format))


def _gradient_scale(x: Tensor, number_format: Format) -> float:
    """LSQ's 1 / sqrt(elements x largest integer); the largest number of a float format in the integer's place."""
    return 1 / math.sqrt(x.numel() * number_format.limits(0)[1])


class _LearnedStep(torch.autograd.Function):
    """LSQ's gradients, for the step's logarithm: step x ln 2 times that of the step (equation 3)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, log2_step: Tensor, rounded: Tensor, low: float, high: float, factor: float
    ) -> Tensor:
        """The rounded values."""
        ctx.save_for_backward(x, rounded)
        ctx.settings = low, high, factor
        return rounded.view_as(rounded)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Straight through to x inside the limits; to the step by how far x lies from its rounded value."""
        x, rounded = ctx.saved_tensors
        low, high, factor = ctx.settings
        inside = (x >= low) & (x <= high)
        passed = torch.where(inside, gradients[0], 0.0)
        step_gradient = ((gradients[0] * rounded).sum() - (passed * x).sum()) * (math.log(2) * factor)
        return passed if ctx.needs_input_grad[0] else None, step_gradient, None, None, None, None


class _LearnedClip(torch.autograd.Function):
    """PACT's gradients, for the level's logarithm."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, log2_step: Tensor, rounded: Tensor, low: float, high: float, penalty: float
    ) -> Tensor:
        """The rounded values."""
        ctx.save_for_backward(x, rounded)
        ctx.settings = low, high, penalty
        return rounded.view_as(rounded)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Straight through to x inside the limits; to the level where x is clipped, and the penalty's slope."""
        x, rounded = ctx.saved_tensors
        low, high, penalty = ctx.settings
        inside = (x >= low) & (x <= high)
        passed = torch.where(inside, gradients[0], 0.0)
        clipped = ((gradients[0] - passed) * rounded).sum() * math.log(2)
        slope = clipped + 2 * penalty * high * high * math.log(2)
        return passed if ctx.needs_input_grad[0] else None, slope, None, None, None, None
