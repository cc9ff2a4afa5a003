"""Where the channels of stored images are: N x channels x H x W (NCHW), N x H x W x channels (NHWC) or N x H x W.

The shape tells it. Of the second and the last size,

1. the one that is 1 or 3 counts the channels, if the other is neither;
2. else the one that is smaller than all other sizes of an image;
3. else the shape does not tell, and the layout must be stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fewbits.arguments import shown
from fewbits.data.dataset import Array
from fewbits.errors import DataError

LAYOUTS = ("NCHW", "NHWC")

_USUAL = (1, 3)
"""Channels of grey and of color images."""


@dataclass(frozen=True, eq=False)
class ChannelsFirst:
    """Images, N x channels x H x W: a view of the stored ones, or a copy where their type is none of fewbits'."""

    images: Array
    notes: tuple[str, ...] = ()
    """Which layout was found, if it was not stated, and which type was taken for another."""

    is_retyped: bool = False
    """Whether they were stored as wider integers than their values need."""


def all_channels_first(
    parts: Sequence[Array], where: Sequence[str], *, layout: str | None = None, unless_told: str | None = None
) -> tuple[tuple[Array, ...], tuple[str, ...]]:
    """The images of all parts as N x channels x H x W of one type, and notes of what was found.

    As `channels_first` does it with each.
    """
    found = [
        channels_first(images, name, layout=layout, unless_told=unless_told)
        for images, name in zip(parts, where, strict=True)
    ]
    images = tuple(one.images for one in found)
    if all(one.is_retyped for one in found):
        wider = np.result_type(*(one.dtype for one in images))
        images = tuple(one.astype(wider, copy=False) for one in images)
    return images, tuple(dict.fromkeys(note for one in found for note in one.notes))


def channels_first(
    images: Array, where: str, *, layout: str | None = None, unless_told: str | None = None
) -> ChannelsFirst:
    """Images of any layout and numeric type, checked.

    images: N x H x W, or four-dimensional. where: what they are called in messages: `photos.npz: x_train`. layout: one
    of `LAYOUTS` if it is stated. unless_told: the layout where the shape does not tell it; None refuses.
    Raises DataError if the shape does not tell, or for another shape or type.
    """
    if images.dtype.kind not in "iufb":
        raise DataError(f"{where} must hold numbers, such as uint8, not {images.dtype} of {images.shape}")
    typed, notes = _pixels(images, where)
    moved, layout_notes = channels_moved(typed, where, layout=layout, unless_told=unless_told)
    is_retyped = images.dtype.kind == "i" or typed.dtype != images.dtype
    return ChannelsFirst(moved, (*layout_notes, *notes), is_retyped)


def channels_moved(
    images: Array, where: str, *, layout: str | None = None, unless_told: str | None = None
) -> tuple[Array, tuple[str, ...]]:
    """As `channels_first`, for images of any type, which stays: a view, and a note of a layout that was not stated."""
    if layout is not None and layout not in LAYOUTS:
        raise DataError(f"{where}: layout {shown(layout)} is not known: give one of {', '.join(LAYOUTS)}")
    if images.ndim == 3:
        return images[:, np.newaxis], ()
    if images.ndim != 4:
        hint = "; reshape flat images to N x H x W" if images.ndim == 2 else ""
        raise DataError(
            f"{where} must be N x H x W, N x channels x H x W or N x H x W x channels, not {images.shape}{hint}"
        )
    told = _told_by(images.shape[1:])
    found = layout or told or unless_told
    if found is None:
        raise DataError(
            f"{where} of {_times(images.shape[1:])} may be channels x H x W or H x W x channels: state the layout, "
            "NCHW or NHWC (in an .npz file by a key 'layout'), or store images of one channel as N x H x W"
        )
    named = {"NCHW": "N x channels x H x W", "NHWC": "N x H x W x channels"}[found]
    note = f"images are stored as {named} ({found}, {'told by the shape' if told else 'as PyTorch has them'})"
    return images if found == "NCHW" else np.moveaxis(images, 3, 1), () if layout else (note,)


def _told_by(sizes: tuple[int, ...]) -> str | None:
    """The layout of an image's three sizes by the rule above; None if they do not tell it."""
    first, middle, last = sizes
    if (first in _USUAL) != (last in _USUAL) or sizes == (1, 1, 1):
        return "NCHW" if first in _USUAL else "NHWC"
    if first in _USUAL:
        return None
    if first < min(middle, last):
        return "NCHW"
    return "NHWC" if last < min(first, middle) else None


def _pixels(images: Array, where: str) -> tuple[Array, tuple[str, ...]]:
    """uint8, uint16 and floats as they are; other integers and booleans as the smallest of these that holds them."""
    if images.dtype.kind == "f" or images.dtype.str[1:] in ("u1", "u2"):
        return images, ()
    if images.dtype.kind == "b":
        return images.astype(np.uint8) * np.uint8(255), ("boolean images taken as uint8, False as 0 and True as 255",)
    low, high = (int(images.min()), int(images.max())) if images.size else (0, 0)
    if low < 0 or high > 65535:
        raise DataError(
            f"{where} is {images.dtype} from {low} to {high}: integers must lie in 0 to 255 or 0 to 65535; store "
            "values with a sign as float32"
        )
    taken = np.uint8 if high <= 255 else np.uint16
    note = f"{images.dtype} images from {low} to {high} taken as {np.dtype(taken)}"
    return images.astype(taken), (note,)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)
