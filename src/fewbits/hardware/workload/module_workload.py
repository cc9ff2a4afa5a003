"""The workload of a torch module: the trace that `lower` reads, with shapes alone.

What `lower` refuses is refused here in the same words; batch normalization that folds counts as folded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import accumulate

from torch import nn

from fewbits.errors import DataError, HardwareError, ModelError
from fewbits.graph.catalogue import catalogue, kind_of
from fewbits.graph.equivalence import drawn_images, results_of
from fewbits.graph.fingerprint import fingerprint
from fewbits.graph.geometry import Shape
from fewbits.graph.hooks import changed_by_hooks, watching_hooks
from fewbits.graph.parameters import has_hooks
from fewbits.graph.refusals import UnsupportedError
from fewbits.graph.tracing import IMAGES, Call, Trace, calls_of, graph_and_mode
from fewbits.graph.wrappers import unwrapped
from fewbits.hardware.workload.liveness import IMAGE, Tensors, with_held_values
from fewbits.hardware.workload.own_precision import own_precision, with_consumers
from fewbits.hardware.workload.switched_parts import switched_parts
from fewbits.hardware.workload.workload import LayerShape, Workload
from fewbits.quantization import QuantizedLayer, QuantizedModel
from fewbits.quantization.batch_norm import batch_norms, foldable
from fewbits.quantization.model import trace_quantized
from fewbits.quantization.placement import check_modes

_MOST_REMEMBERED = 256
"""Workloads that are kept: a search costs one network at many precisions."""

_remembered: dict[Hashable, Workload] = {}
"""By what reading a network depends on, and the images' shape."""


def module_workload(model: nn.Module, input_shape: Sequence[int]) -> Workload:
    """The layers that a module computes on one image.

    model: any module that `lower` takes once it is quantized; it may be so already, and is left as it was. No weight is
    read, so a module on the `meta` device does. Batch normalization that `fold_batch_norm` folds counts as part of the
    weights and bias before it. DataParallel and torch.compile's wrapper are taken off.
    input_shape: channels, height, width (or channels, length; or features).
    Raises ModelError for a scripted module and, naming the layer, for what has no bit-exact form, batch normalization
    left float in a quantized model, or an input shape that does not fit.
    """
    read = fingerprint(model)
    if read is None:
        return _read_workload(model, input_shape)
    key = (read, tuple(input_shape), catalogue())
    if key not in _remembered:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[key] = _read_workload(model, input_shape)
    return _remembered[key]


def _read_workload(model: nn.Module, input_shape: Sequence[int]) -> Workload:
    """See `module_workload`."""
    model = unwrapped(model)
    if isinstance(model, QuantizedModel):
        traced, biased = trace_quantized(model), frozenset[str]()
    else:
        is_layer = kind_of(model).effect == "layer"
        network = nn.Sequential(OrderedDict(layer=model)) if is_layer else model
        graph, asks_for_mode = graph_and_mode(network)
        folded = foldable(graph, network) if batch_norms(network) else {}
        traced, biased = calls_of(network, graph, folded), frozenset(folded.values())
        if asks_for_mode:
            check_modes(network, graph)
    precision = model.precision if isinstance(model, QuantizedModel) else None
    shapes = _Shapes(traced, tuple(input_shape), biased)
    try:
        for call in traced.calls:
            shapes.add(call)
        if not isinstance(model, QuantizedModel):  # such a one knows it
            _check_hooks(model, tuple(input_shape))
        layers, reads = _in_parts([_parts(layer, call, model) for layer, call in shapes.layers], shapes.reads)
        return Workload(
            with_consumers(with_held_values(layers, reads), reads),
            None if precision is None else precision.name,
            tuple(call.place for call in traced.calls if kind_of(call.module).joins_parts),
            _end(traced),
            tuple(filter(None, (kind_of(call.module).uncounted(call.place) for call in traced.calls))),
        )
    except DataError as error:
        raise ModelError(f"images of shape {tuple(input_shape)}: {error}") from None
    except HardwareError as error:
        raise ModelError(f"{type(model).__name__}: {error}") from None


