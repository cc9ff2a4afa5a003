"""IDX, the format of the original MNIST files (and of Fashion-MNIST), plain or compressed by gzip.

Format: http://yann.lecun.com/exdb/mnist, "the IDX file format": two zero bytes, type code, number of dimensions,
then each size as a big-endian 32-bit integer, then the values in row-major order.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from fewbits.data.dataset import Array, Arrays
from fewbits.data.files import MAX_BYTES, existing, read_bytes
from fewbits.errors import DataError

_UINT8 = 0x08


def read_idx(path: Path, dimensions: int) -> Array:
    """The uint8 array in an IDX file.

    Raises DataError if the file is not IDX, holds another type or number of dimensions, is cut short or too long.
    """
    content = read_bytes(path, MAX_BYTES)
    header = 4 + 4 * dimensions
    if len(content) < 4 or any(content[:2]):
        raise DataError(f"{path} is not an IDX file: it does not start with two zero bytes")
    if content[2] != _UINT8 or content[3] != dimensions:
        raise DataError(
            f"{path} must hold unsigned bytes in {dimensions} dimensions (IDX type 0x08{dimensions:02x}), "
            f"not type 0x{content[2]:02x}{content[3]:02x}"
        )
    if len(content) < header:
        raise DataError(f"{path} is truncated: its header of {header} bytes is cut off at {len(content)}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    promised, found = math.prod(shape), len(content) - header
    if promised != found:
        state = "truncated" if found < promised else "too long"
        raise DataError(f"{path} is {state}: its header promises {promised} bytes of data, it has {found}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def find_idx(folder: Path) -> tuple[Path, Path, Path, Path] | None:
    """Training images, training labels, test images and test labels of an IDX folder; None if one is missing."""
    found: list[Path] = []
    for part in ("train", "t10k"):
        for content, dimensions in (("images", 3), ("labels", 1)):
            stems = (f"{part}-{content}-idx{dimensions}-ubyte", f"{part}-{content}.idx{dimensions}-ubyte")
            path = existing(folder, *(stem + suffix for stem in stems for suffix in ("", ".gz")))
            if path is None:
                return None
            found.append(path)
    return (found[0], found[1], found[2], found[3])


def read_idx_folder(paths: tuple[Path, Path, Path, Path]) -> Arrays:
    """Read the four files that `find_idx` found.

    Raises DataError like `read_idx`.
    """
    train_images, train_labels, test_images, test_labels = paths
    return Arrays(
        read_idx(train_images, 3)[:, np.newaxis],
        read_idx(train_labels, 1).astype(np.int64),
        read_idx(test_images, 3)[:, np.newaxis],
        read_idx(test_labels, 1).astype(np.int64),
    )
