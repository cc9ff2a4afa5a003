"""How images become inputs: the range of values that is mapped to 0 to 1, then mean and deviation by channel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch

from fewbits.arguments import is_real, shown
from fewbits.data.images import Array, Images
from fewbits.errors import DataError

Numbers = float | Sequence[float]
"""One number for all channels, or one for each."""

_WHOLE = {torch.uint8: np.uint16, torch.uint16: np.uint64}
"""What squares of integer pixels are computed in."""

_COMMON_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0))
"""What floats of images are stored in: torchvision's for floats, that of networks which end in tanh, and those of 8
and 16 bits."""


@dataclass(frozen=True)
class Normalization:
    """Inputs are ((value - low) / (high - low) - mean) / std."""

    value_range: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    is_stated: bool
    """Whether mean and std were given, not computed."""

    notes: tuple[str, ...] = ()
    """What was found about the range, where it was not stated."""


def normalization(
    name: str,
    train: Images,
    others: Sequence[tuple[str, Images]],
    *,
    value_range: Sequence[float] | None,
    mean: Numbers | None,
    std: Numbers | None,
) -> Normalization:
    """What was stated, and from the training images what was not.

    others: the other images by name, which are looked through for what is no number. Without `value_range`, uint8 has
    0 to 255, uint16 the bits that its largest training value needs, floats the first of the common ranges that holds
    the training images', or else their extremes. Without mean and std, grey images have 0 and 1, color images the
    training images' mean of each channel and one deviation around those means.
    Raises DataError for a stated value that cannot be, and for images that are NaN or infinite.
    """
    channels = train.shape[1]
    if (mean is None) != (std is None):
        given, left = ("mean", "std") if std is None else ("std", "mean")
        raise DataError(f"data {name!r}: {given} is given without {left}: give both, or none to have them computed")
    limits = (0.0, 255.0) if value_range is None else _stated_range(name, value_range)
    notes: tuple[str, ...] = ()
    if train.dtype != torch.uint8:
        low, high = _extremes(name, "training", train)
        for part, images in others:
            _extremes(name, part, images)
        if value_range is None:
            limits, notes = _found_range(train.dtype, low, high)
    if mean is not None and std is not None:
        means, stds = _by_channel(name, "mean", mean, channels), _by_channel(name, "std", std, channels)
        if min(stds) < np.finfo(np.float32).tiny:
            raise DataError(f"data {name!r}: std must be above 0 for each channel, not {shown(std)}")
        if value_range is None and not all(0 <= one <= 1 for one in means):
            raise DataError(
                f"data {name!r}: mean {shown(mean)} must lie in 0 to 1, since values from {limits[0]:g} to "
                f"{limits[1]:g} are mapped to 0 to 1 first, as torchvision does: divide mean and std by "
                f"{limits[1] - limits[0]:g}, or give value_range = [0, 1] too, which maps nothing"
            )
        return Normalization(limits, means, stds, is_stated=True, notes=notes)
    if channels == 1:
        return Normalization(limits, (0.0,), (1.0,), is_stated=False, notes=notes)
    return Normalization(limits, *statistics(train, limits), is_stated=False, notes=notes)


def statistics(images: Images, value_range: tuple[float, float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean by channel and one standard deviation around those means, after the range is mapped to 0 to 1.

    Integers are summed as integers, so exactly however many images there are. A deviation of 0 counts as 1.
    """
    whole = not images.dtype.is_floating_point
    return (_of_integers if whole else _of_floats)(images, *value_range)


