"""The workload of a torch module: one pass in which every operation gives only the shape of its result.

Operations are seen where torch dispatches its functions, so a pooling that a module's `forward` calls as a function is
counted like a pooling layer, in chains and in graphs; one that the tile cannot compute is refused, never passed over.
"""

# torch hands operations over with arguments of any type.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from fewbits.errors import HardwareError, ModelError
from fewbits.hardware.workload.liveness import IMAGE, Tensors, with_held_values
from fewbits.hardware.workload.own_precision import LEFT_FLOAT, own_precision, with_takers
from fewbits.hardware.workload.torch_operations import ELEMENTWISE, LAYERS, REARRANGING
from fewbits.hardware.workload.workload import LayerShape, Workload
from fewbits.quantize import QuantizedModel
from fewbits.quantize.float_layer import FloatLayer
from fewbits.quantize.module_kinds import reason_to_skip


def module_workload(model: nn.Module, input_shape: Sequence[int]) -> Workload:
    """The layers that a module computes on one image.

    model: any module of 1- and 2-dimensional convolutions, linear layers, pooling, additions and concatenations; it may
    be quantized, and is left as it was. No weight is read, so a module on the `meta` device does. Batch normalization
    directly after a layer counts as folded into its weights and bias. A layer that `quantize` leaves float, or did, has
    the precision float32 of its own.
    input_shape: channels, height, width (or channels, length; or features).
    Raises ModelError, naming the layer, for an operation that the tile does not compute, batch normalization left float
    in a quantized model, or an input shape that does not fit.
    """
    shape = tuple(input_shape)
    precision, network, own_precisions = _float_twin(model)
    recorder = _Recorder(own_precisions)
    image = recorder.note_image(torch.empty((1, *shape), device="meta"))
    try:
        with _evaluating(network), recorder.naming(network), torch.no_grad(), recorder:
            network(image)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's forward raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(f"the model cannot be run on an image of shape {shape}: {reason}") from error
    try:
        layers = _with_channel_shifts(model, recorder.layers)
        return Workload(with_takers(with_held_values(layers, recorder.reads), recorder.reads), precision)
    except HardwareError as error:
        raise ModelError(f"{type(model).__name__}: {error}") from None


def _float_twin(model: nn.Module) -> tuple[str | None, nn.Module, dict[str, str | None]]:
    """Precision and float network of a quantized model, its layers shared; any other model itself. And the layers that
    are quantized or can be, by name, with their precision if it is another than the network's.
    """
    if not isinstance(model, QuantizedModel):
        modules: dict[str, nn.Module] = dict(model.named_modules())
        layers = {name: module for name, module in modules.items() if isinstance(module, FloatLayer)}
        return None, model, {name: None for name, layer in layers.items() if reason_to_skip(layer) is None}
    for entry in model.skipped:
        if entry.kind.startswith("BatchNorm"):
            raise ModelError(
                f"layer {entry.name!r} is left in float: call fewbits.fold_batch_norm before quantize; what follows no "
                "convolution or linear layer directly cannot be folded, and the accelerator does not compute it"
            )
    memo: dict[int, Any] = {id(layer): layer.layer for layer in model.layers.values()}
    memo |= {id(rounding): nn.Identity() for rounding in model.roundings.values()}
    own_precisions = {
        name: own_precision(layer.weight_format, layer.input_format, layer.scale_bits, model.precision)
        for name, layer in model.layers.items()
    }
    return model.precision.name, copy.deepcopy(model.network, memo), own_precisions


def _with_channel_shifts(model: nn.Module, shapes: list[LayerShape]) -> list[LayerShape]:
    """The layers, those of a quantized model with per-channel radix points marked."""
    quantized = model.layers if isinstance(model, QuantizedModel) else {}
    names = {name for name, layer in quantized.items() if layer.channel_shifts is not None}
    return [replace(shape, has_channel_shifts=shape.name.split("#")[0] in names) for shape in shapes]


@contextmanager
def _evaluating(model: nn.Module) -> Generator[None]:
    """Switch a module to evaluation for a while."""
    modules: list[nn.Module] = list(model.modules())
    before = [module.training for module in modules]
    model.eval()
    try:
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training


