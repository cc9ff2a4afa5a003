"""Images of a split: some rows of an array, which may lie in a file that is mapped into memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewbits.errors import DataError

Array = NDArray[Any]

CHUNK_PIXELS = 1 << 20
"""Pixels, of all channels, that are read at a time by what looks at all images: 8 MB in float64."""

STORED: dict[str, torch.dtype] = {
    "u1": torch.uint8,
    "u2": torch.uint16,
    "f2": torch.float32,
    "f4": torch.float32,
    "f8": torch.float32,
}
"""What images may be stored as, by numpy's kind and bytes in any byte order, and what they come as."""

_NUMPY = {torch.uint8: np.uint8, torch.uint16: np.uint16, torch.float32: np.float32}


class Images:
    """A view of images: the rows of an array that belong to a split. Nothing is copied but what is asked for.

    `images[0:256]`, and likewise a list, an int64 tensor or an array of numbers, gives those images as a new tensor,
    N x channels x height x width of `dtype`; `images[3]` gives one, channels x height x width; `images[:]` all.
    """

    def __init__(self, source: Array | Tensor | Images, rows: Array | None = None) -> None:
        """source: N x channels x height x width, as `STORED` says. rows: numbers (int64) of the images that belong to
        this view, in its order; None for all. Of another view, rows of those that it has.

        Raises DataError if the source has another type or shape.
        """
        if isinstance(source, Images):
            if source.rows is not None:
                rows = source.rows if rows is None else source.rows[rows]
            source = source.source
        array: Array = source.numpy() if isinstance(source, Tensor) else np.asarray(source)
        if array.ndim != 4 or array.dtype.str[1:] not in STORED:
            raise DataError(
                "images must be uint8, uint16 or float32, N x channels x height x width, not "
                f"{array.dtype} of shape {tuple(array.shape)}"
            )
        self.source: Array = array
        self.rows: Array | None = rows
        self.dtype: torch.dtype = STORED[array.dtype.str[1:]]

    def __len__(self) -> int:
        return len(self.source) if self.rows is None else len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Images, channels, height and width."""
        channels, height, width = self.source.shape[1:]
        return (len(self), channels, height, width)

    def __getitem__(self, which: int | slice | Tensor | Array | Sequence[int] | tuple[Any, ...]) -> Tensor:
        """The images of these numbers as a new tensor; of a tuple the first chooses images, the others parts of them.

        Raises IndexError for a number that there is not.
        """
        if isinstance(which, tuple):
            first, *others = which
            return self[first][tuple(others) if isinstance(first, int) else (slice(None), *others)]
        key: Any = which.numpy() if isinstance(which, Tensor) else which
        taken: Array = self.source[key if self.rows is None else self.rows[key]]
        with np.errstate(over="ignore"):  # what float32 does not hold becomes infinite, which is refused on loading
            copied: Array = np.array(taken, dtype=_NUMPY[self.dtype], order="C")
        return torch.from_numpy(copied)  # pyright: ignore[reportUnknownMemberType]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[number] for number in range(len(self)))

    @property
    def chunk_size(self) -> int:
        """How many images `chunks` takes at a time."""
        return max(1, CHUNK_PIXELS // max(1, math.prod(self.shape[1:])))

    def chunks(self) -> Iterator[Tensor]:
        """All images in order, some at a time."""
        return (self[start : start + self.chunk_size] for start in range(0, len(self), self.chunk_size))

    def all_rows(self) -> Array:
        """The numbers (int64) of the view's images in `source`."""
        return np.arange(len(self.source)) if self.rows is None else self.rows