def _of_integers(images: Images, low: float, high: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    count, channels, height, width = images.shape
    total: Array = np.zeros(channels, dtype=np.int64)
    squares = 0
    for pixels in _arrays(images):
        total += pixels.sum(axis=(0, 2, 3), dtype=np.int64)
        squares += int(np.square(pixels, dtype=_WHOLE[images.dtype]).sum(dtype=np.uint64))
    pixels_a_channel = count * height * width
    mean: Array = total / pixels_a_channel
    variance = squares / (pixels_a_channel * channels) - float(np.square(mean).mean())
    std = float(np.sqrt(max(variance, 0.0))) / (high - low)
    return tuple(((mean - low) / (high - low)).tolist()), (std if std > 0 else 1.0,) * channels


def _of_floats(images: Images, low: float, high: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    count, channels, height, width = images.shape
    pixels_a_channel = count * height * width
    total: Array = np.zeros(channels)
    for pixels in _arrays(images):
        total += pixels.sum(axis=(0, 2, 3), dtype=np.float64)
    mean: Array = total / pixels_a_channel
    squares = 0.0
    for pixels in _arrays(images):
        squares += float(np.square(pixels - mean.reshape(1, -1, 1, 1)).sum())
    std = math.sqrt(squares / (pixels_a_channel * channels)) / (high - low)
    resolved = std > np.finfo(np.float32).eps  # what float32 cannot tell apart is one color
    return tuple(((mean - low) / (high - low)).tolist()), (std if resolved else 1.0,) * channels


def _stated_range(name: str, value_range: Any) -> tuple[float, float]:
    """Two numbers in order."""
    values = _numbers(value_range)
    if values is None or len(values) != 2 or not np.float32(values[0]) < np.float32(values[1]):
        raise DataError(
            f"data {name!r}: value_range must be two finite numbers, the lower first, as [0, 255], not "
            f"{shown(value_range)}"
        )
    return (values[0], values[1])


def _by_channel(name: str, key: str, value: Any, channels: int) -> tuple[float, ...]:
    """A number for each channel."""
    if _is_single(value):
        return (float(value),) * channels
    values = _numbers(value)
    if values is None:
        raise DataError(f"data {name!r}: {key} must be a finite number for each channel, not {shown(value)}")
    if len(values) != channels:
        raise DataError(
            f"data {name!r}: {key} has {len(values)} numbers, but the images have {channels} channels: give {channels}"
        )
    return values


def _numbers(value: Any) -> tuple[float, ...] | None:
    """A list, tuple, array or tensor of finite numbers; None if it is something else."""
    listed: Any = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(listed, (list, tuple)):
        return None
    entries = cast(Sequence[Any], listed)
    return tuple(float(one) for one in entries) if all(map(_is_single, entries)) else None


def _is_single(value: object) -> bool:
    """Whether a value is a finite number for float32 too."""
    limit = float(np.finfo(np.float32).max)
    return is_real(value, -limit, limit)


def _extremes(name: str, part: str, images: Images) -> tuple[float, float]:
    """The smallest and the largest value. Raises DataError for NaN and infinity, as float32 holds them."""
    lows, highs = zip(*((chunk.min(), chunk.max()) for chunk in _arrays(images)), strict=True)
    low, high = float(np.min(lows)), float(np.max(highs))
    if math.isfinite(low) and math.isfinite(high):
        return low, high
    bad = next(number for number, image in enumerate(images) if not image.isfinite().all())
    raise DataError(
        f"data {name!r}: image {bad} of the {part} images holds NaN, infinity or a value beyond float32: leave it "
        "out, or replace such values"
    )


def _arrays(images: Images) -> Iterator[Array]:
    return (chunk.numpy() for chunk in images.chunks())


def _found_range(dtype: torch.dtype, low: float, high: float) -> tuple[tuple[float, float], tuple[str, ...]]:
    """The range of values where none is stated, and a note of how it was found. low, high: of the training images."""
    if dtype == torch.uint16:
        bits = max(int(high).bit_length(), 1)
        found, why = (0.0, float(2**bits - 1)), f"the {bits} bits that they need"
    elif low == high:
        found, why = (low, low + 1), "one value only"
    else:
        found = next((one for one in _COMMON_RANGES if one[0] <= low and high <= one[1]), (low, high))
        why = "their extremes" if found == (low, high) else "the usual range that holds them"
    return found, (
        f"no value_range is stated: training values reach from {low:g} to {high:g}, so {found[0]:g} to {found[1]:g} "
        f"({why}) counts as 0 to 1",
    )
