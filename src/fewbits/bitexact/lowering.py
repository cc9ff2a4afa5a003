"""`lower`: a calibrated quantized network becomes the graph of exactly what the hardware computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from fewbits.bitexact.layers import layer_settings, sum_bits
from fewbits.bitexact.network import BitExactNetwork
from fewbits.bitexact.proof import prove_lowering
from fewbits.bitexact.sum_order import DEFAULT, SumOrder
from fewbits.bitexact.table_products import products_of, with_products
from fewbits.errors import DataError, ModelError
from fewbits.formats import Format
from fewbits.formats.approximations import Products
from fewbits.graph.catalogue import kind_of
from fewbits.graph.kind import Codes
from fewbits.graph.operations import InputRounding, Operation, Rounding, layers_of
from fewbits.graph.parameters import check_types
from fewbits.graph.size_search import misfit_of
from fewbits.graph.tracing import IMAGES, Call, Trace
from fewbits.graph.wrappers import unwrapped
from fewbits.quantization import QuantizedLayer, QuantizedModel
from fewbits.quantization.model import trace_quantized


def lower(
    module: nn.Module,
    example: Tensor,
    *,
    product_bits: int | None = None,
    sum_order: SumOrder = DEFAULT,
    products: Products | Mapping[str, Products | None] | None = None,
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
    products: what makes the products where they are not exact (docs/approximate.md): an approximation's name, a table,
    or these by a layer's name. None: what the quantized layers compute with.
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
    own = {
        call.name: call.module.products
        for call in traced.calls
        if isinstance(call.module, QuantizedLayer) and call.module.products is not None
    }
    given = own if products is None else products
    operations = with_products(operations, products_of(operations, given))
    is_cut = any(layer.dropped_product_bits for layer in layers_of(operations))
    return BitExactNetwork(operations, model.precision.plain, shape, product_bits if is_cut else None, sum_order)


def operations_of(
    traced: Trace, input_shape: tuple[int, ...], product_bits: int | None = None
) -> tuple[Operation, ...]:
    """The operations of traced calls on images of a shape. Raises what `lower` raises."""
    return _Builder(traced, input_shape, product_bits).build()


@dataclass(frozen=True)
class _Demand:
    """Where a layer wants its input rounded to."""

    codes: Codes
    layer: str


@dataclass(frozen=True)
class _Sums:
    """What an operation's sums are, before they are rounded."""

    operation: Operation
    fraction_bits: int


