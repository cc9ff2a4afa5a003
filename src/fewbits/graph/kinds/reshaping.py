"""An image's values in the same order, in other dimensions: flatten, view, squeeze, unsqueeze, unflatten."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import fx, nn

from fewbits.errors import ModelError
from fewbits.graph import operations
from fewbits.graph.geometry import Shape
from fewbits.graph.kind import KindOfOperation, Lowering
from fewbits.graph.refusals import unsupported
from fewbits.graph.spelling import Application, Reading, is_batch_size, operand_of, spelled


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


def _view(node: fx.Node) -> Application:
    """A view of each image's values. Raises UnsupportedError if it mixes images."""
    sizes: Any = node.args[1:] or (node.kwargs.get("shape"),)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    batch, *image = sizes
    # One size that is computed from a shape is the one that fits, or torch could not make this view.
    plain: list[Any] = [-1 if isinstance(size, fx.Node) and is_batch_size(batch) else size for size in image]
    free = 1 if is_batch_size(batch) else 0 if batch == -1 else -1
    if plain and all(isinstance(size, int) for size in plain) and plain.count(-1) <= free:
        meaning = Reshape(plain[0]) if len(plain) == 1 else View(tuple(plain))
        return Application(meaning, (operand_of(node),))
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


def _flatten(start_dim: int = 0, end_dim: int = -1) -> nn.Flatten:
    """`torch.flatten`, whose default includes the batch."""
    return nn.Flatten(start_dim, end_dim)


def _unflatten(dim: int, sizes: tuple[int, ...]) -> nn.Unflatten:
    """`x.unflatten(1, (3, 3))`."""
    return nn.Unflatten(dim, tuple(sizes))


def _squeeze(dim: int | tuple[int, ...] | None = None) -> Squeeze | None:
    """`x.squeeze(-1)`; without a dimension it would drop a batch of one image too."""
    return None if dim is None else Squeeze((dim,) if isinstance(dim, int) else tuple(dim))


class Reshaping(KindOfOperation):
    """Flatten, view and the like, the batch left as it is."""

    name = "reshaping"
    meanings = (nn.Flatten, nn.Unflatten, Reshape, View, Squeeze, Unsqueeze)
    calls: ClassVar[Mapping[Any, Reading]] = {
        **dict.fromkeys(("view", "reshape", torch.reshape), _view),
        **dict.fromkeys((torch.flatten, "flatten"), spelled(_flatten, "start_dim", "end_dim")),
        **dict.fromkeys(("squeeze", torch.squeeze), spelled(_squeeze, "dim")),
        **dict.fromkeys(("unsqueeze", torch.unsqueeze), spelled(Unsqueeze, "dim")),
        "unflatten": spelled(_unflatten, "dim", "sizes"),
    }
    effect = "keeps"
    views = frozenset(
        (
            *(nn.Flatten, nn.Unflatten, torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze, torch.unflatten),
            *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as"),
        )
    )
    passes_values = True
    rearranges = True

    def refusal(self, meaning: Any) -> str | None:
        return _REFUSALS[type(meaning)](meaning) if type(meaning) in _REFUSALS else None

    def shape(self, name: str, meaning: Any, shapes: Sequence[Shape]) -> Shape:
        """Raises ModelError if it mixes images or does not fit."""
        return _SHAPES[type(meaning)](name, meaning, shapes[0])

    def lower(self, call: Lowering) -> None:
        (source,) = call.sources
        after = self.shape(call.name, call.meaning, [source.output_shape])
        call.add(operations.Flatten(name=call.name, inputs=(source.name,), output_shape=after), call.codes(source))

    def makes_vectors(self, meaning: Any) -> bool:
        return isinstance(meaning, Reshape) or (
            isinstance(meaning, nn.Flatten) and (meaning.start_dim, meaning.end_dim) == (1, -1)
        )

    def channels_last(self, meaning: Any, are_last: bool) -> bool | None:
        return True if self.makes_vectors(meaning) else None


def _flatten_refusal(module: nn.Flatten) -> str | None:
    if module.start_dim == 0:
        return f"it flattens dimensions {module.start_dim} to {module.end_dim}: the batch (0) must stay, so start at 1"
    return None


def _unflatten_refusal(module: nn.Unflatten) -> str | None:
    if module.dim == 0 or type(module.dim) is not int:
        return f"it unflattens dimension {module.dim!r}: give the number of one behind the batch (0)"
    return None


_REFUSALS: dict[type, Callable[[Any], str | None]] = {nn.Flatten: _flatten_refusal, nn.Unflatten: _unflatten_refusal}


def _reshaped(name: str, meaning: Reshape, shape: Shape) -> Shape:
    return _filled(name, (meaning.features,), math.prod(shape))


def _viewed(name: str, meaning: View, shape: Shape) -> Shape:
    return _filled(name, meaning.sizes, math.prod(shape))


def _unsqueezed(name: str, meaning: Unsqueeze, shape: Shape) -> Shape:
    place = _axis(name, meaning.dim, len(shape) + 1)
    return (*shape[:place], 1, *shape[place:])


def _squeezed(name: str, meaning: Squeeze, shape: Shape) -> Shape:
    dropped = {_axis(name, dim, len(shape)) for dim in meaning.dims}
    return tuple(size for axis, size in enumerate(shape) if axis not in dropped or size != 1)


def _unflattened(name: str, meaning: nn.Unflatten, shape: Shape) -> Shape:
    place = _axis(name, int(meaning.dim), len(shape))
    sizes: Any = meaning.unflattened_size
    return (*shape[:place], *_filled(name, tuple(sizes), shape[place]), *shape[place + 1 :])


def _flattened(name: str, meaning: nn.Flatten, shape: Shape) -> Shape:
    start, end = _axis(name, meaning.start_dim, len(shape)), _axis(name, meaning.end_dim, len(shape))
    return (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


_SHAPES: dict[type, Callable[[str, Any, Shape], Shape]] = {
    Reshape: _reshaped,
    View: _viewed,
    Unsqueeze: _unsqueezed,
    Squeeze: _squeezed,
    nn.Unflatten: _unflattened,
    nn.Flatten: _flattened,
}


def _axis(name: str, dim: int, rank: int) -> int:
    """A dimension of images of `rank` dimensions, the batch counted in `dim`, not in the result."""
    axis = (dim + rank + 1 if dim < 0 else dim) - 1
    if not 0 <= axis <= rank:
        raise ModelError(
            f"layer {name!r} changes dimension {dim} of {rank + 1}: the batch (0) must stay, so start at 1"
        )
    return axis


def _filled(name: str, sizes: Shape, values: int) -> Shape:
    """Sizes with whatever fits in the place of -1. Raises ModelError if nothing does."""
    known = math.prod(size for size in sizes if size != -1)
    filled = tuple(values // known if size == -1 else size for size in sizes)
    if math.prod(filled) != values:
        wanted = sizes[0] if len(sizes) == 1 else sizes
        raise ModelError(f"call {name!r} views {values} values of an image as {wanted}: is the image's size right?")
    return filled
