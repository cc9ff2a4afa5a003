"""All pictures of a data set into one array a part: their headers first, then their pixels.

A large array lies in a temporary file that is mapped, so that memory stays bounded however many pictures there are.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewbits.data.dataset import Array
from fewbits.data.pictures import Header, notes_on, one_size, read_header, read_pixels
from fewbits.errors import DataError

IN_MEMORY_BYTES = 256 * 1024**2
"""Pixels of one part from which on they lie in a temporary file that is mapped, and not in memory."""


@dataclass(frozen=True)
class Stored:
    """A picture in a file, or as a file's content."""

    name: str
    """In messages."""

    get: Callable[[], Path | bytes]


def decoded(parts: Mapping[str, Sequence[Stored]]) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The pictures of each part, N x channels x H x W of one type, and notes of what was done with them.

    Their sizes are compared before the first is decoded. Raises DataError as `read_pixels` and `one_size` do, or if
    there is no room for them.
    """
    count = sum(map(len, parts.values()))
    looked_at, taken = (_Progress(what, count) for what in ("looked at", "decoded"))
    headers: dict[str, list[Header]] = {}
    for part, stored in parts.items():
        headers[part] = [read_header(one.get(), one.name) for one in looked_at.counted(stored)]
    looked_at.end()
    every = [header for part in parts for header in headers[part]]
    channels, height, width, dtype = one_size(every, [one.name for stored in parts.values() for one in stored])
    images: dict[str, Array] = {}
    for part, stored in parts.items():
        images[part] = _room((len(stored), channels, height, width), dtype)
        for index, (one, header) in enumerate(zip(taken.counted(stored), headers[part], strict=True)):
            images[part][index] = read_pixels(one.get(), one.name, header, channels)
    taken.end()
    return images, notes_on(every)


class _Progress:
    """How many pictures are done, once a second on a terminal; nothing where they take less, or nobody sees it."""

    def __init__(self, what: str, count: int) -> None:
        self._what, self._count, self._done = what, count, 0
        self._next = time.monotonic() + _SECONDS if sys.stderr.isatty() else math.inf
        self._is_shown = False

    def counted(self, stored: Sequence[Stored]) -> Iterator[Stored]:
        """The pictures, each counted."""
        for one in stored:
            yield one
            self._done += 1
            now = time.monotonic()
            if now >= self._next:
                self._next, self._is_shown = now + _SECONDS, True
                sys.stderr.write(f"\r{self._done:,} of {self._count:,} pictures {self._what}")
                sys.stderr.flush()

    def end(self) -> None:
        """Leave the line empty."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


_SECONDS = 1.0
"""Between two lines of progress."""


def _room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array to be filled: in memory, or mapped from a temporary file that goes with it. Raises DataError."""
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size < IN_MEMORY_BYTES:
        return np.empty(shape, dtype)
    try:
        with tempfile.TemporaryFile(prefix="fewbits-") as file:
            if hasattr(os, "posix_fallocate"):  # a full disk is to be told now, not by a signal at the first write
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        raise DataError(
            f"no room for {size:,} bytes of decoded pictures in {tempfile.gettempdir()}: {error.strerror}; set TMPDIR "
            "to a folder with room"
        ) from None
