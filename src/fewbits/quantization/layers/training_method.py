"""The base of what a recipe may put into a layer while it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from fewbits.quantization.layers.layer import QuantizedLayer


class WithLayers(Protocol):
    """What holds quantized layers by name: a quantized model."""

    @property
    def layers(self) -> Mapping[str, QuantizedLayer]:
        """Each of them."""
        ...


class TrainingMethod(nn.Module, ABC):
    """How one layer computes while a recipe trains it; it may have parameters of its own.

    In evaluation it must compute what the layer computes after `settle`, so that the epoch chosen on validation images
    is the best of what the hardware will compute.
    """

    @abstractmethod
    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result on `x`, with the method's gradients."""

    def settle(self, layer: QuantizedLayer) -> None:
        """Write what was learned into the layer, which then computes without the method."""


def settle(model: WithLayers) -> None:
    """End the methods of all layers: what is left is a network that `lower` takes."""
    for layer in model.layers.values():
        method = layer.method
        layer.method = None
        if method is not None:
            method.settle(layer)
        layer.rounded.forget()
