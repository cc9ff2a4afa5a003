"""What the calls of a traced network mean: a module for each, functions and methods turned into modules."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from fewbits.errors import ModelError
from fewbits.graph.ways_out import without_form


@dataclass(frozen=True)
class Skipped:
    """A module, or a call of a function, that is left float: it has no bit-exact form."""

    name: str
    """Where it is in the network, such as `features.bn1`; empty for the network itself; torch.fx's name of a call."""

    kind: str
    """Its class; the function's name."""

    reason: str
    """Why it was left, and what to do."""

    is_call: bool = False
    """Whether a function or method is meant, not a module."""

    def __str__(self) -> str:
        """The sentence that every reader of networks answers with."""
        if not self.name:
            return f"{self.kind} cannot be lowered: {self.reason}"
        return f"{'call' if self.is_call else 'layer'} {self.name!r} ({self.kind}) cannot be lowered: {self.reason}"


class UnsupportedError(ModelError):
    """A network of which something has no bit-exact form."""

    def __init__(self, skipped: Skipped) -> None:
        super().__init__(str(skipped))
        self.skipped = skipped


@dataclass(frozen=True)
class Reshape:
    """A `view` or `reshape` to two dimensions, the first of them the batch."""

    features: int
    """Size of the second dimension; -1 for whatever fits."""


@dataclass(frozen=True)
class View:
    """An image's values in the same order, in other dimensions."""

    sizes: tuple[int, ...]
    """The batch left out; -1 for whatever fits."""


@dataclass(frozen=True)
class Squeeze:
    """Without dimensions of length 1."""

    dims: tuple[int, ...]
    """Which, the batch counted; negative from the end."""


@dataclass(frozen=True)
class Unsqueeze:
    """With one more dimension, of length 1."""

    dim: int
    """Its place, the batch counted; negative from the end."""


@dataclass(frozen=True)
class Addition:
    """The sum of two tensors of one shape."""


@dataclass(frozen=True)
class Concatenation:
    """Tensors one after another."""

    dim: int
    """Along which dimension, the batch counted; negative from the end."""


Meaning = nn.Module | Reshape | View | Squeeze | Unsqueeze | Addition | Concatenation

RESHAPES = (Reshape, View, Squeeze, Unsqueeze)
"""Calls that leave the values and their order as they are."""


@dataclass(frozen=True)
class Application:
    """A node of a traced graph: something applied to the results of others."""

    meaning: Meaning
    sources: tuple[Any, ...]
    """The operands; fx.Nodes, unless the call is one that cannot be lowered."""


def application(node: fx.Node, network: nn.Module) -> Application:
    """What a node that calls a module, a function or a method does.

    Raises UnsupportedError if fewbits knows no module of this meaning, or its settings depend on values.
    """
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        if not node.args:
            reason = "it is given its input by name, or none; give it as the first argument, as self.layer(x)"
            raise UnsupportedError(Skipped(str(node.target), type(module).__name__, reason))
        return Application(module, node.args[:1])
    if node.op == "get_attr":
        raise unsupported(node, f"{OWN_TENSOR.format(node.target)}")
    if node.target in _ADDING:
        return _addition(node)
    if node.target in _CONCATENATING:
        return _concatenation(node)
    source = node.args[0] if node.args else node.kwargs.get("input")
    return Application(_as_module(node), (source,))


OWN_TENSOR = (
    "it takes the network's own tensor {!r}, and only what is computed from the images can be lowered; make it the "
    "weight or bias of a convolution or linear layer"
)


def unsupported(node: fx.Node, reason: str) -> UnsupportedError:
    """The error for a call of a function or method without a bit-exact form."""
    return UnsupportedError(Skipped(node.name, target_name(node), reason, is_call=True))


def target_name(node: fx.Node) -> str:
    """Name of the function or method that a node calls."""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def is_size(node: fx.Node) -> bool:
    """Whether a node reads a shape (`x.size(0)`, `len(x)`) or computes with shapes alone, which a `view` needs."""
    if node.op == "call_method" and node.target in ("size", "dim", "ndimension", "numel", "__len__"):
        return True
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim", "device", "dtype")
    if node.target is len:
        return True
    if node.op != "call_function" or not node.all_input_nodes:
        return False
    return all(map(is_size, node.all_input_nodes))


def is_shared(node: fx.Node) -> bool:
    """Whether several calls use a node's values (a shape is none of them)."""
    return sum(not is_size(user) for user in node.users) > 1


def is_batch_size(node: Any) -> bool:
    """Whether a node reads how many images there are: `x.size(0)`, `x.shape[0]`, `len(x)`."""
    if not isinstance(node, fx.Node):
        return False
    if node.op == "call_method":
        return (node.target == "size" and node.args[1:] == (0,)) or node.target == "__len__"
    reads_one = node.target is operator.getitem and node.args[1] == 0
    return node.target is len or bool(reads_one and isinstance(node.args[0], fx.Node) and is_size(node.args[0]))


