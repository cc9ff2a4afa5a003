"""`calibrate`: choose every layer's radix points from data."""

# Batches may come from any iterable.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fewbits.errors import DataError, ModelError
from fewbits.quantize.layer import QuantizedLayer
from fewbits.quantize.model import QuantizedModel
from fewbits.quantize.radix_point import Method, check_method, choose_fraction_bits, saturated_share


@dataclass(frozen=True)
class LayerCalibration:
    """What calibration chose for one layer."""

    name: str
    """Where the layer is in the network."""

    weight_fraction_bits: int
    input_fraction_bits: int
    weight_saturation: float
    """Share of the weights, 0 to 1, beyond the format's range."""

    input_saturation: float
    """Share of the inputs, 0 to 1, beyond the format's range."""


def calibrate(
    model: QuantizedModel,
    images: Tensor | Iterable[Any],
    method: Method = "squared-error",
    *,
    percentile: float = 99.9,
    weights: bool = True,
) -> tuple[LayerCalibration, ...]:
    """Choose the radix points of each layer's weights and inputs, and set them.

    The images pass through the network once. Each layer, when its turn comes, chooses from the inputs that the
    already calibrated layers before it give, so that a coarse layer's change of scale does not surprise the next.
    A layer that is used several times chooses again from all its inputs so far. Layers that the images never reach
    are not calibrated.

    images: normalized float inputs, N first; or an iterable of such batches (of a pair, the first is taken), which
    are joined: give what fits in memory, some hundred images. method, percentile: see `choose_fraction_bits`.
    weights: False leaves the weights' radix points as they are.
    Returns one entry a layer, in the order in which the layers were reached.
    Raises DataError if the images are none, not floating point, or NaN or infinite; ModelError for an unknown method
    or a model that is not quantized.
    """
    if not isinstance(model, QuantizedModel):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"calibrate takes what fewbits.quantize returns, not {type(model).__name__}")
    check_method(method, percentile)
    inputs = _joined(images)
    chosen: dict[str, LayerCalibration] = {}
    reached: dict[str, list[Tensor]] = {}

    def choose(layer: QuantizedLayer, values: Tensor) -> None:
        reached.setdefault(layer.name, []).append(values)
        chosen[layer.name] = _calibrate_layer(layer, reached[layer.name], method, percentile, weights)

    with _observed(model, choose), torch.no_grad():
        model(inputs.to(next(model.parameters()).device))
    return tuple(chosen.values())


def _calibrate_layer(
    layer: QuantizedLayer, inputs: list[Tensor], method: Method, percentile: float, weights: bool
) -> LayerCalibration:
    """Choose and set one layer's radix points."""
    seen = torch.cat([values.reshape(-1) for values in inputs]) if len(inputs) > 1 else inputs[0]
    try:
        if weights:
            layer.weight_fraction_bits = choose_fraction_bits(
                layer.weight_format, layer.layer.weight, method, percentile
            )
        layer.input_fraction_bits = choose_fraction_bits(layer.input_format, seen, method, percentile)
    except DataError:
        raise ModelError(
            f"layer {layer.name!r}: weights or inputs are NaN or infinite, or there are no inputs; "
            "check the model's weights and that the images are of its size"
        ) from None
    return LayerCalibration(
        name=layer.name,
        weight_fraction_bits=layer.weight_fraction_bits,
        input_fraction_bits=layer.input_fraction_bits,
        weight_saturation=saturated_share(layer.weight_format, layer.layer.weight, layer.weight_fraction_bits),
        input_saturation=saturated_share(layer.input_format, seen, layer.input_fraction_bits),
    )


@contextmanager
def _observed(model: QuantizedModel, choose: Any) -> Generator[None]:
    """Call `choose(layer, input)` before each layer's forward pass, in evaluation mode; put all back afterwards."""

    def observe(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        choose(module, arguments[0])

    hooks = [layer.register_forward_pre_hook(observe) for layer in model.layers.values()]
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training


def _joined(images: Tensor | Iterable[Any]) -> Tensor:
    """One tensor of all the images, checked."""
    if not isinstance(images, Tensor):
        batches = [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in images]
        if not batches or not all(isinstance(batch, Tensor) for batch in batches):
            raise DataError("calibration takes a tensor of images or an iterable of such tensors")
        images = torch.cat(batches)
    if images.numel() == 0:
        raise DataError("calibration needs at least one image")
    if not images.is_floating_point():
        raise DataError(f"calibration takes normalized float images, not {images.dtype}")
    if not torch.isfinite(images).all():
        raise DataError("the calibration images hold NaN or infinity")
    return images
