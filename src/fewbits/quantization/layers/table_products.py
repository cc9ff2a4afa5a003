"""A layer's forward pass with product tables; backward, the products are exact.

The straight-through gradient of an approximate product is that of the exact one: Gong et al., "ApproxTrain: Fast
simulation of approximate multipliers for DNN training and inference" (IEEE TCAD, 2023).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from fewbits.errors import ModelError
from fewbits.formats.product_table import LayerProducts
from fewbits.graph.float_layer import FloatLayer, padding_of
from fewbits.graph.gather import Windows
from fewbits.graph.geometry import convolution_length

if TYPE_CHECKING:
    from fewbits.graph.product_sums import ProductSums
    from fewbits.quantization.layers.layer import QuantizedLayer


class TableProducts:
    """What a layer's tables give for its rounded weights and inputs; computed on the CPU."""

    def __init__(self, products: LayerProducts) -> None:
        self.products = products
        self._sums: dict[tuple[int, ...], ProductSums] = {}

    def result(self, layer: QuantizedLayer, inputs: Tensor, exact: Tensor) -> Tensor:
        """The layer's result, with the gradient of `exact`, its result with exact products.

        inputs: rounded to the layer's format. Raises ModelError for multipliers in the weights, which no table is of.
        """
        if layer.scale_bits:
            raise ModelError(
                f"layer {layer.name!r} multiplies its sums by factors, which its weights hold: product tables are of "
                "the codes that a multiplier is given; take a recipe without multipliers"
            )
        with torch.no_grad():
            computed = self._computed(layer, inputs.detach(), tuple(exact.shape)).to(exact)
        return _InPlaceOf.apply(exact, computed)

    def _computed(self, layer: QuantizedLayer, inputs: Tensor, shape: tuple[int, ...]) -> Tensor:
        held, scale = layer.layer, layer.weight_scale
        dimensions = 1 if isinstance(held, nn.Linear) else held.weight.ndim - 1
        images = inputs.reshape(-1, *inputs.shape[inputs.ndim - dimensions :]).cpu()
        numbers = images.double() * 2.0**layer.input_fraction_bits
        codes = layer.encoded_weight().codes
        point = scale.finest + layer.input_fraction_bits
        bias = layer.quantized_bias()
        biases = np.zeros(len(codes)) if bias is None else bias.detach().cpu().double().numpy() * 2.0**point
        moves = np.array(scale.moves or (0,) * len(codes), dtype=np.int64)
        sums = self._sums_of(held, codes, tuple(images.shape[1:]), layer.input_format.rounded_zero)
        step = sums.images_at_once
        parts = [
            sums.add(numbers[start : start + step], biases.astype(np.int64), moves, torch.float64)
            for start in range(0, max(1, len(numbers)), step)
        ]
        return torch.cat(parts, dim=1).transpose(0, 1).reshape(shape).mul_(2.0**-point)

    def _sums_of(self, held: FloatLayer, codes: Any, image: tuple[int, ...], padding_value: int) -> ProductSums:
        from fewbits.graph.product_sums import ProductSums  # loads compiled loops: late, as most layers need none

        if image in self._sums:
            self._sums[image].set_weight(codes)
        else:
            self._sums[image] = ProductSums(self.products, codes, _windows(held, image, padding_value))
        return self._sums[image]


class _InPlaceOf(torch.autograd.Function):
    """One result in place of another, whose gradient it takes."""

    @staticmethod
    def forward(ctx: Any, exact: Tensor, computed: Tensor) -> Tensor:
        """What was computed."""
        del ctx, exact
        return computed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """To the exact result."""
        return gradients[0], None


def _windows(held: FloatLayer, image: tuple[int, ...], padding_value: int) -> Windows:
    """The geometry of a float layer on images of a shape."""
    if isinstance(held, nn.Linear):
        return Windows(image, (held.out_features,), (held.in_features,), (), (), (), 1, padding_value)
    padding = padding_of(held)
    settings = zip(image[1:], held.kernel_size, held.stride, padding, held.dilation, strict=True)
    lengths = tuple(convolution_length(*along) for along in settings)
    synapses = tuple(held.weight.shape[1:])
    output = (held.out_channels, *lengths)
    return Windows(image, output, synapses, held.stride, padding, held.dilation, held.groups, padding_value)
