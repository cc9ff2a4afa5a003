"""Images in numpy's .npz: keys x_train, y_train, x_test, y_test; images uint8, N x H x W or N x H x W x channels.

How they are read and mapped: `mapped.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fewbits.data.dataset import Array, Arrays
from fewbits.data.mapped import read_arrays, unpacked_notes
from fewbits.errors import DataError


@dataclass(frozen=True, eq=False)
class _Part:
    """One part of a set: images N x channels x H x W, int64 labels, count of images marked as not exact."""

    images: Array
    labels: Array
    inexact: int
    notes: tuple[str, ...]


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
    unpacked = dict.fromkeys(note for part in (*parts, tested) for note in part.notes)
    return Arrays(
        parts[0].images if len(parts) == 1 else np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tested.images,
        tested.labels,
        (*(notes if inexact or tested.inexact else ()), *unpacked),
    )


def _read_part(path: Path, part: str) -> _Part:
    """Read `train` or `test`."""
    arrays = read_arrays(path, required=(f"x_{part}", f"y_{part}"), optional=(f"exact_{part}",))
    images, labels, exact = arrays[f"x_{part}"], arrays[f"y_{part}"], arrays.get(f"exact_{part}")
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise DataError(
            f"{path}: x_{part} must be uint8, N x H x W or N x H x W x 3 (or 1), not {images.dtype} of {images.shape}"
        )
    labels = _checked_labels(path, part, labels)
    channels_first = images[:, np.newaxis] if images.ndim == 3 else np.moveaxis(images, 3, 1)
    inexact = 0 if exact is None else int(np.count_nonzero(exact == 0))
    return _Part(channels_first, labels.astype(np.int64), inexact, unpacked_notes(path, arrays))


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
