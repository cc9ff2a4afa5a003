"""Data that a function of the user's makes: `package.module:function` or `path/file.py:function`, without arguments.

It returns one of

- a fewbits `Dataset`;
- a torch Dataset or DataLoader, or a Hugging Face DatasetDict or Dataset;
- a pair (train, test) or a triple (train, test, validation), each a torch Dataset, a DataLoader, or a pair (images,
  labels) of arrays or tensors;
- the four arrays (x_train, y_train, x_test, y_test);
- a dictionary of arrays with the keys of an .npz file, or of the parts `train`, `test` and `validation`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from torch import Tensor

from fewbits.arguments import shown
from fewbits.data.assembly import StoredPart, assembled
from fewbits.data.dataset import Array, Arrays, Dataset
from fewbits.data.hugging_face import arrays_of_hugging_face, is_hugging_face
from fewbits.data.torch_sets import arrays_of_torch, has_items
from fewbits.errors import DataError, FewbitsError, ModelError
from fewbits.models.source import ModelSource
from fewbits.models.user_function import find_function, imports_of, one_line
from fewbits.torch_data import raised_at, seeded

_PARTS = ("train", "test", "validation")

_RETURNS = (
    "a fewbits Dataset, a torch Dataset or DataLoader, (train, test) or (train, test, validation) of these or of "
    "(images, labels), the arrays (x_train, y_train, x_test, y_test), or a dictionary of either"
)


def call_user_function(name: str, source: ModelSource) -> Dataset | Arrays:
    """What the function of that name returns, as a data set or as arrays.

    It is imported and called with seeded generators of torch, numpy and Python, so that it draws the same in each
    process. What it prints goes to standard error. Raises DataError in one line, with the file and line where the
    user's code raised, or for what it returns.
    """
    try:
        with seeded(), contextlib.redirect_stdout(sys.stderr):
            make = find_function(name, source, "data")
            with imports_of(name, source):
                return _data(make(), name)
    except ModelError as error:
        raise DataError(str(error) if str(error).startswith("data ") else f"data {name!r}: {error}") from error
    except FewbitsError as error:
        raise DataError(f"data {name!r}: {error}") from error
    except (Exception, SystemExit) as error:
        raise DataError(f"data {name!r} raised {one_line(error)}{raised_at(error)}") from error


def _data(made: object, name: str) -> Dataset | Arrays:
    """A function's result by its form. Raises DataError for any other."""
    if isinstance(made, (Dataset, Arrays)):
        return made
    if is_hugging_face(made):
        return arrays_of_hugging_face(made, name)
    if isinstance(made, Mapping):
        return _of_mapping(cast(Mapping[Any, Any], made), name)
    if isinstance(made, (tuple, list)):
        return _of_sequence(cast(Sequence[Any], made), name)
    if has_items(made):
        return arrays_of_torch({"train": cast(Any, made)}, name)
    raise DataError(f"it must return {_RETURNS}, not {_described(made)}")


def _of_sequence(made: Sequence[Any], name: str) -> Arrays:
    if len(made) == 4 and all(_is_array(one) for one in made):
        keys = ("x_train", "y_train", "x_test", "y_test")
        return _of_arrays(dict(zip(keys, made, strict=True)))
    if len(made) in (2, 3) and all(_is_part(one) for one in made):
        return _of_parts(dict(zip(_PARTS, made, strict=False)), name)
    raise DataError(f"it must return {_RETURNS}, not {_described(made)}")


def _of_mapping(made: Mapping[Any, Any], name: str) -> Arrays:
    named = {"validation" if key in ("val", "valid") else key: value for key, value in made.items()}
    if "train" in named and set(named) <= set(_PARTS) and all(_is_part(one) for one in named.values()):
        return _of_parts(named, name)
    if "x_train" in named:
        return _of_arrays(named)
    raise DataError(f"it must return {_RETURNS}, not a dictionary with {shown(list(made))}")


def _of_parts(parts: Mapping[str, Any], name: str) -> Arrays:
    """Parts that are torch data, or pairs of arrays."""
    if all(_is_pair(part) for part in parts.values()):
        given = {part: _stored(images, labels, part, part) for part, (images, labels) in parts.items()}
        return assembled(given["train"], given.get("test"), given.get("validation"), unless_told="NCHW")
    pairs = [part for part, one in parts.items() if _is_pair(one)]
    if pairs:
        raise DataError(f"it must return parts of one kind: {', '.join(pairs)} is a pair of arrays, others are not")
    return arrays_of_torch(dict(parts), name)


def _of_arrays(made: Mapping[str, Any]) -> Arrays:
    """Arrays under the keys of an .npz file."""
    known = {
        "x_train",
        "y_train",
        "x_test",
        "y_test",
        "x_val",
        "y_val",
        "layout",
        "value_range",
        "classes",
        "normalized",
    }
    if unknown := sorted(set(map(str, made)) - known):
        raise DataError(f"it must return a dictionary with keys among {', '.join(sorted(known))}, not {unknown[0]!r}")
    parts: dict[str, StoredPart | None] = {}
    for part in ("train", "test", "val"):
        keys = (f"x_{part}", f"y_{part}")
        there = [key for key in keys if key in made]
        if len(there) == 1:
            raise DataError(f"it returns {there[0]} alone: a part is {' and '.join(keys)}")
        parts[part] = _stored(made[keys[0]], made[keys[1]], *keys) if there else None
    train = parts["train"]
    assert train is not None
    limits: Any = made.get("value_range")
    return assembled(
        train,
        parts["test"],
        parts["val"],
        layout=made.get("layout"),
        value_range=None if limits is None else tuple(limits),
        classes=tuple(str(one) for one in made.get("classes", ())),
        unless_told="NCHW" if isinstance(made["x_train"], Tensor) else None,
        is_normalized=bool(made.get("normalized", False)),
    )


def _stored(images: Any, labels: Any, images_called: str, labels_called: str) -> StoredPart:
    return StoredPart(_array(images), _array(labels), images_called, f"{labels_called} labels")


def _array(value: Any) -> Array:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _is_array(value: object) -> bool:
    return isinstance(value, (np.ndarray, Tensor))


def _is_pair(value: object) -> bool:
    """Whether a value is (images, labels) in arrays; labels may be a list."""
    if not isinstance(value, (tuple, list)):
        return False
    parts = cast(Sequence[Any], value)
    return len(parts) == 2 and _is_array(parts[0]) and (_is_array(parts[1]) or isinstance(parts[1], (list, tuple)))


def _is_part(value: object) -> bool:
    return _is_pair(value) or has_items(value)


def _described(made: object) -> str:
    """What was returned, shortly: `None`, `a tuple of int, str`."""
    if made is None:
        return "None: does it end with return?"
    if isinstance(made, (tuple, list)):
        entries = cast(Sequence[object], made)
        return f"a {type(made).__name__} of {', '.join(type(one).__name__ for one in entries[:6])}"
    return type(made).__name__
