"""Steps between a format's values that training learns: LSQ, with free or power-of-two steps, and PACT's clipping."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fewbits.formats import Format, Multipliers, Scale
from fewbits.formats.capture import is_captured
from fewbits.formats.operators import limits
from fewbits.formats.scale import SummedDimension
from fewbits.graph.float_layer import OF_WEIGHTS
from fewbits.quantization.layers.captured import Points, rounded
from fewbits.quantization.layers.training_method import TrainingMethod
from fewbits.quantization.methods import operators
from fewbits.quantization.methods.scaled_weights import SCALE_BITS, scaled_format, settle_scaled

if TYPE_CHECKING:
    from fewbits.quantization.layers.layer import QuantizedLayer

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

    @property
    def point(self) -> Tensor:
        """The same in a tensor, for a layer that torch captures."""
        return -self().detach().round().to(torch.int64)


class _LearnedInputStep(TrainingMethod):
    """A layer that learns the step of its inputs, and perhaps of its weights."""

    def __init__(self, layer: QuantizedLayer) -> None:
        """Start from a calibrated layer's radix point."""
        super().__init__()
        self.input_step = LogStep(layer.input_fraction_bits, layer.layer.weight)

    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result at the learned steps."""
        if is_captured(x):
            return self._captured(layer, x)
        weight = self.weight(layer)
        return layer.compute(self.inputs(layer, x) if layer.rounds_inputs else x, weight)

    @abstractmethod
    def weight(self, layer: QuantizedLayer) -> Tensor:
        """The rounded weights, with the method's gradients; sets the layer's radix points first."""

    def inputs(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The rounded inputs, with the method's gradients."""
        return learned(x, self.input_step(), layer.input_format, layer.input_fraction_bits, layer.summed_dimension)

    def _captured(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The same by operators, with radix points in tensors: those of the layer stay as they are."""
        weight, weight_point = self.captured_weight(layer)
        input_point = self.input_step.point if layer.rounds_inputs else layer.input_point
        inputs = self.captured_inputs(layer, x, input_point) if layer.rounds_inputs else x
        points: Points = (weight_point, input_point)
        return layer.compute(inputs, weight, points)

    @abstractmethod
    def captured_weight(self, layer: QuantizedLayer) -> tuple[Tensor, Tensor]:
        """The rounded weights and their radix point, by operators."""

    def captured_inputs(self, layer: QuantizedLayer, x: Tensor, point: Tensor) -> Tensor:
        """The rounded inputs, by operators."""
        return operators.learned(x, self.input_step(), layer.input_format, point, layer.summed_dimension)


class LearnedSteps(_LearnedInputStep):
    """Learned step size quantization of a layer's weights and inputs.

    Esser et al., "Learned step size quantization" (arXiv:1902.08153): the step is a parameter whose gradient sees how
    far each value is from its rounded one (equation 3), scaled by 1 / sqrt(elements x largest integer) (section 2.2).
    What is learned is the step's logarithm, as in Jain et al., "Trained quantization thresholds" (arXiv:1903.08066),
    so that one learning rate suits every scale; the step itself is rounded to a power of two, straight through.
    """

    def __init__(self, layer: QuantizedLayer) -> None:
        """Start from a calibrated layer's radix points."""
        super().__init__(layer)
        self.weight_step = LogStep(layer.weight_fraction_bits, layer.layer.weight)

    def weight(self, layer: QuantizedLayer) -> Tensor:
        """The weights rounded at the power of two nearest to the learned step."""
        self.settle(layer)
        weight = layer.layer.weight
        if not layer.rounds_weights:
            return weight
        return learned(weight, self.weight_step(), layer.weight_format, layer.weight_fraction_bits, OF_WEIGHTS)

    def captured_weight(self, layer: QuantizedLayer) -> tuple[Tensor, Tensor]:
        """The same by operators, and the radix point."""
        weight, point = layer.layer.weight, self.weight_step.point
        if not layer.rounds_weights:
            return weight, point
        return operators.learned(weight, self.weight_step(), layer.weight_format, point, OF_WEIGHTS), point

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

    def weight(self, layer: QuantizedLayer) -> Tensor:
        """The weights rounded to integers times the factor."""
        log2_step = self.weight_step()
        step = Multipliers.nearest(2.0 ** log2_step.detach(), SCALE_BITS)
        move_radix_points(layer, step.fraction_bits, self.input_step.fraction_bits)
        scale, weight = Scale("tensor", step), layer.layer.weight
        low, high = (limit * scale.multiplier_values(weight).item() for limit in layer.weight_format.limits(0))
        rounded = layer.weight_format.quantize(weight, scale)
        return _LearnedStep.apply(weight, log2_step, rounded, low, high, _gradient_scale(weight, layer.weight_format))

    def captured_weight(self, layer: QuantizedLayer) -> tuple[Tensor, Tensor]:
        """The same by operators, and the factor's radix point."""
        log2_step, weight, number_format = self.weight_step(), layer.layer.weight, layer.weight_format
        factor, point = operators.multipliers(2.0 ** log2_step.detach(), SCALE_BITS)
        values = rounded(weight.detach() / factor, number_format, operators.origin()) * factor
        ends = limits(operators.origin(), number_format.name, factor.double())
        low, high = ((end * factor).to(weight.dtype) for end in ends)
        scale = operators.gradient_scale(weight, number_format)
        return operators.learned_step(weight, log2_step, values, low, high, scale), point

    def settle(self, layer: QuantizedLayer) -> None:
        """Leave weights of the wider format that holds factor times integer."""
        step = Multipliers.nearest(2.0 ** self.weight_step().detach(), SCALE_BITS)
        layer.input_fraction_bits = self.input_step.fraction_bits
        settle_scaled(layer, layer.weight_format.quantize(layer.layer.weight, Scale("tensor", step)), step)


class LearnedClipping(_LearnedInputStep):
    """Learned clipping of a layer's inputs; weights as with the straight-through estimator.

    Choi et al., "PACT: parameterized clipping activation" (arXiv:1805.06085): the level at which inputs are clipped is
    a parameter; its gradient comes from the clipped inputs alone (equation 3) and from a penalty on its square. Here
    the level is the format's largest value, so that it moves in powers of two, and both signs are clipped.
    """

    def __init__(self, layer: QuantizedLayer, penalty: float) -> None:
        """Start from a calibrated layer's radix points. penalty: times the squared level, added to the loss."""
        super().__init__(layer)
        self.penalty = penalty

    def weight(self, layer: QuantizedLayer) -> Tensor:
        """The weights rounded straight through."""
        self.settle(layer)
        return layer.straight_through_weight()

    def inputs(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The inputs clipped at the learned level and rounded; blocks, which follow their values, straight through."""
        if layer.input_format.has_blocks:
            return layer.rounded_input(x)
        point = layer.input_fraction_bits
        low, high = layer.input_format.limits(point)
        rounded = layer.input_format.quantize(x.detach(), point)
        return _LearnedClip.apply(x, self.input_step(), rounded, low, high, self.penalty)

    def captured_weight(self, layer: QuantizedLayer) -> tuple[Tensor, Tensor]:
        """The weights rounded straight through, and their radix point."""
        return layer.straight_through_weight(), layer.weight_radix_point

    def captured_inputs(self, layer: QuantizedLayer, x: Tensor, point: Tensor) -> Tensor:
        """The inputs clipped at the learned level and rounded, by operators."""
        if layer.input_format.has_blocks:
            return layer.rounded_input(x)
        low, high = limits(point, layer.input_format.name, x)
        values = rounded(x.detach(), layer.input_format, point)
        penalty = torch.full((), self.penalty, dtype=torch.float64)
        return operators.learned_clip(x, self.input_step(), values, low, high, penalty)

    def settle(self, layer: QuantizedLayer) -> None:
        """Leave the learned radix point of the inputs."""
        move_radix_points(layer, layer.weight_fraction_bits, self.input_step.fraction_bits)


def move_radix_points(layer: QuantizedLayer, weight: int, inputs: int) -> None:
    """Set a layer's radix points where they differ."""
    if weight != layer.weight_fraction_bits:
        layer.weight_fraction_bits = weight
    if inputs != layer.input_fraction_bits:
        layer.input_fraction_bits = inputs


def learned(x: Tensor, log2_step: Tensor, number_format: Format, fraction_bits: int, along: SummedDimension) -> Tensor:
    """A tensor rounded to a format at a radix point, with LSQ's gradients to it and to the logarithm of the step."""
    low, high = number_format.limits(fraction_bits)
    rounded = number_format.quantize(x.detach(), fraction_bits, along=along)
    return _LearnedStep.apply(x, log2_step, rounded, low, high, _gradient_scale(x, number_format))


def _gradient_scale(x: Tensor, number_format: Format) -> float:
    """LSQ's 1 / sqrt(elements x largest integer); the largest number of a float format in the integer's place."""
    return 1 / math.sqrt(x.numel() * number_format.limits(0)[1])


class _LearnedLimit(torch.autograd.Function):
    """Rounded values whose gradient reaches the values themselves, inside limits, and a logarithm that is learned."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, log2_step: Tensor, rounded: Tensor, low: float, high: float, constant: float
    ) -> Tensor:
        """The rounded values. constant: for the logarithm's gradient."""
        ctx.save_for_backward(x, rounded)
        ctx.settings = low, high, constant
        return rounded.view_as(rounded)


def _inside(ctx: Any, gradient: Tensor) -> Tensor:
    """The gradient where the values lie inside the limits, zero elsewhere."""
    x, low, high = ctx.saved_tensors[0], *ctx.settings[:2]
    return torch.where((x >= low) & (x <= high), gradient, 0.0)


def _gradients(ctx: Any, passed: Tensor, of_logarithm: Tensor) -> tuple[Tensor | None, ...]:
    """One gradient for each argument of the forward pass."""
    return passed if ctx.needs_input_grad[0] else None, of_logarithm, None, None, None, None


class _LearnedStep(_LearnedLimit):
    """LSQ's gradients, for the step's logarithm: step x ln 2 times that of the step (equation 3). Constant: scale."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Straight through to x inside the limits; to the step by how far x lies from its rounded value."""
        x, rounded = ctx.saved_tensors
        passed = _inside(ctx, gradients[0])
        distance = (gradients[0] * rounded).sum() - (passed * x).sum()
        return _gradients(ctx, passed, distance * (math.log(2) * ctx.settings[2]))


class _LearnedClip(_LearnedLimit):
    """PACT's gradients, for the level's logarithm. Constant: the penalty."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Straight through to x inside the limits; to the level where x is clipped, and the penalty's slope."""
        rounded, (_, high, penalty) = ctx.saved_tensors[1], ctx.settings
        passed = _inside(ctx, gradients[0])
        clipped = ((gradients[0] - passed) * rounded).sum() * math.log(2)
        return _gradients(ctx, passed, clipped + 2 * penalty * high * high * math.log(2))