_ADDING: frozenset[Any] = frozenset((operator.add, operator.iadd, torch.add, "add", "add_", "__add__", "__iadd__"))
_CONCATENATING: frozenset[Any] = frozenset((torch.cat, torch.concat, torch.concatenate))


def _addition(node: fx.Node) -> Application:
    """The sum of two tensors. Raises UnsupportedError for a constant or a factor (`alpha`)."""
    operands = (*node.args, *(node.kwargs[name] for name in ("input", "other") if name in node.kwargs))
    tensors = tuple(operand for operand in operands if isinstance(operand, fx.Node))
    if len(operands) == 2 and len(tensors) == 1 and any(type(one) in (int, float) and one == 0 for one in operands):
        return Application(nn.Identity(), tensors)  # the start of Python's sum()
    if len(operands) != 2 or not all(isinstance(operand, fx.Node) for operand in operands):
        raise unsupported(
            node, f"it adds {operands!r}, and only the results of two layers can be added; put a constant into a bias"
        )
    if node.kwargs.get("alpha", 1) != 1:
        raise unsupported(node, f"it has alpha {node.kwargs['alpha']!r}, and only plain sums can be lowered")
    return Application(Addition(), operands)


def _concatenation(node: fx.Node) -> Application:
    """Tensors joined along a dimension."""
    settings: dict[str, Any] = dict(zip(("tensors", "dim"), node.args, strict=False)) | dict(node.kwargs)
    tensors, dim = settings.get("tensors"), settings.get("dim", settings.get("axis", 0))
    is_plain = isinstance(tensors, (tuple, list)) and all(isinstance(tensor, fx.Node) for tensor in tensors)
    if not is_plain or not isinstance(dim, int):
        raise unsupported(node, f"it joins {tensors!r} along {dim!r}: give a list of tensors and a constant")
    if dim == 0:
        raise unsupported(node, "it joins batches, and the dimension cannot be the batch (0): join along another")
    parts: Any = tensors
    return Application(Concatenation(dim), tuple(parts))


def _functions() -> dict[Any, tuple[Callable[..., Meaning | None], tuple[str, ...]]]:
    """Functions and methods by target: the module of the same meaning, the parameters after the input in order.

    None in a module's place: with these settings there is none.
    """
    pool = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    average = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    table: dict[Any, tuple[Callable[..., Meaning | None], tuple[str, ...]]] = {
        F.relu: (nn.ReLU, ("inplace",)),
        F.relu_: (_relu_in_place, ()),
        torch.relu: (nn.ReLU, ()),
        torch.relu_: (_relu_in_place, ()),
        "relu": (nn.ReLU, ()),
        "relu_": (_relu_in_place, ()),
        F.max_pool1d: (nn.MaxPool1d, (*pool, "return_indices")),
        F.max_pool2d: (nn.MaxPool2d, (*pool, "return_indices")),
        torch.max_pool1d: (nn.MaxPool1d, pool),
        torch.max_pool2d: (nn.MaxPool2d, pool),
        F.avg_pool1d: (nn.AvgPool1d, average[:-1]),
        F.avg_pool2d: (nn.AvgPool2d, average),
        F.adaptive_avg_pool1d: (nn.AdaptiveAvgPool1d, ("output_size",)),
        F.adaptive_avg_pool2d: (nn.AdaptiveAvgPool2d, ("output_size",)),
        F.adaptive_max_pool1d: (nn.AdaptiveMaxPool1d, ("output_size", "return_indices")),
        F.adaptive_max_pool2d: (nn.AdaptiveMaxPool2d, ("output_size", "return_indices")),
        torch.flatten: (_flatten, ("start_dim", "end_dim")),
        "flatten": (_flatten, ("start_dim", "end_dim")),
        "contiguous": (nn.Identity, ("memory_format",)),
        "detach": (nn.Identity, ()),
        "clone": (nn.Identity, ("memory_format",)),
        torch.clone: (nn.Identity, ("memory_format",)),
        "float": (nn.Identity, ("memory_format",)),
        "unflatten": (_unflatten, ("dim", "sizes")),
        "squeeze": (_squeeze, ("dim",)),
        torch.squeeze: (_squeeze, ("dim",)),
        "unsqueeze": (Unsqueeze, ("dim",)),
        torch.unsqueeze: (Unsqueeze, ("dim",)),
    }
    for clamp in (torch.clamp, torch.clip, "clamp", "clip"):
        table[clamp] = (_clamp, ("min", "max"))
    for clamp in (torch.clamp_min, "clamp_min"):
        table[clamp] = (_clamp, ("min",))
    for dropout in DROPOUTS:
        table[dropout] = (_dropout, ("p", "training", "inplace"))
    return table


