"""Where windows lie: positions and divisors of pooling along one dimension.

The rules are those of torch.nn (`MaxPool2d`, `AvgPool2d`), written out so that the bit-exact network does not rest on
the library that it is compared with. How many windows there are: `graph/shapes.py`.
"""

from __future__ import annotations


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
