"""`lower`: a calibrated quantized network becomes the graph of exactly what the hardware computes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from fewbits.bitexact.layers import lower_layer, sum_bits
from fewbits.bitexact.network import BitExactNetwork
from fewbits.bitexact.pooling import lower_pooling
from fewbits.bitexact.proof import prove_lowering
from fewbits.bitexact.sum_order import DEFAULT, SumOrder
from fewbits.errors import DataError, ModelError
from fewbits.formats import Format
from fewbits.graph import operations as exact
from fewbits.graph.float_layer import FloatLayer
from fewbits.graph.functional import Addition, Concatenation, UnsupportedError
from fewbits.graph.module_kinds import POOLING, VANISHING, check_types
from fewbits.graph.operations import Flatten, InputRounding, Layer, Operation, ReLU, Rounding, layers_of
from fewbits.graph.shapes import added, is_rearranging, joined, rearranged
from fewbits.graph.size_search import misfit_of
from fewbits.graph.tracing import IMAGES, Call, Trace, trace
from fewbits.graph.wrappers import unwrapped
from fewbits.quantization import QuantizedLayer, QuantizedModel, TensorRounding


def lower(
    module: nn.Module, example: Tensor, *, product_bits: int | None = None, sum_order: SumOrder = DEFAULT
) -> BitExactNetwork:
    """The bit-exact network of a calibrated quantized network, in evaluation mode.

    The result is rounded to the next layer's input format directly after a layer or an addition and the ReLU that
    follows it, before any pooling; what comes after the last of them works on its accumulators or sums. The network
    itself stays as it is.
    Both networks are run on the example's first image and on a drawn one, their values not rounded, to see that they
    compute the same.
    example: one image (channels, height, width) or a batch of them; its shape counts.
    product_bits: cut every product to its top bits, as a neuron made by `hardware.rtl.design` with the same setting
    does (docs/architecture.md, "Arithmetic"); None keeps products whole. The quantized network keeps them whole.
    sum_order: in which a float precision sums its products; that of the default accelerator if not given.
    Raises ModelError, naming the layer, if a layer is not calibrated, holds NaN, has a hook that changes values,
    computes something else than what it was lowered to, or if layers that share an input want
    it in different formats; UnsupportedError, a ModelError, for what was left float (see `skipped`) or has no bit-exact
    form; DataError if the example does not fit.
    """
    model = unwrapped(module)
    if not isinstance(model, QuantizedModel):
        raise ModelError(f"lower takes what fewbits.quantize returns, not {type(module).__name__}")
    check_types(model)
    traced = trace_quantized(model)
    shape = _image_shape(traced, example)
    operations = operations_of(traced, shape)
    prove_lowering(model, traced, operations, example, shape)
    if product_bits is not None:
        operations = operations_of(traced, shape, product_bits)
    is_cut = any(layer.dropped_product_bits for layer in layers_of(operations))
    return BitExactNetwork(operations, model.precision, shape, product_bits if is_cut else None, sum_order)


def trace_quantized(model: QuantizedModel) -> Trace:
    """The calls of a quantized network. Raises UnsupportedError for the first of `skipped`, TraceError as `trace`."""
    for skipped in model.skipped:  # these know the user's modules, which a graph with roundings has lost
        raise UnsupportedError(skipped)
    return trace(model.network)


def operations_of(
    traced: Trace, input_shape: tuple[int, ...], product_bits: int | None = None
) -> tuple[Operation, ...]:
    """The operations of traced calls on images of a shape. Raises what `lower` raises."""
    return _Builder(traced, input_shape, product_bits).build()


@dataclass(frozen=True)
class _Codes:
    """A format and a radix point: of values that were rounded, or that a layer wants."""

    number_format: Format
    fraction_bits: int

    def __str__(self) -> str:
        return f"{self.number_format.name} with {self.fraction_bits} fraction bits"


@dataclass(frozen=True)
class _Demand:
    """Where a layer wants its input rounded to."""

    codes: _Codes
    layer: str


class _Builder:
    """Makes the operations of one network, in the order of its calls."""

    def __init__(self, traced: Trace, input_shape: tuple[int, ...], product_bits: int | None) -> None:
        self._trace = traced
        self._product_bits = product_bits
        self._consumers: dict[str, list[Call]] = {call.name: [] for call in traced.calls} | {IMAGES: []}
        for call in traced.calls:
            for source in call.sources:
                self._consumers[source].append(call)
        self._operations: list[Operation] = []
        self._results: dict[str, Operation] = {}
        """The operation that gives what a call gives, by the call's name."""
        self._codes: dict[str, _Codes | None] = {}
        """What an operation's values are, by its name; None for accumulators and sums."""
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
                number_format=demand.codes.number_format,
                fraction_bits=demand.codes.fraction_bits,
            ),
            demand.codes,
        )
        for call in self._trace.calls:
            self._add_call(call)
        if not layers_of(self._operations):
            raise ModelError("the network's result does not pass through a quantized layer: there is nothing to lower")
        return tuple(self._operations)

    def _add_call(self, call: Call) -> None:
        source = self._results[call.sources[0]]
        shape, module = source.output_shape, call.module
        values = self._codes[source.name]
        if isinstance(module, QuantizedLayer):
            self._require(call.name, values, _Codes(module.input_format, module.input_fraction_bits))
            layer = lower_layer(call.name, source, module, self._product_bits)
            self._add(call.name, layer, None)
            self._round_unless_relu_follows(call.name, layer)
        elif isinstance(module, TensorRounding):
            self._require(call.name, values, _Codes(module.number_format, module.fraction_bits))
            self._results[call.name] = source
        elif isinstance(module, Addition):
            self._add_sum(call)
        elif isinstance(module, Concatenation):
            self._add_joined(call, module)
        elif isinstance(module, VANISHING):
            self._results[call.name] = source
        elif isinstance(module, nn.ReLU):
            relu = ReLU(name=call.name, inputs=(source.name,), output_shape=shape)
            self._add(call.name, relu, values)
            if isinstance(source, (Layer, exact.Addition)) and self._is_followed_by_relu(call.sources[0]):
                self._round(call.name, source)
        elif is_rearranging(module):
            after = rearranged(call.name, module, shape)
            self._add(call.name, Flatten(name=call.name, inputs=(source.name,), output_shape=after), values)
        elif isinstance(module, FloatLayer):
            raise ModelError(f"layer {call.name!r} is not quantized: quantize the network anew")
        else:
            number_format = None if values is None else values.number_format
            self._add(call.name, lower_pooling(call.name, source, module, number_format), values)

    def _require(self, name: str, values: _Codes | None, wanted: _Codes) -> None:
        """Raise ModelError unless values were rounded to what a layer takes."""
        if values != wanted:
            what = "accumulators that were not rounded" if values is None else f"values rounded to {values}"
            raise ModelError(
                f"layer {name!r} takes {wanted}, but is given {what}: quantize the network anew and calibrate it, and "
                "see its `skipped` for what could not be traced"
            )

    def _add_sum(self, call: Call) -> None:
        """An addition, at the finer radix point of its operands."""
        sources = [self._results[name] for name in call.sources]
        codes = [self._operand(call.name, source) for source in sources]
        shape = added(call.name, [source.output_shape for source in sources])
        finer = max(operand.fraction_bits for operand in codes)
        shifts = (finer - codes[0].fraction_bits, finer - codes[1].fraction_bits)
        addition = exact.Addition(
            name=call.name,
            inputs=tuple(source.name for source in sources),
            output_shape=shape,
            shifts=shifts,
            accumulator_fraction_bits=finer,
            accumulator_bits=sum_bits([operand.number_format for operand in codes], shifts),
        )
        self._add(call.name, addition, None)
        self._round_unless_relu_follows(call.name, addition)

    def _add_joined(self, call: Call, module: Concatenation) -> None:
        """A concatenation of codes of one format and radix point."""
        sources = [self._results[name] for name in call.sources]
        codes = [self._operand(call.name, source) for source in sources]
        for other in codes[1:]:
            self._require(call.name, other, codes[0])
        axis, shape = joined(call.name, module, [source.output_shape for source in sources])
        inputs = tuple(source.name for source in sources)
        self._add(
            call.name, exact.Concatenation(name=call.name, inputs=inputs, output_shape=shape, axis=axis), codes[0]
        )

    def _operand(self, name: str, source: Operation) -> _Codes:
        """What an operand of an addition or a concatenation was rounded to."""
        codes = self._codes[source.name]
        if codes is None:
            raise ModelError(
                f"call {name!r} takes accumulators of {source.name!r} that were not rounded: the quantized network's "
                "`skipped` says what could not be traced"
            )
        return codes

    def _add(self, call: str, operation: Operation, values: _Codes | None) -> None:
        self._operations.append(operation)
        self._results[call] = operation
        self._codes[operation.name] = values

    def _is_followed_by_relu(self, name: str) -> bool:
        """Whether a call's only consumer, dropout aside, is a ReLU: then rounding waits for it."""
        consumers = self._consumers[name]
        if name == self._trace.output or len(consumers) != 1:
            return False
        (consumer,) = consumers
        if isinstance(consumer.module, VANISHING):
            return self._is_followed_by_relu(consumer.name)
        return isinstance(consumer.module, nn.ReLU)

    def _round_unless_relu_follows(self, call: str, source: Layer | exact.Addition) -> None:
        if not self._is_followed_by_relu(call):
            self._round(call, source)

    def _round(self, call: str, source: Layer | exact.Addition) -> None:
        """Round accumulators or sums, seen after `call`, to what the next layer wants; nothing for the last ones."""
        demand = self._demand(call)
        if demand is None:
            return
        wanted = demand.codes
        if isinstance(source, Layer) and (wanted.number_format.family == "float") != (
            source.input_format.family == "float"
        ):
            raise ModelError(
                f"layer {demand.layer!r} takes {wanted.number_format.name}, layer {source.name!r} before it "
                f"{source.input_format.name}: integer and float layers cannot be lowered together"
            )
        rounding = Rounding(
            name=f"{source.name}.rounding",
            inputs=(self._results[call].name,),
            output_shape=source.output_shape,
            number_format=wanted.number_format,
            accumulator_fraction_bits=source.accumulator_fraction_bits,
            fraction_bits=wanted.fraction_bits,
        )
        self._add(call, rounding, wanted)

    def _demand(self, name: str) -> _Demand | None:
        """The format that the layers behind a call want its result in; None if it reaches the network's result.

        Raises ModelError if they disagree.
        """
        wants, is_result = self._wants(name)
        if wants and is_result:
            raise ModelError(f"the result of {name!r} is the network's result and the input of {wants[0].layer!r} too")
        for other in wants[1:]:
            first = wants[0]
            if other.codes != first.codes:
                same_format = first.codes.number_format == other.codes.number_format
                raise ModelError(
                    f"layers {first.layer!r} and {other.layer!r} share an input but want it as {first.codes} and "
                    f"{other.codes}: "
                    + (
                        "calibrate the network anew, which gives both one radix point, or set both to the same"
                        if same_format
                        else "give both the same format of inputs, by quantize(..., layers=...)"
                    )
                )
        return wants[0] if wants else None

    def _wants(self, name: str) -> tuple[list[_Demand], bool]:
        wants: list[_Demand] = []
        is_result = name == self._trace.output
        for consumer in self._consumers[name]:
            module = consumer.module
            if isinstance(module, QuantizedLayer):
                wants.append(_Demand(_Codes(module.input_format, module.input_fraction_bits), consumer.name))
            elif isinstance(module, TensorRounding):
                wants.append(_Demand(_Codes(module.number_format, module.fraction_bits), consumer.name))
            elif not isinstance(module, (Addition, Concatenation)):
                further, reaches_result = self._wants(consumer.name)
                wants += further
                is_result |= reaches_result
        return wants, is_result


def _image_shape(traced: Trace, example: Tensor) -> tuple[int, ...]:
    """Shape of one image, from an image or a batch of them."""
    if not isinstance(example, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DataError(f"an example is a tensor of one image or a batch of images, not {type(example).__name__}")
    if example.numel() == 0:
        raise DataError(f"the example has shape {tuple(example.shape)}, which holds no image: give one, or a batch")
    kind = _first_shaped(traced)
    shape = tuple(example.shape)
    fitting = [reading for reading in (shape[1:], shape) if reading and misfit_of(traced, reading) is None]
    if len(fitting) == 1:
        return fitting[0]
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
