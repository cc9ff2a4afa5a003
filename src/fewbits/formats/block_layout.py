"""Tensors as blocks along one dimension, padded with zeros where they do not divide, and back."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from fewbits.arguments import shown
from fewbits.errors import FormatError
from fewbits.formats.scale import SummedDimension


def to_blocks(x: Tensor, size: int, along: SummedDimension) -> Tensor:
    """The blocks of a tensor: its other dimensions in their order, (groups,) blocks, `size`.

    Raises FormatError for a scalar, a dimension that the tensor lacks, or groups that do not divide it.
    """
    dim = _checked(x, along)
    if along.groups > 1:
        x = x.unflatten(dim, (along.groups, -1))
        dim += 1
    x = x.movedim(dim, -1)
    length = x.shape[-1]
    count = -(-length // size)
    return F.pad(x, (0, count * size - length)).unflatten(-1, (count, size))


def from_blocks(blocks: Tensor, shape: tuple[int, ...], along: SummedDimension) -> Tensor:
    """The tensor of a shape that `to_blocks` made blocks of; what was padded is left out."""
    dim = along.dim % len(shape)
    length = shape[dim] // along.groups
    x = blocks.flatten(-2)[..., :length]
    if along.groups > 1:
        return x.movedim(-1, dim + 1).flatten(dim, dim + 1)
    return x.movedim(-1, dim)


def _checked(x: Tensor, along: SummedDimension) -> int:
    """The dimension, counted from the first."""
    if not x.ndim:
        raise FormatError(
            "blocks lie along a dimension, and a scalar has none: give a tensor of at least one dimension"
        )
    if not -x.ndim <= along.dim < x.ndim:
        raise FormatError(f"a tensor of shape {tuple(x.shape)} has no dimension {along.dim} for blocks to lie along")
    if along.groups < 1 or x.shape[along.dim] % along.groups:
        raise FormatError(
            f"dimension {along.dim} of a tensor of shape {tuple(x.shape)} has no {shown(along.groups)} equal groups"
        )
    return along.dim % x.ndim
