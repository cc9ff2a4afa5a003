"""torch's functions as the tile sees them: those that make a layer, and its shape; those that cost it nothing.

A function in none of the three tables, batch normalization apart, is one that the tile does not compute.
"""

# torch hands operations over with arguments of any type.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from fewbits.errors import ModelError
from fewbits.hardware.workload.workload import Kind, LayerShape, Size, addition
from fewbits.quantize.global_average import MEAN_PARAMETERS, mean_of

ELEMENTWISE = frozenset(
    (
        *("relu", "relu_", "hardtanh", "hardtanh_", "relu6", "clamp", "threshold"),  # in the output stage of a neuron
        *("dropout", "dropout1d", "dropout2d", "feature_dropout"),  # nothing
        *("softmax", "log_softmax"),  # reading out the logits is left to the host
    )
)
"""Functions that cost the tile no cycle and keep the shape; they are not called (torch loads its compiler for some)."""

REARRANGING = frozenset(
    (
        *("flatten", "unflatten", "view", "reshape", "squeeze", "unsqueeze"),  # one order of the values, other shapes
        *("permute", "transpose", "movedim"),
        *("contiguous", "to", "float", "detach", "clone"),
        *("size", "dim", "numel", "__get__", "__len__", "is_floating_point"),  # what a forward pass asks of a tensor
        "pad",  # zeros around the image are addresses that read as zero
        *("cat", "concat", "concatenate"),  # parts are stored where the whole is read
    )
)
"""Functions that only say where values lie: no cycle either."""


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


def _mean(name: str, input: Tensor, *arguments: Any, **settings: Any) -> tuple[LayerShape, tuple[int, ...]]:
    """Take the arguments of torch.mean, if it averages all spatial dimensions."""
    mean, dimensions = mean_of(dict(zip(MEAN_PARAMETERS, arguments, strict=False)) | settings), input.ndim - 2
    if mean is None or dimensions not in (1, 2) or not mean.is_global(dimensions):
        raise ModelError(
            f"layer {name!r}: of means the accelerator computes those over all spatial dimensions, as x.mean((2, 3)), "
            "nothing else"
        )
    layer, shape = _adaptive("average-pool", dimensions)(name, input, 1)
    return layer, shape if mean.keeps_dims else shape[:2]


def _addition(
    name: str, input: Tensor, other: Tensor | float, *, alpha: float = 1
) -> tuple[LayerShape, tuple[int, ...]]:
    """Take the arguments of torch.add."""
    if not isinstance(other, Tensor) or input.shape != other.shape or alpha != 1:
        raise ModelError(f"layer {name!r}: the accelerator adds two tensors of one shape, nothing else")
    return addition(name, input.shape[1:]), tuple(input.shape)


LAYERS: dict[str, Callable[..., tuple[LayerShape, tuple[int, ...]]]] = {
    "linear": _linear,
    "mean": _mean,
    **dict.fromkeys(("add", "add_", "__add__", "__iadd__", "__radd__"), _addition),
    **{f"conv{n}d": _convolution(n) for n in (1, 2)},
    **{f"max_pool{n}d": _max_pooling(n) for n in (1, 2)},
    **{f"avg_pool{n}d": _average_pooling(n) for n in (1, 2)},
    **{f"adaptive_max_pool{n}d": _adaptive("max-pool", n) for n in (1, 2)},
    **{f"adaptive_avg_pool{n}d": _adaptive("average-pool", n) for n in (1, 2)},
}
"""torch's function name to what notes its layer: (name, torch's arguments) -> (layer, shape of the result)."""
