"""Images in numpy's .npz: keys x_train, y_train, x_test, y_test, and x_val, y_val where there is a validation part.

Images are N x H x W, N x channels x H x W or N x H x W x channels of any numeric type, labels as `labels.py` says.
More keys may say what the arrays do not: `layout` ("NCHW" or "NHWC"), `value_range` (two numbers), `classes` (names),
`normalized` (True for images that are inputs already).
How they are read and mapped: `mapped.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fewbits.arguments import shown
from fewbits.data.assembly import StoredPart, assembled
from fewbits.data.dataset import Array, Arrays
from fewbits.data.mapped import read_arrays, unpacked_notes
from fewbits.errors import DataError

_STATED = ("layout", "value_range", "classes", "normalized")
_VALIDATION = ("x_val", "y_val")


@dataclass(frozen=True, eq=False)
class _Part:
    """One part of a set as stored, and the count of images marked as not exact."""

    stored: StoredPart
    inexact: int
    stated: dict[str, Array]
    """What the file states of its arrays, by key."""

    notes: tuple[str, ...]
    """Of arrays that could not be mapped."""


def read_npz(path: Path) -> Arrays:
    """The parts in one file.

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
    if len({part.stored.images.shape[1:] for part in parts}) > 1:
        raise DataError(f"{train[0].parent}: the training files hold images of different sizes")
    inexact = sum(part.inexact for part in parts)
    notes = (f"{inexact} training images and {tested.inexact} test images are lossy stand-ins, marked in the files",)
    stated = tested.stated
    unpacked = dict.fromkeys(note for part in (*parts, tested) for note in part.notes)
    return assembled(
        _joined([part.stored for part in parts]),
        tested.stored,
        _read_validation(test) if len(train) == 1 else None,
        layout=_text(test, stated["layout"]) if "layout" in stated else None,
        value_range=_range(test, stated["value_range"]) if "value_range" in stated else None,
        classes=_class_names(test, stated["classes"]) if "classes" in stated else (),
        notes=(*(notes if inexact or tested.inexact else ()), *unpacked),
        is_normalized="normalized" in stated and _truth(test, stated["normalized"]),
    )


def _joined(parts: Sequence[StoredPart]) -> StoredPart:
    """One part of several files; that of one file is taken as it is."""
    if len(parts) == 1:
        return parts[0]
    images, labels = (np.concatenate(each) for each in zip(*((one.images, one.labels) for one in parts), strict=True))
    return StoredPart(images, labels, parts[0].images_called, parts[0].labels_called)


def _read_part(path: Path, part: str) -> _Part:
    """Read `train` or `test`."""
    keys = (f"x_{part}", f"y_{part}")
    arrays = read_arrays(path, required=keys, optional=(f"exact_{part}", *_STATED))
    exact = arrays.get(f"exact_{part}")
    inexact = 0 if exact is None else int(np.count_nonzero(exact == 0))
    stated = {key: arrays[key] for key in _STATED if key in arrays}
    stored = StoredPart(arrays[keys[0]], arrays[keys[1]], *(f"{path}: {key}" for key in keys))
    return _Part(stored, inexact, stated, unpacked_notes(path, arrays))


def _read_validation(path: Path) -> StoredPart | None:
    """The validation part; None if the file has none. Raises DataError for half of one."""
    arrays = read_arrays(path, required=(), optional=_VALIDATION)
    if not arrays:
        return None
    if len(arrays) == 1:
        raise DataError(f"{path} has {next(iter(arrays))} alone: a validation part is {' and '.join(_VALIDATION)}")
    images, labels = (arrays[key] for key in _VALIDATION)
    return StoredPart(images, labels, *(f"{path}: {key}" for key in _VALIDATION))


def _text(path: Path, value: Array) -> str:
    if value.ndim or value.dtype.kind != "U":
        raise DataError(f"{path}: layout must be a text, NCHW or NHWC, not {shown(value.tolist())}")
    return str(value)


def _range(path: Path, value: Array) -> tuple[float, float]:
    if value.shape != (2,) or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise DataError(f"{path}: value_range must be two numbers, as [0, 255], not {shown(value.tolist())}")
    return (float(value[0]), float(value[1]))


def _truth(path: Path, value: Array) -> bool:
    if value.ndim or value.dtype.kind != "b":
        raise DataError(f"{path}: normalized must be True or False, not {shown(value.tolist())}")
    return bool(value)


def _class_names(path: Path, value: Array) -> tuple[str, ...]:
    if value.ndim != 1 or value.dtype.kind != "U":
        raise DataError(f"{path}: classes must be a list of names, that of class 0 first, not {shown(value.tolist())}")
    return tuple(value.tolist())
