"""Training that knows what is broken: bits that memory cells hold, products of faulty multipliers, sums that are wrong.

The defect is in the forward pass; the gradient is that of the sound layer, the straight-through estimator of a defect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from fewbits.errors import ModelError
from fewbits.formats.product_table import LayerProducts
from fewbits.graph.float_layer import apply_layer
from fewbits.quantization.layers.table_products import TableProducts
from fewbits.quantization.layers.training_method import TrainingMethod, WithLayers

if TYPE_CHECKING:
    from fewbits.quantization.layers.layer import QuantizedLayer


@dataclass(frozen=True, eq=False)
class HeldBits:
    """Bits of a layer's stored weights that their cells hold, whatever is written."""

    mask: NDArray[Any]
    """In the shape of the weights: the bits of each code that are held; unsigned patterns, integers."""

    values: NDArray[Any]
    """In the same shape: their values; zero in all other bits."""


@dataclass(frozen=True, eq=False)
class FaultySums:
    """What defective neurons make of a layer's sums, as a straight line: slope * sum + offset, for each output."""

    slope: NDArray[Any]
    """Shape (outputs,); 1 where a neuron is sound."""

    offset: NDArray[Any]
    """Shape (outputs,), in units of the accumulator; 0 where a neuron is sound."""


@dataclass(frozen=True, eq=False)
class KnownDefects:
    """What a training computes with in its forward pass; by layers' names, for those that have any."""

    products: Mapping[str, LayerProducts] = field(default_factory=dict[str, LayerProducts])
    """Tables that make a layer's products."""

    sums: Mapping[str, FaultySums] = field(default_factory=dict[str, FaultySums])
    """What becomes of its sums."""

    held: Mapping[str, HeldBits] = field(default_factory=dict[str, HeldBits])
    """Bits of its weights that are held."""

    def __post_init__(self) -> None:
        for name, one in self.held.items():
            if one.mask.shape != one.values.shape or bool((one.values & ~one.mask).any()):
                raise ModelError(f"layer {name!r}: held bits are a mask and values of the same shape within it")

    @property
    def layers(self) -> frozenset[str]:
        """Names of all layers with a defect."""
        return frozenset((*self.products, *self.sums, *self.held))


class DefectiveLayer(TrainingMethod):
    """How a layer computes on defective hardware while it is trained; afterwards it is the sound layer again."""

    def __init__(self, known: KnownDefects, name: str) -> None:
        """name: of the layer."""
        super().__init__()
        products = known.products.get(name)
        self._tables = None if products is None else TableProducts(products)
        self._sums, self._held = known.sums.get(name), known.held.get(name)

    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result."""
        weight, inputs = layer.straight_through_weight(), layer.rounded_input(x)
        if layer.multiplies_exactly:  # a proof compares the layer with the float one
            return layer.compute(inputs, weight)
        codes = None
        if self._held is not None:
            codes = (layer.encoded_weight().codes & ~self._held.mask) | self._held.values
            held = _values(layer, codes).to(weight)
            weight = weight + (held - weight).detach()
        result = apply_layer(layer.layer, inputs, weight, layer.straight_through_bias(), layer.padding_value)
        if self._tables is not None:
            result = self._tables.result(layer, inputs, result)
        return result if self._sums is None else _on_line(layer, result, self._sums)


def set_known_defects(model: WithLayers, known: KnownDefects) -> None:
    """Let a quantized model's layers compute on defective hardware until `settle` ends it.

    Raises ModelError for a layer that is not there, that a recipe's method computes already, or whose weights hold
    multipliers.
    """
    if unknown := sorted(known.layers - set(model.layers)):
        raise ModelError(f"no layer {unknown[0]!r} to train with defects: the network has {', '.join(model.layers)}")
    for name in known.layers:
        layer = model.layers[name]
        if layer.method is not None or layer.scale_bits or layer.products is not None:
            raise ModelError(
                f"layer {name!r} is not trained with defects: it computes with a recipe's own method, multipliers in "
                "its weights, or product tables; give a network of the recipe fine-tune"
            )
        held = known.held.get(name)
        if held is not None and held.mask.shape != tuple(layer.layer.weight.shape):
            raise ModelError(f"layer {name!r}: held bits are not of the shape of its weights")
    for name in known.layers:
        model.layers[name].method = DefectiveLayer(known, name)


def _values(layer: QuantizedLayer, codes: NDArray[Any]) -> Tensor:
    """Values of weights' codes as a datapath reads them."""
    numbers = layer.weight_format.read_numbers(torch.from_numpy(codes.astype("int64")))
    return layer.weight_scale.of_numbers(numbers)


def _on_line(layer: QuantizedLayer, result: Tensor, line: FaultySums) -> Tensor:
    """The result by a straight line an output; its gradient is that of a sound neuron times the slope."""
    shape = (-1, *(1,) * (layer.layer.weight.ndim - 2))
    slope, offset = (torch.from_numpy(one).to(result).reshape(shape) for one in (line.slope, line.offset))
    return result * slope + offset * 2.0**-layer.accumulator_fraction_bits
