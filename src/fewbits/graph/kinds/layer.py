"""What convolution and the linear layer share: weights that are quantized, accumulators, reasons to stay float."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from fewbits.errors import ModelError
from fewbits.graph.float_layer import WrappedLayer
from fewbits.graph.geometry import Shape
from fewbits.graph.kind import Codes, Effect, KindOfOperation, Lowering
from fewbits.graph.operations import Layer
from fewbits.graph.parameters import has_hooks, is_initialized


class KindOfLayer(KindOfOperation):
    """A kind with weights. A meaning is the float layer, or a quantized one around it."""

    effect = "layer"
    makes_sums = True

    size_names: ClassVar[tuple[str, str]]
    """Attributes of the layer: how many outputs and inputs it has."""

    features_are_last: ClassVar[bool] = False
    """Whether the result's features lie along the last dimension, not along the first behind the batch."""

    def effect_of(self, meaning: Any) -> Effect:
        is_layer = isinstance(meaning, WrappedLayer) or self.refusal(meaning) is None
        return self.effect if is_layer else "other"

    def refusal(self, meaning: Any) -> str | None:
        if isinstance(meaning, WrappedLayer):
            return None
        if (reason := self.reason_to_leave(meaning)) is not None:
            return reason
        if getattr(meaning, "padding_mode", "zeros") != "zeros":
            return f"padding_mode {meaning.padding_mode!r}: only 'zeros' is quantized; use padding_mode='zeros'"
        return None

    def reason_to_leave(self, module: nn.Module) -> str | None:
        """Why a layer's weights are not to be changed or used by others; None if they may be."""
        if not is_initialized(module):
            return "it is not initialized; run the model once on an image first"
        tensors: dict[str, object] = {"weight": module.weight, "bias": module.bias}
        for kind, values in tensors.items():
            if not isinstance(values, nn.Parameter) and (kind == "weight" or values is not None):
                return (
                    f"its {kind} is computed (a parametrization, weight norm or a pruning mask), not a parameter; "
                    "after training make it one by "
                    f"torch.nn.utils.parametrize.remove_parametrizations(layer, {kind!r}), "
                    "remove_weight_norm(layer) or prune.remove"
                )
        if type(module) not in self.meanings:
            base = next(kind.__name__ for kind in self.meanings if isinstance(module, kind))
            return f"a kind derived from {base}, whose forward pass may differ; use nn.{base} itself"
        if "forward" in module.__dict__:
            return "this instance has a forward pass of its own, which a quantized layer would not call"
        if has_hooks(module):
            return (
                "it has hooks, which a quantized layer would not call; remove them, or write what they do into forward"
            )
        return None

    def lower(self, call: Lowering) -> None:
        if not isinstance(call.meaning, WrappedLayer):
            raise ModelError(f"layer {call.name!r} is not quantized: quantize the network anew")
        (source,) = call.sources
        call.require(call.codes(source), self.wants(call.meaning))
        layer = self.operation(call, source.output_shape)
        call.add_sums(layer, layer.accumulator_fraction_bits)

    def operation(self, call: Lowering, shape: Shape) -> Layer:
        """The operation, for an input of a shape. Raises DataError if that does not fit."""
        raise NotImplementedError

    def wants(self, meaning: WrappedLayer) -> Codes:
        return Codes(meaning.input_format, meaning.input_fraction_bits)

    def takes_channels(self, meaning: Any, channels: int, are_last: bool, of_vectors: bool) -> bool:
        """Whether the layer takes just the channels that another one makes.

        channels: how many. are_last: they lie along the last dimension, in blocks behind a flattening. of_vectors: that
        layer's features are its last dimension, so that each is one value.
        """
        raise NotImplementedError


def plain(meaning: Any) -> Any:
    """The float layer of a meaning."""
    return meaning.layer if isinstance(meaning, WrappedLayer) else meaning
