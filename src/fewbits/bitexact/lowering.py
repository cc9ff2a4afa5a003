"""`lower`: a calibrated quantized network becomes the graph of exactly what the hardware computes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from fewbits.bitexact.layers import lower_layer
from fewbits.bitexact.network import BitExactNetwork
from fewbits.bitexact.operations import Flatten, InputRounding, Layer, Operation, ReLU, Rounding
from fewbits.bitexact.pooling import POOLING, lower_pooling
from fewbits.bitexact.tracing import IMAGES, Call, Reshape, Trace, flattened, trace
from fewbits.errors import DataError, ModelError
from fewbits.formats import Format
from fewbits.quantize import QuantizedLayer, QuantizedModel

_VANISHING = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
"""Modules that do nothing in evaluation."""


def lower(module: QuantizedModel, example: Tensor) -> BitExactNetwork:
    """The bit-exact network of a calibrated quantized network, in evaluation mode.

    The result is rounded to the next layer's input format directly after a layer and the ReLU that follows it, before
    any pooling; what comes after the last layer works on its accumulators. The network itself stays as it is.
    example: one image (channels, height, width) or a batch of them; only its shape counts.
    Raises ModelError, naming the layer, if a layer is not calibrated, holds NaN, was left float or has no bit-exact
    form, or if layers that share an input want it in different formats; DataError if the example does not fit.
    """
    if not isinstance(module, QuantizedModel):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"lower takes what fewbits.quantize returns, not {type(module).__name__}")
    traced = trace(module)
    _check_kinds(module, traced)
    shape = _image_shape(traced, example)
    return BitExactNetwork(operations_of(traced, shape), module.precision, shape)


def operations_of(traced: Trace, input_shape: tuple[int, ...]) -> tuple[Operation, ...]:
    """The operations of traced calls on images of a shape. Raises what `lower` raises."""
    return _Builder(traced, input_shape).build()


@dataclass(frozen=True)
class _Demand:
    """Where a layer wants its input rounded to."""

    number_format: Format
    fraction_bits: int
    layer: str


class _Builder:
    """Makes the operations of one network, in the order of its calls."""

    def __init__(self, traced: Trace, input_shape: tuple[int, ...]) -> None:
        self._trace = traced
        self._consumers: dict[str, list[Call]] = {call.name: [] for call in traced.calls} | {IMAGES: []}
        for call in traced.calls:
            self._consumers[call.source].append(call)
        self._operations: list[Operation] = []
        self._results: dict[str, Operation] = {}
        """The operation that gives what a call gives, by the call's name."""
        self._formats: dict[str, Format | None] = {}
        """Format of an operation's values by its name; None for accumulators."""
        self._input_shape = input_shape

    def build(self) -> tuple[Operation, ...]:
        demand = self._demand(IMAGES)
        if demand is None:
            raise ModelError("the network's result does not pass through a quantized layer: there is nothing to lower")
        self._add(
            IMAGES,
            InputRounding(
                name="input",
                inputs=(IMAGES,),
                output_shape=self._input_shape,
                number_format=demand.number_format,
                fraction_bits=demand.fraction_bits,
            ),
            demand.number_format,
        )
        for call in self._trace.calls:
            self._add_call(call)
        return tuple(self._operations)

    def _add_call(self, call: Call) -> None:
        source = self._results[call.source]
        shape, module = source.output_shape, call.module
        values = self._formats[source.name]
        if isinstance(module, QuantizedLayer):
            if values is None:
                raise ModelError(f"layer {call.name!r} takes accumulators that were not rounded")
            layer = lower_layer(call.name, source, module)
            self._add(call.name, layer, None)
            if not self._is_followed_by_relu(call.name):
                self._round(call.name, layer)
        elif isinstance(module, _VANISHING):
            self._results[call.name] = source
        elif isinstance(module, nn.ReLU):
            relu = ReLU(name=call.name, inputs=(source.name,), output_shape=shape)
            self._add(call.name, relu, values)
            if isinstance(source, Layer) and self._is_followed_by_relu(call.source):
                self._round(call.name, source)
        elif isinstance(module, (nn.Flatten, Reshape)):
            after = flattened(shape, module, call.name)
            self._add(call.name, Flatten(name=call.name, inputs=(source.name,), output_shape=after), values)
        else:
            self._add(call.name, lower_pooling(call.name, source, module, values), values)

    def _add(self, call: str, operation: Operation, values: Format | None) -> None:
        self._operations.append(operation)
        self._results[call] = operation
        self._formats[operation.name] = values

    def _is_followed_by_relu(self, name: str) -> bool:
        """Whether a call's only consumer, dropout aside, is a ReLU: then rounding waits for it."""
        consumers = self._consumers[name]
        if name == self._trace.output or len(consumers) != 1:
            return False
        (consumer,) = consumers
        if isinstance(consumer.module, _VANISHING):
            return self._is_followed_by_relu(consumer.name)
        return isinstance(consumer.module, nn.ReLU)

    def _round(self, call: str, layer: Layer) -> None:
        """Round a layer's accumulators, seen after `call`, to what the next layer wants; nothing for the last layer."""
        demand = self._demand(call)
        if demand is None:
            return
        if (demand.number_format.family == "float") != (layer.input_format.family == "float"):
            raise ModelError(
                f"layer {demand.layer!r} takes {demand.number_format.name}, layer {layer.name!r} before it "
                f"{layer.input_format.name}: integer and float layers cannot be lowered together"
            )
        rounding = Rounding(
            name=f"{layer.name}.rounding",
            inputs=(self._results[call].name,),
            output_shape=layer.output_shape,
            number_format=demand.number_format,
            accumulator_fraction_bits=layer.accumulator_fraction_bits,
            fraction_bits=demand.fraction_bits,
        )
        self._add(call, rounding, demand.number_format)

    def _demand(self, name: str) -> _Demand | None:
        """The format that the layers behind a call want its result in; None if it reaches the network's result.

        Raises ModelError if they disagree. (A residual sum will be one more consumer here, with a format of its own.)
        """
        wants, is_result = self._wants(name)
        if wants and is_result:
            raise ModelError(f"the result of {name!r} is the network's result and the input of {wants[0].layer!r} too")
        for other in wants[1:]:
            first = wants[0]
            if (other.number_format, other.fraction_bits) != (first.number_format, first.fraction_bits):
                raise ModelError(
                    f"layers {first.layer!r} and {other.layer!r} share an input but want it as "
                    f"{first.number_format.name} with {first.fraction_bits} fraction bits and "
                    f"{other.number_format.name} with {other.fraction_bits}: give both the same"
                )
        return wants[0] if wants else None

    def _wants(self, name: str) -> tuple[list[_Demand], bool]:
        wants: list[_Demand] = []
        is_result = name == self._trace.output
        for consumer in self._consumers[name]:
            layer = consumer.module
            if isinstance(layer, QuantizedLayer):
                wants.append(_Demand(layer.input_format, layer.input_fraction_bits, consumer.name))
            else:
                further, reaches_result = self._wants(consumer.name)
                wants += further
                is_result |= reaches_result
        return wants, is_result