class _Builder:
    """Makes the operations of one network, in the order of its calls."""

    def __init__(self, traced: Trace, input_shape: tuple[int, ...], product_bits: int | None) -> None:
        self._trace = traced
        self.product_bits = product_bits
        self._consumers: dict[str, list[Call]] = {call.name: [] for call in traced.calls} | {IMAGES: []}
        for call in traced.calls:
            for source in call.sources:
                self._consumers[source].append(call)
        self._operations: list[Operation] = []
        self.results: dict[str, Operation] = {}
        """The operation that gives what a call gives, by the call's name."""
        self.codes: dict[str, Codes | None] = {}
        """What an operation's values are, by its name; None for accumulators and sums."""
        self.waiting: dict[str, _Sums] = {}
        """Sums that are rounded behind the ReLU that follows, by their operation's name."""
        self._input_shape = input_shape

    def build(self) -> tuple[Operation, ...]:
        demand = self.demand(IMAGES)
        if demand is None:
            raise ModelError("the network's result does not pass through a quantized layer: there is nothing to lower")
        self.add(
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
            kind = kind_of(call.module)
            kind.lower(_Lowering(self, call))
            if call.name not in self.results:
                raise ModelError(
                    f"operation {kind.name!r} lowers {call.name!r} to nothing: add an operation, or pass on"
                )
        if not layers_of(self._operations):
            raise ModelError("the network's result does not pass through a quantized layer: there is nothing to lower")
        return tuple(self._operations)

    def add(self, call: str, operation: Operation, values: Codes | None) -> None:
        self._operations.append(operation)
        self.results[call] = operation
        self.codes[operation.name] = values

    def is_followed_by_relu(self, name: str) -> bool:
        """Whether a call's only consumer, dropout aside, is a ReLU: then rounding waits for it."""
        consumers = self._consumers[name]
        if name == self._trace.output or len(consumers) != 1:
            return False
        (consumer,) = consumers
        kind = kind_of(consumer.module)
        return self.is_followed_by_relu(consumer.name) if kind.vanishes else kind.rectifies

    def round(self, call: str, sums: _Sums) -> None:
        """Round accumulators or sums, seen after `call`, to what the next layer wants; nothing for the last ones."""
        demand = self.demand(call)
        if demand is None:
            return
        wanted, source = demand.codes, sums.operation
        rounding = Rounding(
            name=f"{source.name}.rounding",
            inputs=(self.results[call].name,),
            output_shape=source.output_shape,
            number_format=wanted.number_format,
            accumulator_fraction_bits=sums.fraction_bits,
            fraction_bits=wanted.fraction_bits,
        )
        self.add(call, rounding, wanted)

    def demand(self, name: str) -> _Demand | None:
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
            kind = kind_of(consumer.module)
            if (codes := kind.wants(consumer.module)) is not None:
                wants.append(_Demand(codes, consumer.name))
            elif kind.effect not in ("operands", "joins"):  # a rounding is in front of these
                further, reaches_result = self._wants(consumer.name)
                wants += further
                is_result |= reaches_result
        return wants, is_result


class _Lowering:
    """One call on its way to operations; see `graph.kind.Lowering`."""

    def __init__(self, builder: _Builder, call: Call) -> None:
        self._builder = builder
        self._call = call
        self.name = call.name
        self.meaning = call.module
        self.sources = tuple(builder.results[source] for source in call.sources)

    def codes(self, source: Operation) -> Codes | None:
        return self._builder.codes[source.name]

    def operand(self, source: Operation) -> Codes:
        codes = self.codes(source)
        if codes is None:
            raise ModelError(
                f"call {self.name!r} takes accumulators of {source.name!r} that were not rounded: the quantized "
                "network's `skipped` says what could not be traced"
            )
        return codes

    def require(self, values: Codes | None, wanted: Codes) -> None:
        if values != wanted:
            what = "accumulators that were not rounded" if values is None else f"values rounded to {values}"
            raise ModelError(
                f"layer {self.name!r} takes {wanted}, but is given {what}: quantize the network anew and calibrate it, "
                "and see its `skipped` for what could not be traced"
            )

    def wanted(self) -> Codes | None:
        demand = self._builder.demand(self.name)
        return None if demand is None else demand.codes

    def pass_on(self) -> None:
        self._builder.results[self.name] = self.sources[0]

    def add(self, operation: Operation, codes: Codes | None) -> None:
        self._builder.add(self.name, operation, codes)

    def add_sums(self, operation: Operation, fraction_bits: int) -> None:
        self.add(operation, None)
        sums = _Sums(operation, fraction_bits)
        if self._builder.is_followed_by_relu(self.name):
            self._builder.waiting[operation.name] = sums
        else:
            self._builder.round(self.name, sums)

    def round_behind(self) -> None:
        sums = self._builder.waiting.pop(self.sources[0].name, None)
        if sums is not None:
            self._builder.round(self.name, sums)

    def layer_settings(self) -> dict[str, Any]:
        return layer_settings(self.name, self.sources[0], self.meaning, self._builder.product_bits)

    def sum_bits(self, formats: Sequence[Format], shifts: Sequence[int]) -> int:
        return sum_bits(formats, shifts)


def _image_shape(traced: Trace, example: Tensor) -> tuple[int, ...]:
    """Shape of one image, from an image or a batch of them."""
    if not isinstance(example, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DataError(f"an example is a tensor of one image or a batch of images, not {type(example).__name__}")
    if example.numel() == 0:
        raise DataError(f"the example has shape {tuple(example.shape)}, which holds no image: give one, or a batch")
    shape = tuple(example.shape)
    fitting = [reading for reading in (shape[1:], shape) if reading and misfit_of(traced, reading) is None]
    if len(fitting) == 1:
        return fitting[0]
    for call in traced.calls:
        if (image := kind_of(call.module).image_shape(call.module, shape)) is not None:
            return image
    raise ModelError("the network has no layer: there is nothing to lower")