class _Recorder(TorchFunctionMode):
    """Answers each operation with a result of the right shape, and notes its layer."""

    def __init__(self, own_precisions: Mapping[str, str | None]) -> None:
        super().__init__()
        self._own_precisions = own_precisions
        self.layers: list[LayerShape] = []
        self.reads: list[Tensors] = []
        self._stack: list[str] = []
        self._values: dict[int, tuple[Tensor, Tensors, bool]] = {}
        """By identity: the tensor itself (kept, so that no other gets its identity), what it consists of, and whether
        it is a layer's own result, before any function."""

    def note_image(self, image: Tensor) -> Tensor:
        """Know the network's input."""
        return self._note(image, frozenset((IMAGE,)))

    def _note(self, result: Tensor, stored: Tensors, *, is_layers_own: bool = False) -> Tensor:
        self._values[id(result)] = (result, stored, is_layers_own)
        return result

    def _stored(self, arguments: Sequence[Any]) -> Tensors:
        """What the tensors among arguments, perhaps in a list, consist of; weights count as nothing."""
        stored = frozenset[int]()
        for argument in arguments:
            if isinstance(argument, (tuple, list)):
                stored |= self._stored(argument)  # pyright: ignore[reportUnknownArgumentType]
            elif id(argument) in self._values:
                stored |= self._values[id(argument)][1]
        return stored

    @contextmanager
    def naming(self, model: nn.Module) -> Generator[None]:
        """Know by name which module is being run."""
        handles: list[RemovableHandle] = []
        modules: dict[str, nn.Module] = dict(model.named_modules())
        for name, module in modules.items():
            handles.append(module.register_forward_pre_hook(self._entering(name)))
            handles.append(module.register_forward_hook(self._leaving))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _entering(self, name: str) -> Callable[[nn.Module, Any], None]:
        """A hook that remembers the module about to be run."""

        def hook(_module: nn.Module, _inputs: Any) -> None:
            self._stack.append(name)

        return hook

    def _leaving(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        """Forget the module that has been run."""
        self._stack.pop()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Note a layer, let what costs nothing pass, refuse the rest."""
        kind = str(getattr(func, "__name__", func))
        place = self._stack[-1] if self._stack else ""
        make = LAYERS.get(kind)
        stored = self._stored([*args, *(kwargs or {}).values()])
        if not stored:  # of weights alone: the same for every image
            return func(*args, **(kwargs or {}))
        if make is not None:
            layer, shape = make(self._unique(place or kind), *args, **(kwargs or {}))
            if layer.has_weights:
                layer = replace(layer, precision=self._own_precisions.get(place, LEFT_FLOAT))
            self.layers.append(layer)
            self.reads.append(stored)
            own = frozenset((len(self.layers) - 1,))
            return self._note(torch.empty(shape, device="meta"), own, is_layers_own=True)
        if kind in ELEMENTWISE or kind == "batch_norm":
            if kind == "batch_norm":
                self._fold(place, args[0])
            return self._note(torch.empty(args[0].shape, device="meta"), stored)
        if kind not in REARRANGING:
            where = f"layer {place!r}" if place else "the model"
            raise ModelError(
                f"{where}: the accelerator does not compute {kind!r}, only convolution, linear, pooling, addition and "
                "concatenation"
            )
        result = func(*args, **(kwargs or {}))
        return self._note(result, stored) if isinstance(result, Tensor) else result

    def _fold(self, place: str, values: Tensor) -> None:
        """Batch normalization becomes part of the layer before it, which then has a bias."""
        _, stored, is_layers_own = self._values.get(id(values), (values, frozenset[int](), False))
        number = next(iter(stored), IMAGE)
        if not is_layers_own or not self.layers[number].has_weights:
            raise ModelError(
                f"layer {place!r} normalizes what is not directly a layer's result, so that it cannot be folded: the "
                "accelerator does not compute it"
            )
        self.layers[number] = replace(self.layers[number], has_bias=True)

    def _unique(self, name: str) -> str:
        """A name for a layer that no other layer has, if a module is used more than once."""
        taken = {layer.name for layer in self.layers}
        names = (name if number == 1 else f"{name}#{number}" for number in range(1, len(taken) + 2))
        return next(candidate for candidate in names if candidate not in taken)
