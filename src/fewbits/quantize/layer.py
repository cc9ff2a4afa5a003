"""A convolution or linear layer whose weights and inputs are rounded to number formats."""

# torch's autograd functions and state loading are only partly typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewbits.errors import ModelError
from fewbits.formats import Format, Precision
from fewbits.quantize.layer_formats import LayerFormats
from fewbits.quantize.radix_point import needs_radix_point
from fewbits.quantize.straight_through import StraightThrough, gate, mask_gradient
from fewbits.quantize.training_method import TrainingMethod

FloatLayer = nn.Conv1d | nn.Conv2d | nn.Linear
"""The layers that can be quantized."""

_NOT_CHOSEN = torch.iinfo(torch.int64).min
"""What a radix point's buffer holds before calibration."""


class QuantizedLayer(nn.Module):
    """A convolution or linear layer in low precision, trainable by straight-through gradients.

    Weights and inputs are rounded to their formats at their radix points, the bias to the accumulator's radix point
    (2**-(weight + input fraction_bits); with a float format the accumulator is float32, and so is the bias). The
    result is not rounded: the next layer does that to its input.
    """

    layer: FloatLayer
    """The float layer; its parameters are the shadow weights that training updates."""

    method: TrainingMethod | None
    """How the layer computes while a recipe trains it, where that differs from the straight-through estimator."""

    scale_bits: int
    """Width of the factor by which the hardware multiplies a neuron's sum; 0 if it does not. The weights' values hold
    the factor already, so that their format is wider than what is stored for each weight."""

    def __init__(self, layer: FloatLayer, precision: Precision, name: str = "") -> None:
        """Wrap a float layer, which is taken over, not copied. name: what errors call it."""
        super().__init__()
        self.layer = layer
        self.name = name
        self.method = None
        self._take_formats(LayerFormats(precision))
        self._weight_point = _start(precision.weights)
        self._input_point = _start(precision.inputs)
        device = layer.weight.device
        self.weight_radix_point: Tensor
        self.input_radix_point: Tensor
        self.register_buffer("weight_radix_point", _as_buffer(self._weight_point, device))
        self.register_buffer("input_radix_point", _as_buffer(self._input_point, device))
        self.formats_text: Tensor | None
        self.register_buffer("formats_text", None)
        self.rounded = _RoundedParameters()

    def set_formats(self, formats: LayerFormats) -> None:
        """Give the layer formats of its own; they are kept with its state. Radix points must be set anew."""
        self._take_formats(formats)
        self._weight_point = _fill(self.weight_radix_point, _start(formats.precision.weights))
        self._input_point = _fill(self.input_radix_point, _start(formats.precision.inputs))
        self.rounded.forget()
        self.formats_text = formats.to_tensor().to(self.layer.weight.device)

    def _take_formats(self, formats: LayerFormats) -> None:
        precision = formats.precision
        self.weight_format: Format = precision.weights
        self.input_format: Format = precision.inputs
        self.scale_bits = formats.scale_bits
        self._has_integer_bias = precision.is_integer
        self.rounds_weights = precision.weights.name != "float32"
        self.rounds_inputs = precision.inputs.name != "float32"

    @property
    def weight_fraction_bits(self) -> int:
        """Radix point of the weights. Raises ModelError before calibration."""
        return self._checked(self._weight_point)

    @weight_fraction_bits.setter
    def weight_fraction_bits(self, fraction_bits: int) -> None:
        self._weight_point = _fill(self.weight_radix_point, fraction_bits)

    @property
    def input_fraction_bits(self) -> int:
        """Radix point of the inputs. Raises ModelError before calibration."""
        return self._checked(self._input_point)

    @input_fraction_bits.setter
    def input_fraction_bits(self, fraction_bits: int) -> None:
        self._input_point = _fill(self.input_radix_point, fraction_bits)

    @property
    def accumulator_fraction_bits(self) -> int:
        """Radix point of the products, the accumulator and the bias. Raises ModelError before calibration."""
        return self.weight_fraction_bits + self.input_fraction_bits

    @property
    def is_calibrated(self) -> bool:
        """Whether both radix points are known."""
        return self._weight_point != _NOT_CHOSEN and self._input_point != _NOT_CHOSEN

    def quantized_weight(self) -> Tensor:
        """The weights as the hardware holds them: a new tensor, in the shape and dtype of the shadow weights.

        Raises ModelError before calibration.
        """
        return self.round_weight(self.layer.weight.detach(), None)

    def quantized_bias(self) -> Tensor | None:
        """The bias at the accumulator's radix point, a new tensor; None without bias.

        Raises ModelError before calibration.
        """
        bias = self.layer.bias
        return None if bias is None else self.round_bias(bias.detach(), None)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's result on `x`, in the dtype of the shadow weights.

        x: as the float layer takes it. Raises ModelError before calibration, FormatError if `x` holds NaN.
        """
        if self.method is not None:
            return self.method(self, x)
        weight, bias = self._rounded_parameters()
        return apply_layer(self.layer, self.rounded_input(x), weight, bias)

    def rounded_input(self, x: Tensor) -> Tensor:
        """The input rounded to its format, with a straight-through gradient where one is wanted."""
        if not self.rounds_inputs:
            return x
        if x.requires_grad and torch.is_grad_enabled():
            return StraightThrough.apply(x, self.input_format, self.input_fraction_bits)
        return self.input_format.quantize(x, self.input_fraction_bits)

    def straight_through_weight(self) -> Tensor:
        """The rounded weights, with a straight-through gradient."""
        if not self.rounds_weights:
            return self.layer.weight
        return StraightThrough.apply(self.layer.weight, self.weight_format, self.weight_fraction_bits)

    def straight_through_bias(self) -> Tensor | None:
        """The bias at the accumulator's radix point, with the identity as gradient; None without bias."""
        bias = self.layer.bias
        return None if bias is None else bias + (self.round_bias(bias.detach(), None) - bias.detach())

    def train(self, mode: bool = True) -> QuantizedLayer:
        """Switch between training and evaluation; forget the rounded weights that evaluation keeps."""
        self.rounded.forget()
        return super().train(mode)

    def extra_repr(self) -> str:
        """Formats and radix points, for printing."""
        points = f"2**-{self._weight_point} / 2**-{self._input_point}" if self.is_calibrated else "not calibrated"
        return f"{self.weight_format.name}/{self.input_format.name}, {points}"

    def _rounded_parameters(self) -> tuple[Tensor, Tensor | None]:
        """Weights and bias for a forward pass, with gradients to the shadow ones where they are wanted."""
        weight, bias = self.layer.weight, self.layer.bias
        if not self.rounds_weights and not self._has_integer_bias:
            return weight, bias
        if torch.is_grad_enabled() and (weight.requires_grad or (bias is not None and bias.requires_grad)):
            return _StraightThroughParameters.apply(weight, bias, self)
        return self.rounded.update(self, weight, bias)

    def round_weight(self, weight: Tensor, out: Tensor | None) -> Tensor:
        """The weights' nearest values, into `out` if it is given."""
        if not self.rounds_weights:
            return weight.clone() if out is None else out.copy_(weight)
        return self.weight_format.quantize(weight, self.weight_fraction_bits, out=out)

    def round_bias(self, bias: Tensor, out: Tensor | None) -> Tensor:
        """Round half to even at the accumulator's radix point; exact, as scaling by a power of two is."""
        if not self._has_integer_bias:
            return bias.clone() if out is None else out.copy_(bias)
        unit = 2.0**-self.accumulator_fraction_bits
        return torch.mul(bias, 1 / unit, out=out).round_().mul_(unit)

    def _checked(self, point: int) -> int:
        if point == _NOT_CHOSEN:
            where = f"layer {self.name!r}" if self.name else "this layer"
            raise ModelError(f"{where} has no radix points yet: call fewbits.calibrate(model, images) first")
        return point

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Load the buffers, then read them once: forward passes need plain integers."""
        state, prefix = args[:2]
        text = state.get(f"{prefix}formats_text")
        if text is not None:
            self.set_formats(LayerFormats.from_tensor(text))
        super()._load_from_state_dict(*args, **kwargs)
        self._weight_point = int(self.weight_radix_point.item())
        self._input_point = int(self.input_radix_point.item())
        self.rounded.forget()


class _RoundedParameters:
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

    def __deepcopy__(self, memo: dict[int, Any]) -> _RoundedParameters:
        return _RoundedParameters()

    def __reduce__(self) -> tuple[type[_RoundedParameters], tuple[()]]:
        return _RoundedParameters, ()


class _StraightThroughParameters(torch.autograd.Function):
    """Round a layer's weights and bias; gradients as in `StraightThrough`, the bias' never masked."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, owner: QuantizedLayer) -> tuple[Tensor, Tensor | None]:
        """Round into the layer's memory and return views of it."""
        rounded_weight, rounded_bias = owner.rounded.update(owner, weight, bias)
        ctx.gate = None
        if owner.rounds_weights:
            ctx.save_for_backward(weight)
            ctx.gate = gate(owner.weight_format, owner.weight_fraction_bits, weight.dtype)
        return rounded_weight.detach(), None if rounded_bias is None else rounded_bias.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Mask the weights' gradient; pass on that of the bias."""
        weight_gradient, bias_gradient = gradients
        if ctx.gate is not None and ctx.needs_input_grad[0]:
            (weight,) = ctx.saved_tensors
            weight_gradient = mask_gradient(weight_gradient, weight, ctx.gate)
        return weight_gradient, bias_gradient, None


def _start(number_format: Format) -> int:
    return _NOT_CHOSEN if needs_radix_point(number_format) else 0


def _as_buffer(point: int, device: torch.device) -> Tensor:
    return torch.tensor(point, dtype=torch.int64, device=device)


def _fill(buffer: Tensor, fraction_bits: object) -> int:
    """Write a radix point to its buffer; the plain integer."""
    if isinstance(fraction_bits, bool) or not isinstance(fraction_bits, int):
        raise ModelError(f"fraction_bits must be an integer, not {fraction_bits!r}")
    buffer.fill_(fraction_bits)
    return fraction_bits


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


def apply_layer(layer: FloatLayer, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The float layer's operation with other weights."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    if isinstance(layer, nn.Conv2d):
        return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
    return F.conv1d(x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
