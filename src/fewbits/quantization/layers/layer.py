"""A convolution or linear layer whose weights and inputs are rounded to number formats."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fewbits.errors import FormatError, ModelError
from fewbits.formats import Format, Precision, Scale
from fewbits.formats.capture import is_captured
from fewbits.formats.encoded import Encoded
from fewbits.formats.operators import round_to_accumulator
from fewbits.formats.product_table import LayerProducts
from fewbits.formats.switched_units import DROPPED, SwitchedUnits
from fewbits.graph.float_layer import FloatLayer, WrappedLayer, apply_layer
from fewbits.quantization.layers.captured import Points, captured_padding, refuse_onnx, rounded, rounded_bias
from fewbits.quantization.layers.rounded_parameters import RoundedParameters, StraightThroughParameters
from fewbits.quantization.layers.stored import (
    NOT_CHOSEN,
    as_buffer,
    checked,
    fill,
    formats_from_tensor,
    formats_to_tensor,
    start,
    units_from_tensor,
    units_to_tensor,
)
from fewbits.quantization.layers.straight_through import StraightThrough
from fewbits.quantization.layers.table_products import TableProducts
from fewbits.quantization.layers.tensor_rounding import TensorRounding
from fewbits.quantization.layers.training_method import TrainingMethod


class _HiddenParameterError(ModelError, AttributeError):
    """A parameter of the float layer, asked of the quantized one."""


class QuantizedLayer(WrappedLayer):
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

    def __init__(self, layer: FloatLayer, precision: Precision, name: str = "", *, per_channel: bool = False) -> None:
        """Wrap a float layer, which is taken over, not copied. name: what errors call it.

        per_channel: give each output's weights a radix point of their own. Raises ModelError for that with a narrow
        float format.
        """
        super().__init__()
        self.layer = layer
        self.name = name
        self.method = None
        self._tables: TableProducts | None = None
        self._left_out: tuple[LayerProducts, Tensor] | None = None
        self._input_rounding: tuple[TensorRounding, ...] = ()  # in a tuple: it is no part of this module
        self._take_formats(precision, 0)
        self._weight_point = start(precision.weights)
        self._weight_scale: Scale | None = None
        self._input_point = start(precision.inputs)
        device = layer.weight.device
        self.weight_radix_point: Tensor
        self.input_radix_point: Tensor | None
        self.register_buffer("weight_radix_point", as_buffer(self._weight_point, device))
        self.register_buffer("input_radix_point", as_buffer(self._input_point, device))
        self.channel_shifts: Tensor | None
        self.register_buffer("channel_shifts", _channel_shifts(layer, precision, name) if per_channel else None)
        self.formats_text: Tensor | None
        self.register_buffer("formats_text", None)
        self.switched_text: Tensor | None
        self.register_buffer("switched_text", None)
        self.precision_text: Tensor
        self.register_buffer("precision_text", formats_to_tensor(precision).to(device))
        self.rounded = RoundedParameters()

    def __getattr__(self, name: str) -> Any:
        """Sizes of the float layer, such as `in_features`, which a forward pass may read.

        Raises ModelError, an AttributeError too, for its weight and bias.
        """
        try:
            return super().__getattr__(name)
        except AttributeError:
            layer = self.__dict__.get("_modules", {}).get("layer")
            if name in getattr(layer, "__constants__", ()):
                return getattr(layer, name)
            if name not in ("weight", "bias"):
                raise
        raise _HiddenParameterError(
            f"layer {self.name!r}: the network's forward pass reads its {name} itself, which is quantized inside the "
            "layer; call the layer, as self.layer(x), in place of a function that takes its weight"
        )

    def set_formats(self, precision: Precision, scale_bits: int = 0) -> None:
        """Give the layer formats of its own; they are kept with its state. Radix points must be set anew.

        scale_bits: width of multipliers that the weights' values hold.
        Raises ModelError for another input format where the input is rounded for several operations together.
        """
        if self.products is not None:
            raise ModelError(
                f"layer {self.name!r} computes with product tables of its formats: take them off first, "
                "layer.products = None"
            )
        shared = self.input_rounding
        if shared is not None and shared.number_format != precision.inputs:
            raise ModelError(
                f"layer {self.name!r} takes values that are rounded to {shared.number_format.name} before it, for an "
                f"average or for other layers too: its inputs cannot be {precision.inputs.name}"
            )
        self._replace_formats(precision, scale_bits)

    def _replace_formats(self, precision: Precision, scale_bits: int) -> None:
        self._take_formats(precision, scale_bits)
        self.weight_fraction_bits = start(precision.weights)
        if self.input_radix_point is not None:
            self._input_point = fill(self.input_radix_point, start(precision.inputs))
        self.rounded.forget()
        self.formats_text = formats_to_tensor(precision, scale_bits).to(self.layer.weight.device)

    def _take_formats(self, precision: Precision, scale_bits: int) -> None:
        self.weight_format: Format = precision.weights
        self.input_format: Format = precision.inputs
        self.scale_bits = scale_bits
        self._has_integer_bias = precision.is_integer
        self.rounds_weights = precision.weights.name != "float32"
        self.rounds_inputs = precision.inputs.name != "float32" and not self._input_rounding

    @property
    def products(self) -> LayerProducts | None:
        """What its products are, where they are not exact; see `set_products`. They are no part of its state."""
        if self._left_out is not None:
            return self._left_out[0]
        return None if self._tables is None else self._tables.products

    @products.setter
    def products(self, products: LayerProducts | None) -> None:
        self._tables = None if products is None else TableProducts(products)
        self._left_out = None
        self.switched_text = None
        self.rounded.forget()

    @property
    def switched(self) -> SwitchedUnits | None:
        """The units, and chunks of others, whose products are approximate; None where a recipe switched none."""
        return None if self.switched_text is None else units_from_tensor(self.switched_text)

    def switch(self, units: SwitchedUnits | None) -> None:
        """Compute some products approximately; unlike `products`, that is kept with the layer's state.

        Products that are dropped are those of weights that are zero, where the format has a zero: no table is needed
        then, and these weights have no gradient.
        Raises ModelError, naming the layer, where it lacks the units or its formats have no such products.
        """
        if units is None:
            self.products = None
            return
        weight = self.layer.weight
        sizes = (len(weight), weight[0].numel())
        try:
            made = units.products(self.weight_format, self.input_format, *sizes)
        except FormatError as error:
            raise ModelError(f"layer {self.name!r}: {error}") from None
        self.products = made
        if units.approximation == DROPPED and self.weight_format.has_zero:
            self._tables = None
            self._left_out = made, torch.from_numpy(units.of_products(*sizes)).reshape(weight.shape)
        self.switched_text = units_to_tensor(units).to(weight.device)

    @property
    def leaves_out(self) -> bool:
        """Whether products are dropped whose weights are taken for zeros."""
        return self._left_out is not None

    def without_left_out(self, weight: Tensor) -> Tensor:
        """Of weights, or of their gradients, zeros in place of those whose products are left out; in place."""
        if self._left_out is None:
            return weight
        return weight.masked_fill_(self._left_out[1].to(weight.device), 0.0)

    @property
    def weight_fraction_bits(self) -> int:
        """Radix point of the weights; with per-channel ones the coarsest. Raises ModelError before calibration."""
        return checked(self._weight_point, self.name)

    @weight_fraction_bits.setter
    def weight_fraction_bits(self, fraction_bits: int) -> None:
        self._weight_point = fill(self.weight_radix_point, fraction_bits)
        self._weight_scale = None

    @property
    def input_fraction_bits(self) -> int:
        """Radix point of the inputs. Raises ModelError before calibration."""
        if self._input_rounding:
            return self._input_rounding[0].fraction_bits
        return checked(self._input_point, self.name)

    @input_fraction_bits.setter
    def input_fraction_bits(self, fraction_bits: int) -> None:
        if self._input_rounding:
            self._input_rounding[0].fraction_bits = fraction_bits
        else:
            assert self.input_radix_point is not None
            self._input_point = fill(self.input_radix_point, fraction_bits)

    @property
    def input_rounding(self) -> TensorRounding | None:
        """What rounds the input before the layer and has its radix point; None if the layer does that itself."""
        return self._input_rounding[0] if self._input_rounding else None

    def follow(self, rounding: TensorRounding) -> None:
        """Leave the rounding of the input, and its radix point, to a rounding that the input passes through."""
        self._input_rounding = (rounding,)
        self.rounds_inputs = False
        self.input_radix_point = None

    @property
    def accumulator_fraction_bits(self) -> int:
        """Radix point of the products, the accumulator and the bias. Raises ModelError before calibration."""
        return self.weight_fraction_bits + self.input_fraction_bits

    @property
    def is_calibrated(self) -> bool:
        """Whether both radix points are known."""
        has_input = self._input_rounding[0].is_calibrated if self._input_rounding else self._input_point != NOT_CHOSEN
        return self._weight_point != NOT_CHOSEN and has_input

    def forget_weight_point(self) -> None:
        """Ask for calibration anew, since the weights are others now."""
        self.weight_fraction_bits = start(self.weight_format)
        self.rounded.forget()

    @property
    def weight_scale(self) -> Scale:
        """What the weights' numbers are multiplied by. Raises ModelError before calibration."""
        if self._weight_scale is None:
            point = self.weight_fraction_bits
            if self.channel_shifts is not None:
                self._weight_scale = Scale.of_channels(tuple(point + int(shift) for shift in self.channel_shifts))
            elif self.scale_bits:
                self._weight_scale = Scale.merged(self.scale_bits, point)
            else:
                self._weight_scale = Scale.power_of_two(point)
        return self._weight_scale

    @weight_scale.setter
    def weight_scale(self, scale: Scale) -> None:
        """Powers of two: one for the tensor, or one a channel in a layer that was quantized so."""
        if scale.shifts is not None:
            if self.channel_shifts is None:
                raise ModelError(f"layer {self.name!r} has one radix point: quantize with per_channel=True")
            self.channel_shifts.copy_(torch.tensor(scale.shifts))
        self.weight_fraction_bits = scale.coarsest
        self.rounded.forget()

    def encoded_weight(self) -> Encoded:
        """The weights as codes, on the CPU. Raises ModelError before calibration."""
        weight = self.layer.weight
        if self._left_out is not None:
            weight = self.without_left_out(weight.detach().clone())
        return Encoded.of(weight, self.weight_format, self.weight_scale)

    def quantized_weight(self) -> Tensor:
        """The weights as the hardware holds them: a new tensor, in the shape and dtype of the shadow weights.

        Raises ModelError before calibration.
        """
        return self.round_weight(self.layer.weight.detach(), None)

    def keep_rounded_weight(self) -> None:
        """See `WrappedLayer`: fixed32 saturates at 2**31 - 128 in float32, at 2**31 - 1 in float64."""
        with torch.no_grad():
            self.layer.weight.copy_(self.quantized_weight())
        self.rounded.forget()

    def quantized_bias(self) -> Tensor | None:
        """The bias at the accumulator's radix point, a new tensor; None without bias.

        Raises ModelError before calibration.
        """
        bias = self.layer.bias
        return None if bias is None else self.round_bias(bias.detach(), None)

    def forward(self, x: Tensor, *, rectified: bool = False) -> Tensor:
        """The layer's result on `x`, in the dtype of the shadow weights; rectified: on max(x, 0).

        x: as the float layer takes it. Raises ModelError before calibration, FormatError if `x` holds NaN.
        """
        if self._tables is not None and not self.multiplies_exactly:
            return self._with_tables(self._tables, x, rectified=rectified)
        if self._left_out is not None:
            self._check_products(x)
        if self.method is not None:
            if is_captured(x):
                refuse_onnx(self.name)
            return self.method(self, F.relu(x) if rectified else x)
        weight, bias = self._rounded_parameters()
        return apply_layer(self.layer, self.rounded_input(x, rectified=rectified), weight, bias, self.padding_value)

    def _with_tables(self, tables: TableProducts, x: Tensor, *, rectified: bool) -> Tensor:
        """The result with product tables."""
        self._check_products(x)
        weight, bias = self._rounded_parameters()
        inputs = self.rounded_input(x, rectified=rectified)
        return tables.result(self, inputs, apply_layer(self.layer, inputs, weight, bias, self.padding_value))

    def _check_products(self, x: Tensor) -> None:
        """Raise ModelError where products that are not exact cannot be computed."""
        if self.method is not None:
            raise ModelError(
                f"layer {self.name!r} computes with product tables, and a recipe's method multiplies exactly: take a "
                "recipe that trains by the straight-through estimator alone, such as fine-tune"
            )
        if is_captured(x):
            raise ModelError(
                f"layer {self.name!r} computes with product tables, which torch does not capture: run it eagerly, or "
                "lower it"
            )

    def rounded_input(self, x: Tensor, *, rectified: bool = False) -> Tensor:
        """The input, or max(x, 0), rounded to its format, with a straight-through gradient where one is wanted."""
        if not self.rounds_inputs:
            return F.relu(x) if rectified else x
        if is_captured(x):
            return rounded(x, self.input_format, self.input_point, rectified=rectified)
        if x.requires_grad and torch.is_grad_enabled():
            return StraightThrough.apply(x, self.input_format, self.input_fraction_bits, rectified)
        return self.input_format.quantize(x, self.input_fraction_bits, rectified=rectified)

    def compute(self, inputs: Tensor, weight: Tensor, points: Points | None = None) -> Tensor:
        """The layer's result on rounded inputs with rounded weights, as a training method gives them.

        The bias is rounded here, at the accumulator's radix point. points: see `straight_through_bias`.
        Raises ModelError before calibration.
        """
        padding = self.padding_value if points is None else captured_padding(self.input_format, points[1], inputs)
        return apply_layer(self.layer, inputs, weight, self.straight_through_bias(points), padding)

    def straight_through_weight(self) -> Tensor:
        """The rounded weights, with a straight-through gradient."""
        if not self.rounds_weights:
            return self.layer.weight
        weight = self.layer.weight
        if is_captured(weight):
            return rounded(weight, self.weight_format, self.weight_radix_point, self.channel_shifts)
        scale = self.weight_scale
        values = StraightThrough.apply(scale.aligned(weight), self.weight_format, scale.coarsest)
        return values if scale.shifts is None else values / scale.shift_factors(weight)

    def straight_through_bias(self, points: Points | None = None) -> Tensor | None:
        """The bias at the accumulator's radix point, with the identity as gradient; None without bias.

        points: radix points of weights and inputs in tensors, where torch captures a method that learns them.
        """
        bias = self.layer.bias
        if bias is None:
            return None
        if points is None and not is_captured(bias):
            return bias + (self.round_bias(bias.detach(), None) - bias.detach())
        return bias + (self._captured_bias(bias.detach(), points or self.points) - bias.detach())

    @property
    def input_point(self) -> Tensor:
        """The buffer that holds the radix point of the inputs."""
        point = self.input_radix_point if not self._input_rounding else self._input_rounding[0].point
        assert point is not None
        return point

    @property
    def points(self) -> Points:
        """The buffers that hold the radix points of weights and inputs."""
        return self.weight_radix_point, self.input_point

    @property
    def padding_value(self) -> float | Tensor:
        """What a convolution's padding is: what zero is rounded to, 1 at the input's radix point in `binary`."""
        if is_captured(self.layer.weight):
            return captured_padding(self.input_format, self.input_point, self.layer.weight)
        return self.input_format.rounded_zero * 2.0**-self.input_fraction_bits

    def train(self, mode: bool = True) -> QuantizedLayer:
        """Switch between training and evaluation; forget the rounded weights that evaluation keeps."""
        self.rounded.forget()
        return super().train(mode)

    def extra_repr(self) -> str:
        """Formats and radix points, for printing."""
        points = (
            f"2**-{self.weight_fraction_bits} / 2**-{self.input_fraction_bits}"
            if self.is_calibrated
            else "not calibrated"
        )
        return f"{self.weight_format.name}/{self.input_format.name}, {points}"

    def _rounded_parameters(self) -> tuple[Tensor, Tensor | None]:
        """Weights and bias for a forward pass, with gradients to the shadow ones where they are wanted."""
        weight, bias = self.layer.weight, self.layer.bias
        if not self.rounds_weights and not self._has_integer_bias:
            return weight, bias
        if is_captured(weight):
            values = rounded(weight, self.weight_format, self.weight_radix_point, self.channel_shifts)
            return values, None if bias is None else self._captured_bias(bias, self.points)
        if torch.is_grad_enabled() and (weight.requires_grad or (bias is not None and bias.requires_grad)):
            return StraightThroughParameters.apply(weight, bias, self)
        return self.rounded.update(self, weight, bias)

    def round_weight(self, weight: Tensor, out: Tensor | None) -> Tensor:
        """The weights' nearest values, into `out` if it is given."""
        if not self.rounds_weights:
            return weight.clone() if out is None else out.copy_(weight)
        return self.without_left_out(self.weight_format.quantize(weight, self.weight_scale, out=out))

    def round_bias(self, bias: Tensor, out: Tensor | None) -> Tensor:
        """Round half to even at the accumulator's radix point; exact, as scaling by a power of two is."""
        if not self._has_integer_bias:
            return bias.clone() if out is None else out.copy_(bias)
        scale = None if self.channel_shifts is None else self.weight_scale
        return round_to_accumulator(bias, self.accumulator_fraction_bits, scale, out)

    def _captured_bias(self, bias: Tensor, points: Points) -> Tensor:
        """The same by an operator, with the identity as gradient."""
        return rounded_bias(bias, *points, self.channel_shifts) if self._has_integer_bias else bias

    def __prepare_scriptable__(self) -> QuantizedLayer:
        """Refuse torch.jit.script, which compiles Python's source and so cannot take a layer's formats."""
        raise ModelError(
            f"torch.jit.script does not take the quantized layer {self.name!r}: use torch.jit.trace, torch.export or "
            "torch.compile"
        )

    def _replicate_for_data_parallel(self) -> QuantizedLayer:
        """A replica's rounded weights are in memory of its own, on its own device."""
        replica = super()._replicate_for_data_parallel()
        replica.rounded = RoundedParameters()
        return replica

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Load the buffers, then read them once: forward passes need plain integers.

        Raises ModelError for the state of a layer that was quantized to another precision; a state that does not tell
        (one of before 0.4) is taken.
        """
        state, prefix, missing = args[0], args[1], args[4]
        precision = state.get(f"{prefix}precision_text")
        if precision is not None:
            self._check_precision(formats_from_tensor(precision)[0])
        text = state.get(f"{prefix}formats_text")
        if text is not None:
            self._replace_formats(*formats_from_tensor(text))  # a shared rounding's may be loaded later
        switched = state.get(f"{prefix}switched_text")
        if switched is not None:
            self.switch(units_from_tensor(switched))
        elif self.switched_text is not None:
            self.switch(None)
        super()._load_from_state_dict(*args, **kwargs)
        if precision is None and f"{prefix}precision_text" in missing:
            missing.remove(f"{prefix}precision_text")
        self.weight_fraction_bits = int(self.weight_radix_point.item())
        if self.input_radix_point is not None:
            self._input_point = int(self.input_radix_point.item())
        self.rounded.forget()

    def _check_precision(self, stored: Precision) -> None:
        """Raise ModelError unless a state is of the precision that the layer was quantized to."""
        own = formats_from_tensor(self.precision_text)[0]
        if stored.name != own.name:
            raise ModelError(
                f"layer {self.name!r} was quantized to {own.name}, the state is of {stored.name}: quantize the float "
                "model at that precision, then load"
            )


def _channel_shifts(layer: FloatLayer, precision: Precision, name: str) -> Tensor | None:
    """Room for each output's shift; None for weights without a radix point."""
    if not precision.weights.needs_radix_point:
        return None
    if precision.weights.arithmetic != "integer":
        raise ModelError(
            f"layer {name!r}: per-channel radix points are for weights of integers (fixed, pow2, ternary, binary), not "
            f"{precision.weights.name}"
        )
    return torch.zeros(len(layer.weight), dtype=torch.int64, device=layer.weight.device)
