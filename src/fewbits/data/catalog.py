"""Finding a data set by name or path."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fewbits.data.dataset import Arrays, Dataset, make_dataset
from fewbits.data.known_sets import CLASSES, KnownSet, identify
from fewbits.data.normalization import Numbers
from fewbits.data.readers import READERS, read_any, read_named
from fewbits.data.user_data import call_user_function
from fewbits.errors import DataError
from fewbits.models.source import ModelSource
from fewbits.models.user_function import is_function_name

EMBEDDED = Path(__file__).with_name("digits.npz")
"""5,000 real MNIST digits; see digits.md beside it."""

_PLACES: dict[str, tuple[str, ...]] = {
    "mnist": ("mnist.npz", "mnist", "MNIST/raw", ".", "mnist_mini.npz"),
    "svhn": ("svhn.npz", "svhn", ".", "svhn_test10k.npz"),
    "cifar10": ("cifar10.npz", "cifar10", "cifar-10-batches-bin", "cifar-10-batches-py", "."),
    "fashion-mnist": ("fashion_mnist.npz", "fashion-mnist", "FashionMNIST/raw", ".", "fashion_mnist_mini.npz"),
}
"""Where a name is looked for inside a data folder, best first: a file, or a folder with the original files."""

DATA_NAMES: tuple[str, ...] = ("digits", *_PLACES)
"""Names that `load` knows."""


@dataclass(frozen=True)
class Stated:
    """What a user states about a data set; None for what is to be found."""

    validation_fraction: float = 0.1
    classes: int | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    value_range: Sequence[float] | None = None


def load(
    name_or_path: str | Path,
    *,
    validation_fraction: float = 0.1,
    classes: int | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    value_range: Sequence[float] | None = None,
    folder: Path = Path(),
) -> Dataset:
    """Load a data set; nothing is cached.

    name_or_path: `digits` (embedded); `mnist`, `svhn`, `cifar10` or `fashion-mnist`, looked for in each folder of the
    environment variable FEWBITS_DATA, then in the folder `data` of the current folder, and checked to be that set by
    count and hash; or the path of the user's own .npz file
    (keys x_train, y_train, x_test, y_test) or of a folder with the original files of MNIST (IDX), CIFAR-10 (binary or
    pickled batches) or SVHN (train_32x32.mat, test_32x32.mat), or CIFAR-10's parts as cifar10_train_1..5.npz and
    cifar10_test.npz; or one that an installed extension reads (see `READERS`); or `package.module:function` or
    `path/file.py:function`, a function without arguments that returns data (see `user_data.py`).
    validation_fraction: part of the training images that is held out. folder: where a relative path begins.
    classes: how many there are; None counts those of the training labels (a published set has ten).
    mean, std: as torchvision's Normalize takes them, of values mapped to 0 to 1: a number for each channel, or one for
    all; exactly these are used. None: 0 and 1 for grey images, those of the training images for color.
    value_range: the values that are mapped to 0 and 1; None takes 0 to 255 for uint8 and finds it otherwise, which a
    note says.
    Raises DataError if nothing is found, a file is damaged or of another kind, or what a name finds is another set.
    """
    stated = Stated(validation_fraction, classes, mean, std, value_range)
    if isinstance(name_or_path, str) and name_or_path in DATA_NAMES:
        known, arrays = _by_name(name_or_path)
        return _dataset(name_or_path, arrays, known, stated)
    path = folder / name_or_path
    if not _is_there(path):
        if is_function_name(str(name_or_path)):
            return _of_function(str(name_or_path), folder, stated)
        raise DataError(_unknown(str(path)))
    if path.suffix == ".py":
        raise DataError(f"data {str(path)!r} is a file: name its function too, as '{name_or_path}:make_data'")
    arrays = read_any(path)
    return _dataset(path.name or path.resolve().name, arrays, identify(arrays), stated)


def _of_function(name: str, folder: Path, stated: Stated) -> Dataset:
    """What a function of the user's makes. Raises DataError as `call_user_function` does."""
    made = call_user_function(name, ModelSource(folder))
    if isinstance(made, Arrays):
        return make_dataset(name, made, **vars(stated))
    if stated != Stated():
        raise DataError(
            f"data {name!r} is a fewbits Dataset, which says itself what is stated here "
            f"({', '.join(key for key, value in vars(stated).items() if value != getattr(Stated(), key))}): leave that "
            "out"
        )
    return dataclasses.replace(made, name=name)


def _is_there(path: Path) -> bool:
    """Whether a path leads to something; no text is refused by the file system instead."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, a zero byte, a folder that may not be looked into
        return False


def _dataset(name: str, arrays: Arrays, known: KnownSet | None, stated: Stated) -> Dataset:
    """Ten classes and the notes of a known set; the user's own has the classes that its labels show."""
    notes = () if known is None else known.notes
    arrays = dataclasses.replace(arrays, notes=(*notes, *arrays.notes))
    if known is not None and stated.classes is None:
        stated = dataclasses.replace(stated, classes=CLASSES)
    return make_dataset(name, arrays, **vars(stated))


def _folders() -> list[Path]:
    """The folders in which names are looked for."""
    listed = os.environ.get("FEWBITS_DATA", "")
    return [*(Path(folder) for folder in listed.split(os.pathsep) if folder), Path("data")]


def _by_name(name: str) -> tuple[KnownSet, Arrays]:
    """The named set in the first place of any data folder that holds it, and its arrays.

    Raises DataError if no place holds anything, or one holds something else and none the set.
    """
    refusal = None
    for path in _places(name):
        arrays = read_named(path, name) if path.exists() else None
        if arrays is None:
            continue
        known = identify(arrays)
        if known is not None and known.name == name:
            return known, arrays
        refusal = refusal or _of_another_set(name, path, arrays, known)
    raise DataError(
        refusal
        or f"data {name!r} not found in {', '.join(str(folder) for folder in _folders())}: set FEWBITS_DATA to the "
        f"folder that holds {', '.join(place for place in _PLACES[name] if place != '.')}, or give a path"
    )


def _places(name: str) -> Iterator[Path]:
    """Where a name is looked for, in order."""
    if name == "digits":
        yield EMBEDDED
        return
    yield from (folder / place for folder in _folders() for place in _PLACES[name])


def _of_another_set(name: str, path: Path, arrays: Arrays, known: KnownSet | None) -> str:
    """What to say about files that answer to a name and hold something else."""
    if known is not None:
        return f"{path} holds {known.title}, not {name!r}: ask for {known.name!r}"
    counts = f"{len(arrays.train_labels):,} training and {len(arrays.test_labels):,} test images"
    return (
        f"{path} is not the published {name!r}: its {counts} have another hash; if it is data of your own, give its "
        "path instead of the name"
    )


def _unknown(name: str) -> str:
    """What to say about a name that is no data set and no path."""
    close = difflib.get_close_matches(name, DATA_NAMES, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    forms = f"a path of a file or folder (readers: {', '.join(READERS)}), or 'file.py:function'"
    return f"unknown data {name!r}: give one of {', '.join(DATA_NAMES)}, {forms}{hint}"
