"""Images in numpy's .npz: keys x_train, y_train, x_test, y_test; images uint8, N x H x W or N x H x W x channels.

Nothing is unpickled, and the size that an array's header promises is checked before anything is allocated.
"""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from fewbits.data.dataset import Array, Arrays
from fewbits.data.files import MAX_BYTES
from fewbits.errors import DataError

_READ_ERRORS = (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, eq=False)
class _Part:
    """One part of a set: images N x channels x H x W, int64 labels, count of images marked as not exact."""

    images: Array
    labels: Array
    inexact: int


def read_npz(path: Path) -> Arrays:
    """The train and test parts in one file.

    Raises DataError if the file is not .npz, is truncated, lacks a key, or an array has another type or shape.
    """
    return read_npz_parts([path], path)


def read_npz_parts(train: Sequence[Path], test: Path) -> Arrays:
    """Read a set whose training part lies in several files, in order, and its test part in another.

    Images that a file marks as not exact (bool arrays `exact_train`, `exact_test`) are counted in the notes.
    Raises DataError like `read_npz`.
    """
    parts = [_read_part(path, "train") for path in train]
    tested = _read_part(test, "test")
    if len({part.images.shape[1:] for part in parts}) > 1:
        raise DataError(f"{train[0].parent}: the training files hold images of different sizes")
    inexact = sum(part.inexact for part in parts)
    notes = (f"{inexact} training images and {tested.inexact} test images are lossy stand-ins, marked in the files",)
    return Arrays(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tested.images,
        tested.labels,
        notes if inexact or tested.inexact else (),
    )


def _read_part(path: Path, part: str) -> _Part:
    """Read `train` or `test`."""
    arrays = _read_arrays(path, required=(f"x_{part}", f"y_{part}"), optional=(f"exact_{part}",))
    images, labels, exact = arrays[f"x_{part}"], arrays[f"y_{part}"], arrays.get(f"exact_{part}")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise DataError(
            f"{path}: x_{part} must be uint8, N x H x W or N x H x W x 3 (or 1), not {images.dtype} of {images.shape}"
        )
    labels = _checked_labels(path, part, labels)
    channels_first = images[:, np.newaxis] if images.ndim == 3 else np.moveaxis(images, 3, 1)
    inexact = 0 if exact is None else int(np.count_nonzero(exact == 0))
    return _Part(channels_first, labels.astype(np.int64), inexact)


def _checked_labels(path: Path, part: str, labels: Array) -> Array:
    """N integers; N x 1 is taken as that."""
    given = f"{path}: y_{part} must be N integers, not {labels.dtype} of {labels.shape}"
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "iufb":
        raise DataError(f"{given}: if it is one-hot, store y.argmax(1)")
    if labels.ndim != 1:
        raise DataError(given)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError(f"{given}: some are NaN or infinite; leave these images out, then store y.astype('int64')")
    if labels.dtype.kind in "fb":
        raise DataError(f"{given}: store y.astype('int64')")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{given}: number the classes from 0, as numpy.unique(y, return_inverse=True)[1] does")
    return labels


def _read_arrays(path: Path, required: Sequence[str], optional: Sequence[str]) -> dict[str, Array]:
    """The arrays under the keys, those optional only if they are there."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            missing = [key for key in required if key not in members]
            if missing:
                raise DataError(f"{path} lacks {', '.join(missing)}; it has {', '.join(members) or 'nothing'}")
            keys = [*required, *(key for key in optional if key in members)]
            return {key: _read_member(path, archive, members[key]) for key in keys}
    except FileNotFoundError:
        raise DataError(f"no file {path}") from None
    except _READ_ERRORS as error:
        raise DataError(f"{path} is not a whole .npz file: {str(error) or type(error).__name__}") from error


def _read_member(path: Path, archive: zipfile.ZipFile, member: str) -> Array:
    """One array, after its promised size is compared with the size of the member."""
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(file)
    promised = math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        raise DataError(f"{path}: {member} holds Python objects, which are not read")
    if promised > min(MAX_BYTES, archive.getinfo(member).file_size):
        raise DataError(f"{path}: {member} promises {promised} bytes, more than it holds or than the limit {MAX_BYTES}")
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)