DROPOUTS: dict[Any, type[nn.Module]] = {
    F.dropout: nn.Dropout,
    F.dropout1d: nn.Dropout1d,
    F.dropout2d: nn.Dropout2d,
    F.dropout3d: nn.Dropout3d,
    F.alpha_dropout: nn.AlphaDropout,
    F.feature_alpha_dropout: nn.FeatureAlphaDropout,
}
"""Functions that drop values, and the modules that do so in training alone."""


def settings_of(node: fx.Node, parameters: tuple[str, ...]) -> dict[str, Any]:
    """The arguments after the input, by name. Raises UnsupportedError if one depends on values."""
    settings = dict(zip(parameters, node.args[1:], strict=False)) | dict(node.kwargs)
    settings.pop("input", None)
    computed = [used for used in node.all_input_nodes if used is not (node.args[0] if node.args else None)]
    computed = [used for used in computed if used is not node.kwargs.get("input")]
    if computed and all(map(is_size, computed)):
        raise unsupported(
            node,
            "a setting is computed from a tensor's shape: give constants, or for the mean over all of an image's "
            "positions nn.AdaptiveAvgPool2d(1)",
        )
    if computed or any(isinstance(value, Tensor) for value in settings.values()):
        raise unsupported(node, "it has settings that depend on values: give constants")
    return settings


MEANS: frozenset[Any] = frozenset((torch.mean, "mean"))
"""Functions and methods that average; global ones are written as pooling before (`global_average.py`)."""


def _relu_in_place() -> nn.ReLU:
    """A ReLU that overwrites its input."""
    return nn.ReLU(inplace=True)


def _flatten(start_dim: int = 0, end_dim: int = -1) -> nn.Flatten:
    """`torch.flatten`, whose default includes the batch."""
    return nn.Flatten(start_dim, end_dim)


def _dropout(p: float = 0.5, training: bool = True, inplace: bool = False) -> nn.Module:
    """What a functional dropout does in evaluation; `training` is on unless the call says otherwise."""
    return nn.Dropout(p) if training else nn.Identity()


def _clamp(min: float | None = None, max: float | None = None) -> nn.ReLU | None:
    """A lower bound of 0 alone is a ReLU."""
    return nn.ReLU() if max is None and not isinstance(min, bool) and min == 0 else None


def _unflatten(dim: int, sizes: tuple[int, ...]) -> nn.Unflatten:
    """`x.unflatten(1, (3, 3))`."""
    return nn.Unflatten(dim, tuple(sizes))


def _squeeze(dim: int | tuple[int, ...] | None = None) -> Squeeze | None:
    """`x.squeeze(-1)`; without a dimension it would drop a batch of one image too."""
    return None if dim is None else Squeeze((dim,) if isinstance(dim, int) else tuple(dim))


_FUNCTIONS = _functions()


def _as_module(node: fx.Node) -> Meaning:
    """The module that means the same as a functional call. Raises UnsupportedError if there is none."""
    if node.target in ("view", "reshape") or node.target is torch.reshape:
        return _reshape(node)
    if node.target in MEANS:
        raise unsupported(
            node,
            "its arithmetic stays float: only the mean over all spatial dimensions of what a convolution makes can be "
            "lowered, as x.mean((2, 3)); use nn.AdaptiveAvgPool2d or nn.AdaptiveAvgPool1d",
        )
    if node.target not in _FUNCTIONS:
        raise unsupported(node, without_form(target_name(node)))
    make, parameters = _FUNCTIONS[node.target]
    settings = settings_of(node, parameters)
    settings.pop("memory_format", None)
    try:
        module = make(**settings)
    except TypeError as error:
        raise unsupported(node, f"fewbits does not know its arguments: {error}") from error
    if module is None:
        raise unsupported(node, without_form(target_name(node)))
    if isinstance(module, nn.Dropout):
        raise unsupported(node, "it drops values even in evaluation: pass training=self.training")
    return module


def _reshape(node: fx.Node) -> Reshape | View:
    """A view of each image's values in other dimensions. Raises UnsupportedError if it mixes images."""
    sizes: Any = node.args[1:] or (node.kwargs.get("shape"),)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    batch, *image = sizes
    # One size that is computed from a shape is the one that fits, or torch could not make this view.
    plain: list[Any] = [-1 if isinstance(size, fx.Node) and is_batch_size(batch) else size for size in image]
    free = 1 if is_batch_size(batch) else 0 if batch == -1 else -1
    if plain and all(isinstance(size, int) for size in plain) and plain.count(-1) <= free:
        return Reshape(plain[0]) if len(plain) == 1 else View(tuple(plain))
    if any(isinstance(size, fx.Node) for size in image):
        raise unsupported(
            node,
            f"it is a view to {sizes!r}, sizes computed from a shape: the first may be, x.size(0), and one more; write "
            "the others as numbers, or use torch.flatten(x, 1)",
        )
    raise unsupported(
        node,
        f"it is a view to {sizes!r}, and only views that keep the batch as the first dimension can be lowered, such as "
        "x.view(x.size(0), -1) for (batch, features); use torch.flatten(x, 1)",
    )
