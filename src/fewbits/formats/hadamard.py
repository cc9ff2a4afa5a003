"""Hadamard rotation of blocks: spreads what one element holds over its neighbours, before both operands are quantized.

The rotation is orthogonal and symmetric, so that sums of products of two operands that are rotated alike are as before.
"""

from __future__ import annotations

from torch import Tensor

from fewbits.arguments import is_integer, shown
from fewbits.errors import FormatError
from fewbits.formats.block_layout import from_blocks, to_blocks
from fewbits.formats.scale import LAST, SummedDimension


def rotate_blocks(x: Tensor, size: int, *, along: SummedDimension = LAST) -> Tensor:
    """A tensor whose blocks are multiplied by the Hadamard matrix of Sylvester's order, divided by sqrt(size).

    x: float, any shape. size: a power of two from 2 to 4096; it is to divide the dimension's length. Applied twice, it
    gives the tensor back up to rounding in the dtype of `x`; where size is a power of four, the factor is exact.
    Raises FormatError for another size or length.
    """
    if not is_integer(size, 2, 4096) or size & (size - 1):
        raise FormatError(f"blocks are rotated in sizes that are powers of two from 2 to 4096, not {shown(size)}")
    blocks = to_blocks(x, size, along)
    if blocks.shape[-2] * size * along.groups != x.shape[along.dim]:
        raise FormatError(
            f"rotated blocks of {size} are to divide dimension {along.dim} of a tensor of shape {tuple(x.shape)}: "
            "padded zeros would become numbers"
        )
    width = 1
    while width < size:
        pairs = blocks.unflatten(-1, (-1, 2, width))
        first, second = pairs.unbind(-2)
        blocks = pairs.new_empty(0) if not pairs.numel() else _stacked(first + second, first - second)
        blocks = blocks.reshape(*pairs.shape[:-3], size)
        width *= 2
    return from_blocks(blocks * size**-0.5, tuple(x.shape), along)


def _stacked(first: Tensor, second: Tensor) -> Tensor:
    import torch

    return torch.stack((first, second), -2)
