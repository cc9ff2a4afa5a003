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
from fewbits.hardware.liveness import IMAGE, Tensors, with_held_values
from fewbits.hardware.workload import Kind, LayerShape, Size, Workload, addition

_ELEMENTWISE = frozenset(
    (
        *("relu", "relu_", "hardtanh", "hardtanh_", "relu6", "clamp", "threshold"),  # in the output stage of a neuron
        *("dropout", "dropout1d", "dropout2d", "feature_dropout"),  # nothing
        *("softmax", "log_softmax"),  # reading out the logits is left to the host
    )
)
"""Functions that cost the tile no cycle and keep the shape; they are not called (torch loads its compiler for some)."""

_REARRANGING = frozenset(
    (
        *(
            "flatten",
            "unflatten",
            "view",
            "reshape",
            "squeeze",
            "unsqueeze",
            "permute",
            "transpose",
            "contiguous",
            "movedim",
        ),
        *("size", "dim", "numel", "__get__", "__len__", "is_floating_point", "to", "float", "detach", "clone"),
        "pad",  # zeros around the image are addresses that read as zero
        *("cat", "concat", "concatenate"),  # parts are stored where the whole is read
    )
)
"""Functions that only say where values lie: no cycle either."""


def module_workload(model: nn.Module, input_shape: Sequence[int]) -> Workload:
    """The layers that a module computes on one image.

    model: any module of 1- and 2-dimensional convolutions, linear layers, pooling, additions and concatenations; it may
    be quantized, and is left as it was. No weight is read, so a module on the `meta` device does. Batch normalization
    directly after a layer counts as folded into its weights and bias.
    input_shape: channels, height, width (or channels, length; or features).
    Raises ModelError, naming the layer, for an operation that the tile does not compute, a layer left float in a
    quantized model, or an input shape that does not fit.
    """
    shape = tuple(input_shape)
    precision, network = _float_twin(model)
    recorder = _Recorder()
    image = recorder.note_image(torch.empty((1, *shape), device="meta"))
    try:
        with _evaluating(network), recorder.naming(network), torch.no_grad(), recorder:
            network(image)
    except ModelError:
        raise
    except Exception as error:  # whatever a user's forward raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(f"the model cannot be run on an image of shape {shape}: {reason}") from error
    try:
        layers = _with_channel_shifts(model, recorder.layers)
        return Workload(with_held_values(layers, recorder.reads), precision)
    except HardwareError as error:
        raise ModelError(f"{type(model).__name__}: {error}") from None


def _float_twin(model: nn.Module) -> tuple[str | None, nn.Module]:
    """Precision and float network of a quantized model, its layers shared; any other model itself."""
    layers: object = getattr(model, "layers", None)
    precision: object = getattr(model, "precision", None)
    network: object = getattr(model, "network", None)
    if not (isinstance(layers, Mapping) and isinstance(network, nn.Module) and precision is not None):
        return None, model
    quantized: dict[str, nn.Module] = dict(layers)
    memo: dict[int, Any] = {id(layer): layer.layer for layer in quantized.values()}
    memo |= {id(rounding): nn.Identity() for rounding in dict(getattr(model, "roundings", {})).values()}
    for entry in getattr(model, "skipped", ()):
        if entry.kind.startswith("BatchNorm"):
            raise ModelError(
                f"layer {entry.name!r} is left in float: fold it into the layer before by fewbits.fold_batch_norm"
            )
    inside = {id(layer.layer) for layer in quantized.values()}
    modules: dict[str, nn.Module] = dict(network.named_modules())
    for name, module in modules.items():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear) and id(module) not in inside:
            raise ModelError(f"layer {name!r} is left in float: the tile computes in one precision only")
    return str(getattr(precision, "name", precision)), copy.deepcopy(network, memo)


