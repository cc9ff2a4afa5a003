"""The workload of a torch module: the trace that `lower` reads, with shapes alone.

What `lower` refuses is refused here in the same words; batch normalization that folds counts as folded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from fewbits.bitexact.lowering import trace_quantized
from fewbits.errors import DataError, HardwareError, ModelError
from fewbits.graph.equivalence import drawn_images, results_of
from fewbits.graph.float_layer import FloatLayer
from fewbits.graph.functional import Addition, Concatenation, Meaning, UnsupportedError
from fewbits.graph.hooks import changed_by_hooks, watching_hooks
from fewbits.graph.module_kinds import POOLING, VANISHING, has_hooks
from fewbits.graph.shapes import Shape, is_rearranging, layer_windows, pooling_windows, result_shape
from fewbits.graph.tracing import IMAGES, Call, Trace, calls_of, graph_and_mode
from fewbits.graph.wrappers import unwrapped
from fewbits.hardware.workload.liveness import IMAGE, Tensors, with_held_values
from fewbits.hardware.workload.own_precision import own_precision, with_takers
from fewbits.hardware.workload.workload import Kind, LayerShape, Size, Workload, addition
from fewbits.quantization import QuantizedLayer, QuantizedModel
from fewbits.quantization.batch_norm import batch_norms, foldable
from fewbits.quantization.layers.tensor_rounding import TensorRounding
from fewbits.quantization.placement import check_modes


def module_workload(model: nn.Module, input_shape: Sequence[int]) -> Workload:
    """The layers that a module computes on one image.

    model: any module that `lower` takes once it is quantized; it may be so already, and is left as it was. No weight is
    read, so a module on the `meta` device does. Batch normalization that `fold_batch_norm` folds counts as part of the
    weights and bias before it. DataParallel and torch.compile's wrapper are taken off.
    input_shape: channels, height, width (or channels, length; or features).
    Raises ModelError for a scripted module and, naming the layer, for what has no bit-exact form, batch normalization
    left float in a quantized model, or an input shape that does not fit.
    """
    model = unwrapped(model)
    if isinstance(model, QuantizedModel):
        traced, biased = trace_quantized(model), frozenset[str]()
    else:
        network = nn.Sequential(OrderedDict(layer=model)) if isinstance(model, FloatLayer) else model
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
        layers = [_at_own_precision(layer, call, model) for layer, call in shapes.layers]
        held = with_held_values(layers, shapes.reads)
        return Workload(
            with_takers(held, shapes.reads),
            None if precision is None else precision.name,
            tuple(call.place for call in traced.calls if isinstance(call.module, Concatenation)),
            _end(traced),
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
    while call is not None and (is_rearranging(call.module) or isinstance(call.module, (*VANISHING, TensorRounding))):
        call = calls.get(call.sources[0])
    if call is None or isinstance(call.module, (FloatLayer, QuantizedLayer, Addition)):
        return None
    return call.place


def _at_own_precision(layer: LayerShape, call: Call, model: nn.Module) -> LayerShape:
    """A layer with its precision, if that is another than the network's, and what it stores for each output."""
    made = call.module
    if not isinstance(model, QuantizedModel) or not isinstance(made, QuantizedLayer):
        return layer
    own = own_precision(made.weight_format, made.input_format, made.scale_bits, model.precision)
    return replace(layer, precision=own, has_channel_shifts=made.channel_shifts is not None)


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
        result = result_shape(call.name, call.module, shapes)
        layer = self._computed(call, shapes)
        if layer is not None:
            self.reads.append(stored)
            stored = frozenset((len(self.layers),))
            self.layers.append((layer, call))
        self._values[call.name] = result, stored

    def _computed(self, call: Call, shapes: Sequence[Shape]) -> LayerShape | None:
        """What the tile spends cycles on for a call; None if an address or a neuron's output stage does it."""
        module: Meaning = call.module.layer if isinstance(call.module, QuantizedLayer) else call.module
        if isinstance(module, FloatLayer):
            return self._layer(call, module, shapes[0])
        if type(module) in POOLING:
            return self._pooling(call, module, shapes[0])
        return addition(self._name(call), shapes[0]) if isinstance(module, Addition) else None

    def _layer(self, call: Call, layer: FloatLayer, shape: Shape) -> LayerShape:
        has_bias = layer.bias is not None or call.name in self._biased
        if isinstance(layer, nn.Linear):
            sizes = layer.in_features, (1, 1), layer.out_features, (1, 1)
            return LayerShape(self._name(call), "linear", *sizes, has_bias=has_bias)
        windows = layer_windows(call.name, layer, shape)
        return LayerShape(
            name=self._name(call),
            kind="convolution",
            input_channels=layer.in_channels,
            input_size=_size(shape[1:]),
            neurons=layer.out_channels,
            output_size=_size(windows.positions),
            kernel=_size(windows.kernel),
            stride=_size(windows.stride),
            dilation=_size(windows.dilation),
            groups=layer.groups,
            has_bias=has_bias,
        )

    def _pooling(self, call: Call, module: Meaning, shape: Shape) -> LayerShape:
        windows = pooling_windows(call.name, module, shape)
        kind: Kind = "max-pool" if "Max" in type(module).__name__ else "average-pool"
        return LayerShape(
            name=self._name(call),
            kind=kind,
            input_channels=shape[0],
            input_size=_size(shape[1:]),
            neurons=shape[0],
            output_size=_size(windows.positions),
            kernel=_size(windows.kernel),
            stride=_size(windows.stride),
            dilation=_size(windows.dilation),
        )

    def _name(self, call: Call) -> str:
        """A name for a layer that no other layer has, if a module is used more than once."""
        taken = {layer.name for layer, _ in self.layers}
        names = (call.place if number == 1 else f"{call.place}#{number}" for number in range(1, len(taken) + 2))
        return next(candidate for candidate in names if candidate not in taken)


def _size(along: Shape) -> Size:
    """Sizes along one or two dimensions as height and width."""
    return (1, along[0]) if len(along) == 1 else (along[0], along[1])
