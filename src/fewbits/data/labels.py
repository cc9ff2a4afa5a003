"""Labels as users store them (numbers from any start, text, one-hot, booleans) as classes 0, 1, 2, ...

All parts are mapped by one rule, which is found from all of them:

- whole numbers from 0 on stay as they are; from 1 on, each counts one less;
- other whole numbers, texts and booleans are numbered in the order of the training part's values;
- one-hot rows, N x classes, are the column of their 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fewbits.arguments import shown
from fewbits.data.dataset import Array
from fewbits.errors import DataError

_NAMED = 5
"""Labels that a note or an error lists before it only counts them."""

_NUMBER_THEM = "numpy.unique of all parts' labels, with return_inverse=True, numbers any from 0"


@dataclass(frozen=True, eq=False)
class ClassNumbers:
    """Labels as classes."""

    parts: tuple[Array, ...]
    """int64, N, in the order in which the parts were given."""

    names: tuple[str, ...] = ()
    """What the classes are called, where labels were text or columns; their number is that of the classes."""

    notes: tuple[str, ...] = ()
    """How labels were mapped, if they were; which classes have no training image."""


@dataclass(frozen=True, eq=False)
class _Part:
    """Labels of one part, before they are mapped."""

    kind: str
    """`numbers`, `booleans`, `text` or `one-hot`."""

    values: Array
    """int64 or text, N."""

    columns: int = 0
    """Of one-hot labels."""


def class_numbers(parts: Sequence[Array], where: Sequence[str]) -> ClassNumbers:
    """The classes of labels, the training part first.

    parts: each N, or N x 1, numbers, booleans or text; or N x classes, one-hot. where: what each is called in messages:
    `photos.npz: y_train`.
    Raises DataError for labels of another kind or shape, numbers that are not whole, NaN or negative, rows that are
    not one-hot, and a label that no training image has and that no rule maps.
    """
    told = [_part(labels, name) for labels, name in zip(parts, where, strict=True)]
    kinds = {part.kind for part in told}
    if kinds == {"numbers", "booleans"}:
        kinds = {"numbers"}
    if len(kinds) > 1:
        listed = " but ".join(f"{name} holds {part.kind}" for part, name in zip(told, where, strict=True))
        raise DataError(f"{listed}: store all alike")
    rules = {"numbers": _of_numbers, "booleans": _numbered, "text": _numbered, "one-hot": _of_columns}
    return rules[kinds.pop()](told, where)


def without_training_image(labels: Array, classes: int, names: Sequence[str] = ()) -> tuple[str, ...]:
    """A note of the classes that the training labels (int64, N) leave out; none if they show all."""
    absent = np.setdiff1d(np.arange(classes), labels)
    if not absent.size:
        return ()
    listed = _listed([names[index] if names else index for index in absent[: _NAMED + 1].tolist()], absent.size)
    return (f"no training image is of class {listed}",)


def _part(labels: Array, where: str) -> _Part:
    """One part, its kind told."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    kind, dtype = labels.dtype.kind, labels.dtype
    if labels.ndim not in (1, 2) or kind not in "iufbUS" or (labels.ndim == 2 and kind in "US"):
        raise DataError(
            f"{where} must be N labels (whole numbers, text or booleans), or N x classes one-hot, not {dtype} of "
            f"{labels.shape}"
        )
    if labels.ndim == 2:
        return _Part("one-hot", _column(labels, where), labels.shape[1])
    if kind == "S":
        labels = _decoded(labels, where)
    if kind in "US":
        return _Part("text", labels)
    if kind == "b":
        return _Part("booleans", labels.astype(np.int64))
    return _Part("numbers", _whole(labels, where))


def _whole(labels: Array, where: str) -> Array:
    """Numbers as int64. Raises DataError for those that are none of its."""
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise DataError(f"{where} holds NaN or infinity: leave these images out")
        if (labels != np.floor(labels)).any():
            fraction = labels[labels != np.floor(labels)][0]
            raise DataError(f"{where} holds {fraction:g}, which is no class: labels must be whole numbers")
    if labels.size and not (float(labels.min()) > -(2**62) and float(labels.max()) < 2**62):
        raise DataError(f"{where} reaches from {labels.min()} to {labels.max()}, which are no classes: {_NUMBER_THEM}")
    return labels.astype(np.int64)


