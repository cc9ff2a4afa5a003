"""`quantize`: a copy of any torch network with its convolutions and linear layers in low precision."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from fewbits.errors import FormatError, ModelError
from fewbits.formats import Precision, parse_precision
from fewbits.formats.approximations import Products
from fewbits.graph.equivalence import prove, sample
from fewbits.graph.hooks import changed_by_hooks, watching_hooks
from fewbits.graph.module_kinds import is_float_layer, is_opaque, reason_left_float, reason_to_skip
from fewbits.graph.parameters import check_types, is_initialized
from fewbits.graph.refusals import Skipped, UnsupportedError
from fewbits.graph.size_search import misfit_of
from fewbits.graph.tracing import Trace, TraceError, trace
from fewbits.graph.wrappers import copied, unwrapped
from fewbits.quantization.layers.layer import QuantizedLayer
from fewbits.quantization.layers.layer_calibration import LayerCalibration
from fewbits.quantization.layers.tensor_rounding import TensorRounding
from fewbits.quantization.placement import place_roundings
from fewbits.quantization.products import set_products
from fewbits.quantization.rounded_graph import RoundedGraph
from fewbits.quantization.signs import settle_untraced, signed_images, told


class QuantizedModel(nn.Module):
    """A network whose convolutions and linear layers compute in low precision. Made by `quantize`."""

    network: nn.Module
    """The copied network, with a `QuantizedLayer` in place of each layer that is quantized; as a graph module with a
    `TensorRounding` where several operations share values, or where they are added, joined or averaged."""

    calibration: tuple[LayerCalibration, ...] = ()
    """What `calibrate` chose last, a layer each in the order in which they were reached; radix points that are set or
    trained afterwards are in the layers alone."""

    def __init__(self, network: nn.Module, precision: Precision, skipped: tuple[Skipped, ...]) -> None:
        super().__init__()
        self.network = network
        self.precision = precision
        self.skipped: tuple[Skipped, ...] = skipped
        """All that is executed and has no bit-exact form, in the order of execution; `lower` names the first.

        Where a network cannot be traced, all that its modules leave float. What depends on the images' size is known
        after `calibrate`.
        """
        self._notices: tuple[str, ...] = ()
        self._unproved: tuple[nn.Module, ...] = ()  # in a tuple: it is no part of this module

    @property
    def notices(self) -> tuple[str, ...]:
        """A sentence each: zeros of a format that has none, and signed inputs where unsigned ones cannot be.

        What only images tell is there after `calibrate`, and in a model that takes such a one's state.
        """
        return self._notices + signed_images(self.rounding_inputs)

    @property
    def layers(self) -> dict[str, QuantizedLayer]:
        """The quantized layers by their name in `network`, in the order of its modules; a shared one once."""
        return _quantized_layers(self.network)

    @property
    def roundings(self) -> dict[str, TensorRounding]:
        """The roundings between layers by their name in `network`; empty for a chain without averages."""
        return {name: module for name, module in self.network.named_modules() if isinstance(module, TensorRounding)}

    @property
    def rounding_inputs(self) -> tuple[TensorRounding | QuantizedLayer, ...]:
        """All that rounds what operations take: the roundings between layers, then the layers."""
        return *self.roundings.values(), *self.layers.values()

    @property
    def has_scaled_signs(self) -> bool:
        """Whether weights of any layer are signs times a magnitude: binary or ternary."""
        return any(layer.weight_format.is_scaled_sign for layer in self.layers.values())

    def name_misfit(self, image_shape: tuple[int, ...]) -> None:
        """Name in `skipped` what has no bit-exact form on images of a shape that the network takes.

        Such as adaptive pooling to a size that does not divide the image's, or a linear layer over several positions.
        """
        if not self.skipped and (found := misfit_of(trace(self.network), image_shape)) is not None:
            self.skipped = (found,)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network returns. Raises ModelError before calibration, and for torch.fx's symbolic trace."""
        network = self.network
        if isinstance(args, fx.Proxy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ModelError("torch.fx traces a quantized model's network: give symbolic_trace(model.network)")
        if isinstance(network, RoundedGraph) and network.training and torch.is_grad_enabled():
            return network.forward_in_training(*args, **kwargs)
        return network(*args, **kwargs)

    def prove(self, images: Tensor | None = None) -> None:
        """Compare the network, roundings off, with the one that `quantize` was given, unless that was done.

        `quantize` does it where it finds what the network takes; else `calibrate` and `lower` do it with their images.
        images: some that the network takes; without them they are drawn. Raises ModelError where results differ.
        """
        for given in self._unproved:
            self.prove_against(given, images)

    def prove_against(self, given: nn.Module, images: Tensor | None = None) -> None:
        """See `prove`; what cannot be compared for want of images is kept for a later time."""
        with watching_hooks(given) as changing:
            found = sample(given, images)
        named = {entry.name for entry in self.skipped}  # a layer is for its hooks already
        self.skipped += tuple(entry for entry in changed_by_hooks(changing) if entry.name not in named)
        self._unproved = (_with_parameters_of(self, given),) if found is None else ()
        if found is not None:
            prove(given, self, found, f"quantizing {type(given).__name__}")

    def extra_repr(self) -> str:
        """The precision and what it changes, for printing."""
        return "\n".join((f"precision={self.precision.name}", *self.notices))


def quantize(
    model: nn.Module,
    precision: str | Precision,
    *,
    layers: Mapping[str, str | Precision] | None = None,
    per_channel: bool = False,
    products: Products | Mapping[str, Products | None] | None = None,
    inputs: Literal["auto-sign"] | None = None,
) -> QuantizedModel:
    """A copy of a network that computes at a precision; the network itself stays as it is.

    Every Conv1d, Conv2d (any stride, padding, dilation, groups) and Linear becomes a `QuantizedLayer` around a copy
    of itself. Whatever else is executed and has no bit-exact form is left float and named in `.skipped` with the reason
    for which `lower` refuses it. ReLU, pooling, flatten, dropout, `x + y`, `torch.cat`, the mean over all spatial
    dimensions `x.mean((2, 3))` and their like have one: see `graph/kinds/` and `graph/global_average.py`.

    The forward pass is traced by torch.fx. Where values are averaged, added, joined or taken by several layers, they
    are rounded once behind their producer (see `placement.py`). A network that cannot be traced has only the inputs of
    its layers rounded; it is named in `.skipped` and cannot be lowered.

    A module used twice stays one module; tied parameters stay tied. A network that is itself a single layer becomes
    a chain of one, named `layer`. The result needs `calibrate` before use, unless the precision's formats have no
    radix point to choose (float32, float16, bfloat16).
    precision: such as "fixed8" or "pow2-6/fixed16". layers: other precisions for some layers, by name.
    per_channel: give the weights of each output of a layer a radix point of their own (see `channels.py`); the hardware
    then stores a shift for each output.
    inputs: "auto-sign" gives unsigned inputs (`ufixedN`) a sign in layers that take values which may be negative, and
    says so in `.notices`; without it they are refused there. The same as `:auto-sign` behind the precision's name. Of
    layers that take the images as they are, `calibrate` tells (`quantization/signs.py`).
    products: what makes the products where they are not exact, for all layers or by name (docs/approximate.md).
    DataParallel and torch.compile's wrapper are taken off. What the formats change beyond rounding (weights of zero
    where they have none) is told in `.notices`. The result is compared with the model, roundings off: see
    `QuantizedModel.prove`.
    Raises FormatError for an unknown precision; ModelError if the model is no module, is scripted, is quantized
    already, cannot be copied, has parameters of other types than float32 or float64, holds a weight that is NaN or
    infinite, has no layer to quantize or none of a name in `layers`, if layers that share an input are given different
    input formats, or if the result computes something else than the model.
    """
    precision = _with_inputs(_parsed(precision), inputs)
    if layers is not None and not isinstance(layers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"layers takes precisions by a layer's name, such as {{'fc': 'fixed16'}}, not {layers!r}")
    choice = _Choice(precision, _own(precision, layers or {}), per_channel)
    given = unwrapped(model)
    network = _copy(given)
    quantized = _quantized(network, type(given).__name__, choice).train(given.training)
    quantized.prove_against(given)
    if products is not None:
        set_products(quantized.layers, products)
    return quantized


def trace_quantized(model: QuantizedModel) -> Trace:
    """The calls of a quantized network. Raises UnsupportedError for the first of `skipped`, TraceError as `trace`."""
    for skipped in model.skipped:  # these know the user's modules, which a graph with roundings has lost
        raise UnsupportedError(skipped)
    return trace(model.network)


def _quantized(network: nn.Module, kind: str, choice: _Choice) -> QuantizedModel:
    """A network, taken over, at a precision. kind: its class."""
    if is_float_layer(network):
        network = nn.Sequential(OrderedDict(layer=network))
    skipped: list[Skipped] = []
    _replace_children(network, "", choice, skipped, {id(network): None})
    names = _quantized_layers(network).keys()
    if not names:
        raise ModelError(
            f"{kind} has no layer to quantize: fewbits quantizes Conv1d, Conv2d and Linear"
            + "".join(f"; {entry.name or entry.kind}: {entry.reason}" for entry in skipped)
        )
    if unknown := sorted(choice.layers.keys() - names):
        raise ModelError(f"no layer {unknown[0]!r} to quantize: the network has {', '.join(sorted(names))}")
    try:
        network, executed, signs = place_roundings(network, choice.usual.inputs, auto_sign=choice.usual.auto_sign)
    except TraceError as error:
        executed = (error.skipped, *(entry for entry in skipped if entry.name))  # what is called is not known
        signs = told(settle_untraced(_quantized_layers(network).values(), error.skipped.reason))
    quantized = QuantizedModel(network, choice.usual, executed)
    notices = map(_zeros_that_come_alive, quantized.layers.values())
    quantized._notices = (*(notice for notice in notices if notice is not None), *signs)
    return quantized


def _quantized_layers(network: nn.Module) -> dict[str, QuantizedLayer]:
    """By name, in the order of the modules; a shared one once."""
    return {name: module for name, module in network.named_modules() if isinstance(module, QuantizedLayer)}


def _with_parameters_of(model: QuantizedModel, given: nn.Module) -> nn.Module:
    """A copy of the float network with the quantized one's parameters and buffers, so that it follows their changes."""
    own = dict(_tensors(model.network))
    for name, layer in model.layers.items():
        own |= {f"{name}.{part}": tensor for part, tensor in layer.layer.named_parameters()}
    memo = {id(tensor): own[name] for name, tensor in _tensors(given) if name in own}
    return copy.deepcopy(given, memo)


def _tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    return [*network.named_parameters(remove_duplicate=False), *network.named_buffers(remove_duplicate=False)]


@dataclass(frozen=True)
class _Choice:
    """Which precision each layer gets."""

    usual: Precision
    layers: dict[str, Precision]
    per_channel: bool

    def of(self, name: str) -> Precision:
        return self.layers.get(name, self.usual)


def _own(usual: Precision, layers: Mapping[str, str | Precision]) -> dict[str, Precision]:
    """The layers' own precisions, whose unsigned inputs are signed where those of all are."""
    parsed = {name: _parsed(other) for name, other in layers.items()}
    return {
        name: one.with_auto_sign() if usual.auto_sign and not one.inputs.is_signed else one
        for name, one in parsed.items()
    }


def _with_inputs(precision: Precision, inputs: object) -> Precision:
    """The precision with the option of `quantize`. Raises ModelError for another one."""
    if inputs is None:
        return precision
    if inputs != "auto-sign":
        raise ModelError(f"inputs takes 'auto-sign' or None, not {inputs!r}: formats stand in the precision")
    return precision if precision.inputs.is_signed else precision.with_auto_sign()


def _parsed(precision: str | Precision) -> Precision:
    if isinstance(precision, Precision):
        if not precision.weights.is_signed:
            raise FormatError(precision.refusal or "")
        return precision
    if not isinstance(precision, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise FormatError(f"a precision is a name such as 'fixed8' or 'pow2-6/fixed16', not {precision!r}")
    return parse_precision(precision)


def _copy(model: nn.Module) -> nn.Module:
    """A deep copy, after the checks that need no look inside."""
    check_types(model)
    if any(isinstance(module, (QuantizedModel, QuantizedLayer)) for module in model.modules()):
        raise ModelError("the model is quantized already: give the float model")
    modules: dict[str, nn.Module] = dict(model.named_modules())  # pyright: ignore[reportUnknownArgumentType]
    for name, module in modules.items():
        if not is_initialized(module):
            raise ModelError(f"layer {name!r} is not initialized: run the model once on an image first")
    try:
        return copied(model)
    except ModelError as error:
        for name, module in modules.items():
            if is_float_layer(module) and (reason := reason_to_skip(module)) is not None:
                raise ModelError(f"layer {name!r} cannot be copied: {reason}") from error
        raise


def _zeros_that_come_alive(layer: QuantizedLayer) -> str | None:
    """A sentence on weights of zero in a format that has no zero; None where there are none."""
    weight, number_format = layer.layer.weight.detach(), layer.weight_format
    zeros = weight == 0
    count = int(zeros.sum())
    if count == 0 or number_format.quantize(weight.new_zeros(1)).item() == 0:
        return None
    outputs = int(zeros.flatten(1).all(1).sum())
    return (
        f"layer {layer.name!r}: {count} of {weight.numel()} weights are zero ({outputs} of {len(weight)} outputs have "
        f"no other), and {number_format.name} has no zero: they become its value of least magnitude; remove what is "
        "pruned, or take a format with a zero, such as ternary"
    )


def _replace_children(
    parent: nn.Module,
    prefix: str,
    choice: _Choice,
    skipped: list[Skipped],
    seen: dict[int, nn.Module | None],
) -> None:
    """Replace the layers below a module and note what stays float.

    seen: what became of each module so far, by identity (None: left in place), so that shared modules stay shared.
    """
    if (reason := reason_left_float(parent)) is not None:
        skipped.append(Skipped(prefix.rstrip("."), type(parent).__name__, reason))
    if is_opaque(parent):
        return
    for name, child in list(parent._modules.items()):
        if child is None:
            continue
        if id(child) in seen:
            replacement = seen[id(child)]
        else:
            replacement = seen[id(child)] = _replacement(child, prefix + name, choice, skipped)
            if replacement is None and not is_float_layer(child):
                _replace_children(child, f"{prefix}{name}.", choice, skipped, seen)
        if replacement is not None:
            parent._modules[name] = replacement


def _replacement(module: nn.Module, name: str, choice: _Choice, skipped: list[Skipped]) -> QuantizedLayer | None:
    """The quantized form of a layer; None if the module is none or must stay float."""
    if not is_float_layer(module):
        return None
    if (reason := reason_to_skip(module)) is not None:
        skipped.append(Skipped(name, type(module).__name__, reason))
        return None
    for kind, values in (("weight", module.weight), ("bias", module.bias)):
        if values is not None and not torch.isfinite(values).all():
            raise ModelError(f"layer {name!r}: a {kind} is NaN or infinite; train the float model anew")
    layer = QuantizedLayer(module, choice.of(name), name, per_channel=choice.per_channel)
    return layer.train(module.training)