def _check_kinds(model: QuantizedModel, traced: Trace) -> None:
    """Raise ModelError for the first module that has no operation."""
    reasons = {skipped.name: skipped.reason for skipped in model.skipped}
    known = (QuantizedLayer, *_VANISHING, nn.ReLU, nn.Flatten, Reshape, *POOLING)
    for call in traced.calls:
        if type(call.module) not in known:
            reason = reasons.get(call.name, "it has no bit-exact form")
            raise ModelError(
                f"layer {call.name!r} ({type(call.module).__name__}) cannot be lowered: {reason}; "
                "remove it, or fold it into the layer before it"
            )


def _image_shape(traced: Trace, example: Tensor) -> tuple[int, ...]:
    """Shape of one image, from an image or a batch of them."""
    if not isinstance(example, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DataError(f"an example is a tensor of one image or a batch of images, not {type(example).__name__}")
    kind = _first_shaped(traced)
    shape = tuple(example.shape)
    if isinstance(kind, nn.Linear):  # perhaps behind a flatten: the image is what has as many values as it has inputs
        readings = (shape, shape[1:]) if len(shape) == 3 else (shape[1:], shape)  # three dimensions: one image
        candidates = [reading for reading in readings if reading and math.prod(reading) == kind.in_features]
        if not candidates:
            raise DataError(
                f"the example has shape {shape}: give an image of {kind.in_features} values, or a batch of them"
            )
        return candidates[0]
    rank = 3 if type(kind).__name__.endswith("2d") else 2
    if len(shape) not in (rank, rank + 1) or 0 in shape[len(shape) - rank :]:
        raise DataError(f"the example has shape {shape}: give one image of {rank} dimensions, or a batch of them")
    return shape[len(shape) - rank :]


def _first_shaped(traced: Trace) -> nn.Module:
    """The first module that takes images of a certain number of dimensions."""
    for call in traced.calls:
        module = call.module.layer if isinstance(call.module, QuantizedLayer) else call.module
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear, *POOLING)):
            return module
    raise ModelError("the network has no layer: there is nothing to lower")