def _decoded(labels: Array, where: str) -> Array:
    """Byte strings as text."""
    try:
        return np.strings.decode(labels, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} holds byte strings that are not UTF-8 ({error.reason}): store text") from None


def _column(rows: Array, where: str) -> Array:
    """The column of each row's 1. Raises DataError for a row that has something else than one 1 and zeros."""
    is_hot = (rows == 1).sum(axis=1) == 1
    is_hot &= (rows == 0).sum(axis=1) == rows.shape[1] - 1
    if not is_hot.all():
        row = int(np.flatnonzero(~is_hot)[0])
        raise DataError(
            f"{where} is N x {rows.shape[1]} but not one-hot: row {row} is {shown(rows[row].tolist())}; store one "
            "label an image, such as y.argmax(1) for scores"
        )
    return rows.argmax(axis=1).astype(np.int64)


def _of_columns(parts: Sequence[_Part], where: Sequence[str]) -> ClassNumbers:
    columns = parts[0].columns
    for part, name in zip(parts, where, strict=True):
        if part.columns != columns:
            raise DataError(f"{where[0]} has {columns} columns but {name} {part.columns}: one for each class")
    note = f"one-hot labels taken as classes 0 to {columns - 1}, the number of their column"
    names = tuple(str(column) for column in range(columns))
    absent = without_training_image(parts[0].values, columns)
    return ClassNumbers(tuple(part.values for part in parts), names, (note, *absent))


def _of_numbers(parts: Sequence[_Part], where: Sequence[str]) -> ClassNumbers:
    """Whole numbers: from 0 or 1 on shifted, others numbered."""
    values = [part.values for part in parts]
    train = values[0]
    if not train.size:
        return ClassNumbers(tuple(values))
    every: Array = np.unique(np.concatenate(values))
    low, high = int(every[0]), int(every[-1])
    if low < 0 and every.tolist() != [-1, 1]:
        raise DataError(
            f"{' and '.join(where)} reach from {low} to {high}: a negative label mostly marks an image without one; "
            f"leave such images out, or, if they are classes, {_NUMBER_THEM}"
        )
    if low not in (0, 1):
        return _numbered(parts, where)
    notes = () if low == 0 else (f"labels 1 to {high} taken as classes 0 to {high - 1}",)
    classes = int(train.max()) + 1 - low
    if classes <= len(train):  # else they cannot be split, and that is what is said
        notes = (*notes, *without_training_image(train - low, classes))
    return ClassNumbers(tuple(one - low for one in values), notes=notes)


def _numbered(parts: Sequence[_Part], where: Sequence[str]) -> ClassNumbers:
    """Any values: numbered in the order of those of the training part."""
    kind, known = parts[0].kind, np.unique(parts[0].values)
    texts = [_text(value, kind) for value in known]
    for part, name in zip(parts[1:], where[1:], strict=True):
        unknown: Array = np.setdiff1d(part.values, known)
        if unknown.size:
            close = difflib.get_close_matches(_text(unknown[0], kind), texts, n=1)
            hint = f"; did you mean {close[0]!r}?" if close and kind == "text" else ""
            listed = _listed([_shown(value, kind) for value in unknown[: _NAMED + 1]], unknown.size)
            raise DataError(
                f"{name} holds {listed}, which no training image has ({where[0]}): train on images of each class, or "
                f"leave these out{hint}"
            )
    listed = _listed([_shown(value, kind) for value in known[: _NAMED + 1]], known.size)
    order = {"text": "in the order of text", "booleans": "False first"}.get(kind, "in their order")
    numbers = "class 0" if known.size == 1 else f"classes 0 to {known.size - 1}"
    note = f"labels {listed} taken as {numbers}, {order}"
    return ClassNumbers(tuple(np.searchsorted(known, part.values) for part in parts), tuple(texts), (note,))


def _text(value: object, kind: str) -> str:
    return str(bool(value)) if kind == "booleans" else str(value)


def _shown(value: object, kind: str) -> str:
    return shown(str(value)) if kind == "text" else _text(value, kind)


def _listed(entries: Sequence[object], count: int) -> str:
    """The first of some entries in words: `a, b and 7 more`."""
    listed = ", ".join(str(entry) for entry in entries[:_NAMED])
    return f"{listed} and {count - _NAMED} more" if count > _NAMED else listed