def _check_hooks(model: nn.Module, input_shape: Shape) -> None:
    """Raise UnsupportedError for the first module with a hook that changes values, which no graph shows."""
    if not any(map(has_hooks, model.modules())):
        return
    with watching_hooks(model) as changing:
        results_of(model, drawn_images(model, input_shape))
    for skipped in changed_by_hooks(changing):
        raise UnsupportedError(skipped)


def _end(traced: Trace) -> str | None:
    """What comes last, reshaping apart; None if that is a layer or an addition."""
    calls = {call.name: call for call in traced.calls}
    call = calls.get(traced.output)
    while call is not None and kind_of(call.module).passes_values:
        call = calls.get(call.sources[0])
    return None if call is None or kind_of(call.module).makes_sums else call.place


def _at_own_precision(layer: LayerShape, call: Call, model: nn.Module) -> LayerShape:
    """A layer with its precision, if that is another than the network's, and what it stores for each output."""
    made = call.module
    if not isinstance(model, QuantizedModel) or not isinstance(made, QuantizedLayer):
        return layer
    own = own_precision(made.weight_format, made.input_format, made.scale_bits, model.precision)
    return replace(layer, precision=own, has_channel_shifts=made.channel_shifts is not None)


def _parts(layer: LayerShape, call: Call, model: nn.Module) -> tuple[LayerShape, ...]:
    """The layer, or its parts where its products are made in several ways."""
    own = _at_own_precision(layer, call, model)
    return switched_parts(own, call.module.products if isinstance(call.module, QuantizedLayer) else None)


def _in_parts(
    layers: Sequence[tuple[LayerShape, ...]], reads: Sequence[Tensors]
) -> tuple[list[LayerShape], list[Tensors]]:
    """All parts, and the stored tensors that each reads; a tensor is then what each part of a layer stores of it."""
    first = [0, *accumulate(map(len, layers))]

    def stored(read: Tensors) -> Tensors:
        return frozenset(
            part
            for number in read
            for part in ((IMAGE,) if number == IMAGE else range(first[number], first[number + 1]))
        )

    return (
        [part for parts in layers for part in parts],
        [stored(read) for parts, read in zip(layers, reads, strict=True) for _ in parts],
    )


class _Shapes:
    """Follows the shapes of values through a network's calls, and notes the layers that the tile computes."""

    def __init__(self, traced: Trace, input_shape: Shape, biased: frozenset[str]) -> None:
        """biased: names of the layers that get a bias from a normalization."""
        self._biased = biased
        self._values: dict[str, tuple[Shape, Tensors]] = {IMAGES: (input_shape, frozenset((IMAGE,)))}
        """By call: the shape of its result, and the stored tensors that this consists of."""
        self.layers: list[tuple[LayerShape, Call]] = []
        self.reads: list[Tensors] = []

    def add(self, call: Call) -> None:
        """Note what a call computes. Raises DataError or ModelError if the shapes do not fit."""
        shapes = [self._values[source][0] for source in call.sources]
        stored = frozenset[int]().union(*(self._values[source][1] for source in call.sources))
        kind = kind_of(call.module)
        result = kind.shape(call.name, call.module, shapes)
        work = kind.work(call.name, call.module, shapes)
        if work is not None:
            self.reads.append(stored)
            stored = frozenset((len(self.layers),))
            layer = LayerShape(self._name(call), **vars(work))
            self.layers.append((replace(layer, has_bias=True) if call.name in self._biased else layer, call))
        self._values[call.name] = result, stored

    def _name(self, call: Call) -> str:
        """A name for a layer that no other layer has, if a module is used more than once."""
        taken = {layer.name for layer, _ in self.layers}
        names = (call.place if number == 1 else f"{call.place}#{number}" for number in range(1, len(taken) + 2))
        return next(candidate for candidate in names if candidate not in taken)
