"""`calibrate`: choose every layer's radix points from data."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fewbits.errors import DataError, FewbitsError, ModelError
from fewbits.formats import Format
from fewbits.graph.modes import in_mode
from fewbits.graph.parameters import check_types
from fewbits.quantization.calibration_images import joined
from fewbits.quantization.layers.layer import QuantizedLayer
from fewbits.quantization.layers.layer_calibration import LayerCalibration
from fewbits.quantization.layers.radix_point import (
    Method,
    check_method,
    choose_channel_scale,
    choose_fraction_bits,
    saturated_share,
)
from fewbits.quantization.layers.tensor_rounding import TensorRounding
from fewbits.quantization.model import QuantizedModel
from fewbits.quantization.signs import settle_images
from fewbits.torch_data import TorchData


def calibrate(
    model: QuantizedModel,
    images: Tensor | Iterable[Any] | TorchData,
    method: Method = "squared-error",
    *,
    percentile: float = 99.9,
    weights: bool = True,
) -> QuantizedModel:
    """Choose the radix points of each layer's weights and inputs, and set them.

    The images pass through the network once. Each layer, when its turn comes, chooses from the inputs that the
    already calibrated layers before it give, so that a coarse layer's change of scale does not surprise the next; a
    rounding between layers chooses from the values that it is given, not from their averages or sums.
    What is used several times (a layer, or the rounding of tensors that are concatenated) chooses again from all its
    inputs so far. Layers that the images never reach are not calibrated.

    images: normalized float inputs, N first; or an iterable of such batches (of a pair or dictionary, the images are
    taken), which are joined: give what fits in memory, some hundred images. Of a torch Dataset or DataLoader 256 are
    taken, spread evenly over its items, or the first where they have no numbers.
    method, percentile: see `choose_fraction_bits`. weights: False leaves the weights' radix points as they are.
    Returns the model itself; its `calibration` has what was chosen, one entry a layer, in the order in which they were
    reached.
    Unsigned inputs of layers that take the images as they are need images without negatives (`quantization/signs.py`).
    Raises DataError if the images are none, of another type than the model, not of its shape, or NaN or infinite;
    ModelError for an unknown method, a model that is not quantized, or one that computes something else than what it
    was made of (compared here where `quantize` found no images).
    """
    if not isinstance(model, QuantizedModel):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"calibrate takes what fewbits.quantize returns, not {type(model).__name__}")
    check_method(method, percentile)
    inputs = joined(images)
    calibrator = _Calibrator(method, percentile, weights)
    on_device = inputs.to(check_images_type(model, inputs, "calibration images").device)
    settle_images(model.rounding_inputs, inputs)
    with _observed(model, calibrator.choose), torch.no_grad():
        _run(model, on_device)
        if calibrator.has_late_choices:
            calibrator.roundings_are_chosen = True
            _run(model, on_device)
    model.prove(on_device)
    model.name_misfit(tuple(inputs.shape[1:]))
    model.calibration = tuple(calibrator.chosen.values())
    return model


def check_images_type(model: QuantizedModel, images: Tensor, called: str = "images") -> Tensor:
    """A parameter of the model. Raises DataError unless the images have its type; `called` says which they are."""
    check_types(model)
    parameter = next(model.parameters())
    if images.dtype != parameter.dtype:
        raise DataError(
            f"the {called} are {images.dtype}, the model computes in {parameter.dtype}: "
            f"give images.to({parameter.dtype})"
        )
    return parameter


def _run(model: QuantizedModel, images: Tensor) -> None:
    """Run the model on a copy of the images, which it may overwrite. Raises DataError if it does not take them."""
    try:
        model(images.clone())
    except FewbitsError:
        raise
    except Exception as error:  # whatever a network says to images that are not of its size
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(
            f"the network does not take calibration images of shape {tuple(images.shape)}: {reason}; give images as "
            "the float network takes them, N first"
        ) from error


class _Calibrator:
    """Chooses radix points as values arrive at layers and roundings."""

    def __init__(self, method: Method, percentile: float, weights: bool) -> None:
        self._method: Method = method
        self._percentile = percentile
        self._weights = weights
        self._reached: dict[QuantizedLayer | TensorRounding, list[Tensor]] = {}
        self.chosen: dict[str, LayerCalibration] = {}
        self.roundings_are_chosen = False

    @property
    def has_late_choices(self) -> bool:
        """Whether a rounding saw more values after others had used its first choice."""
        return any(isinstance(module, TensorRounding) and len(seen) > 1 for module, seen in self._reached.items())

    def choose(self, module: QuantizedLayer | TensorRounding, values: Tensor) -> None:
        """Choose the radix points of a layer, or of a rounding, that is about to take values."""
        seen = self._reached.setdefault(module, [])
        if isinstance(module, TensorRounding):
            if not self.roundings_are_chosen:
                seen.append(values)
                module.fraction_bits = self._input_point(module.name, module.number_format, seen)
            return
        if self.roundings_are_chosen:
            seen.clear()
        seen.append(values)
        self.chosen[module.name] = self._calibrate_layer(module, seen)

    def _calibrate_layer(self, layer: QuantizedLayer, inputs: list[Tensor]) -> LayerCalibration:
        """Choose and set one layer's radix points; that of its input only if it is the layer's own."""
        if self._weights:
            try:
                self._choose_weight_points(layer)
            except DataError:
                raise _no_numbers(layer.name) from None
        if layer.input_rounding is None:
            layer.input_fraction_bits = self._input_point(layer.name, layer.input_format, inputs)
        else:
            inputs = self._reached[layer.input_rounding]
        aligned = layer.weight_scale.aligned(layer.layer.weight.detach())
        return LayerCalibration(
            name=layer.name,
            weight_fraction_bits=layer.weight_fraction_bits,
            input_fraction_bits=layer.input_fraction_bits,
            weight_saturation=saturated_share(layer.weight_format, aligned, layer.weight_fraction_bits),
            input_saturation=saturated_share(layer.input_format, _all(inputs), layer.input_fraction_bits),
        )

    def _choose_weight_points(self, layer: QuantizedLayer) -> None:
        """The radix point of a layer's weights, or that of each output's."""
        number_format, weight = layer.weight_format, layer.layer.weight
        if layer.channel_shifts is None:
            layer.weight_fraction_bits = choose_fraction_bits(number_format, weight, self._method, self._percentile)
            return
        layer.weight_scale = choose_channel_scale(number_format, weight, self._method, self._percentile)

    def _input_point(self, name: str, number_format: Format, inputs: list[Tensor]) -> int:
        """The radix point that suits all the values seen so far."""
        try:
            return choose_fraction_bits(number_format, _all(inputs), self._method, self._percentile)
        except DataError:
            raise _no_numbers(name) from None


def _all(inputs: list[Tensor]) -> Tensor:
    return torch.cat([values.reshape(-1) for values in inputs]) if len(inputs) > 1 else inputs[0]


def _no_numbers(name: str) -> ModelError:
    return ModelError(
        f"layer {name!r}: weights or inputs are NaN or infinite, or there are no inputs; "
        "check the model's weights and that the images are of its size"
    )


@contextmanager
def _observed(model: QuantizedModel, choose: Any) -> Generator[None]:
    """Call `choose(module, input)` before a layer or a leading rounding works, in evaluation mode; put all back."""

    def observe(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        choose(module, arguments[0])

    roundings = [rounding for rounding in model.roundings.values() if rounding.is_leader]
    hooks = [module.register_forward_pre_hook(observe) for module in (*model.layers.values(), *roundings)]
    try:
        with in_mode(model, training=False):
            yield
    finally:
        for hook in hooks:
            hook.remove()