def _with_channel_shifts(model: nn.Module, shapes: list[LayerShape]) -> list[LayerShape]:
    """The layers, those of a quantized model with per-channel radix points marked."""
    layers: object = getattr(model, "layers", None)
    quantized: dict[str, Any] = dict(layers) if isinstance(layers, Mapping) else {}
    names = {name for name, layer in quantized.items() if getattr(layer, "channel_shifts", None) is not None}
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

    def __init__(self) -> None:
        super().__init__()
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
        make = _OPERATIONS.get(kind)
        stored = self._stored([*args, *(kwargs or {}).values()])
        if make is not None:
            layer, shape = make(self._unique(place or kind), *args, **(kwargs or {}))
            self.layers.append(layer)
            self.reads.append(stored)
            own = frozenset((len(self.layers) - 1,))
            return self._note(torch.empty(shape, device="meta"), own, is_layers_own=True)
        if kind in _ELEMENTWISE or kind == "batch_norm":
            if kind == "batch_norm":
                self._fold(place, args[0])
            return self._note(torch.empty(args[0].shape, device="meta"), stored)
        if kind not in _REARRANGING:
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


def _pair(value: int | Sequence[int], dimensions: int) -> Size:
    """A size parameter as height and width."""
    values = [int(item) for item in value] if isinstance(value, Sequence) else [int(value)] * dimensions
    values = values * dimensions if len(values) == 1 else values
    return (1, values[0]) if dimensions == 1 else (values[0], values[1])


def _border(padding: int | Sequence[int], dimensions: int) -> Size:
    """Padding above and at the left; none above in one dimension."""
    above, left = _pair(padding, dimensions)
    return (0, left) if dimensions == 1 else (above, left)


def _size(tensor: Tensor, dimensions: int) -> tuple[int, Size]:
    """Channels, and height and width, of images (with or without the leading 1 for the batch)."""
    sizes = list(tensor.shape[-dimensions - 1 :])
    return sizes[0], _pair(sizes[1:], dimensions)


def _result(tensor: Tensor, channels: int, size: Size, dimensions: int) -> tuple[int, ...]:
    """Shape of a result with the batch dimensions of `tensor`."""
    return (*tensor.shape[: -dimensions - 1], channels, *size[-dimensions:])


def _windows(name: str, size: Size, kernel: Size, stride: Size, padding: Size, dilation: Size, *, ceil: bool) -> Size:
    """Output positions by torch's formula (documentation of Conv2d and MaxPool2d)."""
    counts: list[int] = []
    for length, window, step, border, spread in zip(size, kernel, stride, padding, dilation, strict=True):
        room = length + 2 * border - spread * (window - 1) - 1
        count = (room + (step - 1 if ceil else 0)) // step + 1
        if ceil and (count - 1) * step >= length + border:  # no window may start beyond the image
            count -= 1
        if room < 0:
            raise ModelError(
                f"layer {name!r}: a window of {window} does not fit into {length} inputs: choose a larger image"
            )
        counts.append(count)
    return (counts[0], counts[1])


