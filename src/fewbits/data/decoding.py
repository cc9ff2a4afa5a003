"""All pictures of a data set into one array a part: their headers first, then their pixels.

A large array lies in a temporary file that is mapped, so that memory stays bounded however many pictures there are.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewbits.data.dataset import Array
from fewbits.data.pictures import notes_on, one_size, read_header, read_pixels
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
    headers = {part: [read_header(one.get(), one.name) for one in stored] for part, stored in parts.items()}
    every = [header for part in parts for header in headers[part]]
    channels, height, width, dtype = one_size(every, [one.name for stored in parts.values() for one in stored])
    images: dict[str, Array] = {}
    for part, stored in parts.items():
        images[part] = _room((len(stored), channels, height, width), dtype)
        for index, (one, header) in enumerate(zip(stored, headers[part], strict=True)):
            images[part][index] = read_pixels(one.get(), one.name, header, channels)
    return images, notes_on(every)


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
