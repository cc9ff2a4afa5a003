"""Shapes, without the batch, of what only rearranges values."""

from __future__ import annotations

import math

from torch import nn

from fewbits.errors import ModelError
from fewbits.quantize.functional import Concatenation, Reshape


def flattened(shape: tuple[int, ...], module: nn.Flatten | Reshape, name: str) -> tuple[int, ...]:
    """Shape after a flatten or view. Raises ModelError if that mixes images or does not fit."""
    if isinstance(module, Reshape):
        if module.features not in (-1, math.prod(shape)):
            raise ModelError(f"call {name!r} views {math.prod(shape)} values of an image as {module.features}")
        return (math.prod(shape),)
    rank = len(shape) + 1
    start, end = (dim + rank if dim < 0 else dim for dim in (module.start_dim, module.end_dim))
    if not 1 <= start <= end < rank:
        raise ModelError(
            f"layer {name!r} flattens dimensions {module.start_dim} to {module.end_dim} of {rank}: "
            "the batch (0) must stay, so start at 1"
        )
    return (*shape[: start - 1], math.prod(shape[start - 1 : end]), *shape[end:])


def joined(shapes: list[tuple[int, ...]], module: Concatenation, name: str) -> tuple[int, tuple[int, ...]]:
    """Axis (the batch not counted) and shape of a concatenation. Raises ModelError if the shapes do not fit."""
    first = shapes[0]
    rank = len(first) + 1
    axis = (module.dim + rank if module.dim < 0 else module.dim) - 1
    others = {(len(shape), *shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if not 0 <= axis < len(first) or len(others) > 1:
        raise ModelError(
            f"call {name!r} joins shapes {', '.join(map(str, shapes))} along dimension {module.dim}: "
            "all but that one must be equal, and it cannot be the batch (0)"
        )
    return axis, (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