def _convolution(dimensions: int) -> Callable[..., tuple[LayerShape, tuple[int, ...]]]:
    """Take the arguments of torch.conv1d or conv2d."""

    def note(
        name: str,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> tuple[LayerShape, tuple[int, ...]]:
        channels, size = _size(input, dimensions)
        if channels != weight.shape[1] * groups:
            raise ModelError(f"layer {name!r} takes {weight.shape[1] * groups} channels, but its input has {channels}")
        kernel = _pair(list(weight.shape[2:]), dimensions)
        steps, spread = _pair(stride, dimensions), _pair(dilation, dimensions)
        if padding == "same":
            outputs = size
        else:
            border = (0, 0) if isinstance(padding, str) else _border(padding, dimensions)
            outputs = _windows(name, size, kernel, steps, border, spread, ceil=False)
        neurons = int(weight.shape[0])
        layer = LayerShape(
            name, "convolution", channels, size, neurons, outputs, kernel, steps, spread, groups, bias is not None
        )
        return layer, _result(input, neurons, outputs, dimensions)

    return note


def _linear(
    name: str,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
) -> tuple[LayerShape, tuple[int, ...]]:
    """Take the arguments of torch.nn.functional.linear."""
    neurons, features = (int(size) for size in weight.shape)
    if input.shape[-1] != features:
        raise ModelError(
            f"layer {name!r} takes {features} inputs, but gets {input.shape[-1]}: is the image size right?"
        )
    size = (1, input.numel() // features)
    layer = LayerShape(name, "linear", features, size, neurons, size, has_bias=bias is not None)
    return layer, (*input.shape[:-1], neurons)


def _max_pooling(dimensions: int) -> Callable[..., tuple[LayerShape, tuple[int, ...]]]:
    """Take the arguments of torch's max_pool functions."""

    def note(
        name: str,
        input: Tensor,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[LayerShape, tuple[int, ...]]:
        geometry = (kernel_size, stride, padding, dilation)
        return _pool(name, "max-pool", input, geometry, dimensions, ceil=ceil_mode)

    return note


def _average_pooling(dimensions: int) -> Callable[..., tuple[LayerShape, tuple[int, ...]]]:
    """Take the arguments of torch's avg_pool functions."""

    def note(
        name: str,
        input: Tensor,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> tuple[LayerShape, tuple[int, ...]]:
        return _pool(name, "average-pool", input, (kernel_size, stride, padding, 1), dimensions, ceil=ceil_mode)

    return note


_Geometry = tuple[int | Sequence[int], int | Sequence[int] | None, int | Sequence[int], int | Sequence[int]]
"""Kernel size, stride (None: that of the kernel), padding and dilation, as torch takes them."""


def _pool(
    name: str, kind: Kind, values: Tensor, geometry: _Geometry, dimensions: int, *, ceil: bool
) -> tuple[LayerShape, tuple[int, ...]]:
    """A pooling layer and the shape of its result."""
    channels, size = _size(values, dimensions)
    kernel = _pair(geometry[0], dimensions)
    steps = _pair(geometry[1], dimensions) if geometry[1] else kernel
    border = _border(geometry[2], dimensions)
    spread = _pair(geometry[3], dimensions)
    outputs = _windows(name, size, kernel, steps, border, spread, ceil=ceil)
    layer = LayerShape(name, kind, channels, size, channels, outputs, kernel, steps, spread)
    return layer, _result(values, channels, outputs, dimensions)


def _adaptive(kind: Kind, dimensions: int) -> Callable[..., tuple[LayerShape, tuple[int, ...]]]:
    """Take the arguments of torch's adaptive pooling functions, if all windows are of one size."""

    def note(
        name: str,
        input: Tensor,
        output_size: int | Sequence[int | None] | None,
        **_ignored: Any,
    ) -> tuple[LayerShape, tuple[int, ...]]:
        channels, size = _size(input, dimensions)
        wanted = list(output_size) if isinstance(output_size, Sequence) else [output_size] * dimensions
        filled = [length if want is None else want for want, length in zip(wanted, size[-dimensions:], strict=True)]
        outputs = _pair(filled, dimensions)
        if size[0] % outputs[0] or size[1] % outputs[1]:
            raise ModelError(
                f"layer {name!r}: pooling {size} to {outputs} needs windows of several sizes, unlike the tile's"
            )
        kernel = (size[0] // outputs[0], size[1] // outputs[1])
        layer = LayerShape(name, kind, channels, size, channels, outputs, kernel, kernel)
        return layer, _result(input, channels, outputs, dimensions)

    return note


def _addition(
    name: str, input: Tensor, other: Tensor | float, *, alpha: float = 1
) -> tuple[LayerShape, tuple[int, ...]]:
    """Take the arguments of torch.add."""
    if not isinstance(other, Tensor) or input.shape != other.shape or alpha != 1:
        raise ModelError(f"layer {name!r}: the accelerator adds two tensors of one shape, nothing else")
    return addition(name, input.shape[1:]), tuple(input.shape)


_OPERATIONS: dict[str, Callable[..., tuple[LayerShape, tuple[int, ...]]]] = {
    "linear": _linear,
    **dict.fromkeys(("add", "add_", "__add__", "__iadd__", "__radd__"), _addition),
    **{f"conv{n}d": _convolution(n) for n in (1, 2)},
    **{f"max_pool{n}d": _max_pooling(n) for n in (1, 2)},
    **{f"avg_pool{n}d": _average_pooling(n) for n in (1, 2)},
    **{f"adaptive_max_pool{n}d": _adaptive("max-pool", n) for n in (1, 2)},
    **{f"adaptive_avg_pool{n}d": _adaptive("average-pool", n) for n in (1, 2)},
}
"""torch's function name to what notes its layer: (name, torch's arguments) -> (layer, shape of the result)."""
