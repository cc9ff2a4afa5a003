"""Where windows lie: how many there are along a dimension, what they hold, what an average divides by.

The rules are those of torch.nn (`Conv2d`, `MaxPool2d`, `AvgPool2d`), written out so that the bit-exact network does not
rest on the library that it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fewbits.errors import DataError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Windows:
    """Where the windows of a layer or a pooling lie; one entry a dimension."""

    kernel: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]
    """Elements before and after."""

    dilation: Shape
    positions: Shape
    """Windows along each dimension: the size of the output."""


def each(setting: Any, dimensions: int) -> tuple[Any, ...]:
    """A setting of torch's as one entry a dimension."""
    entries = (setting,) if setting is None or isinstance(setting, int) else tuple(setting)
    return entries * dimensions if len(entries) == 1 else entries


def height_and_width(along: Shape) -> tuple[int, int]:
    """Sizes along one or two dimensions as height and width."""
    return (1, along[0]) if len(along) == 1 else (along[0], along[1])


def image_of_rank(rank: int, example: Shape) -> Shape:
    """The shape of one image of some dimensions, from that of an image or a batch. Raises DataError for others."""
    if len(example) not in (rank, rank + 1) or 0 in example[len(example) - rank :]:
        raise DataError(f"the example has shape {example}: give one image of {rank} dimensions, or a batch of them")
    return example[len(example) - rank :]


def convolution_length(length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int) -> int:
    """Positions of a kernel along a dimension; below 1 if the kernel does not fit.

    padding: zeros before and after.
    """
    return (length + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


def pooling_length(length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Positions of a pooling window along a dimension; below 1 if it does not fit.

    With `ceil_mode` a last window may run over the end, but it must start inside the input or its left padding.
    """
    span = length + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return span // stride + 1
    positions = -(-span // stride) + 1
    return positions - 1 if (positions - 1) * stride >= length + padding else positions


def pooling_windows(
    length: int, kernel: int, stride: int, padding: int, dilation: int, positions: int
) -> tuple[tuple[int, ...], ...]:
    """For each position of a window: the input elements in it, in order; padding left out."""
    return tuple(
        tuple(element for element in range(start, start + dilation * kernel, dilation) if 0 <= element < length)
        for start in (position * stride - padding for position in range(positions))
    )


def average_divisors(
    length: int, kernel: int, stride: int, padding: int, positions: int, count_include_pad: bool
) -> tuple[int, ...]:
    """For each position of an averaging window: the elements that it counts along this dimension.

    Padding counts if `count_include_pad`; what lies beyond the padding (a last window of `ceil_mode`) never does.
    """
    divisors: list[int] = []
    for position in range(positions):
        start = position * stride - padding
        stop = min(start + kernel, length + padding)
        divisors.append(stop - start if count_include_pad else min(stop, length) - max(start, 0))
    return tuple(divisors)
