"""Finding a data set by name or path, and choosing its reader."""

from __future__ import annotations

import dataclasses
import difflib
import os
from pathlib import Path

from fewbits.data import cifar, idx, npz, svhn
from fewbits.data.dataset import Arrays, Dataset, make_dataset
from fewbits.data.files import existing
from fewbits.errors import DataError

EMBEDDED = Path(__file__).with_name("digits.npz")
"""5,000 real MNIST digits; see digits.md beside it."""

_PLACES: dict[str, tuple[str, ...]] = {
    "mnist": ("mnist.npz", "mnist", "MNIST/raw", ".", "mnist_mini.npz"),
    "svhn": ("svhn.npz", "svhn", ".", "svhn_test10k.npz"),
    "cifar10": ("cifar10.npz", "cifar10", "cifar-10-batches-bin", "cifar-10-batches-py", "."),
    "fashion-mnist": ("fashion_mnist.npz", "fashion-mnist", "FashionMNIST/raw", "fashion_mnist_mini.npz"),
}
"""Where a name is looked for inside a data folder, best first: a file, or a folder with the original files."""

DATA_NAMES: tuple[str, ...] = ("digits", *_PLACES)
"""Names that `load` knows."""

_NOTES: dict[str, tuple[str, ...]] = {
    "digits": (
        "5,000 images of MNIST's training part, re-split 4,000/1,000: not comparable with published MNIST accuracies",
    ),
    "mnist_mini": ("a subset of MNIST (4,000/1,000): not comparable with published accuracies",),
    "fashion_mnist_mini": ("a subset of Fashion-MNIST (4,000/1,000): not comparable with published accuracies",),
    "svhn_test10k": (
        "a re-split of 10,000 images of SVHN's test part (7,600/2,400): not comparable with published accuracies",
        "validation images may show the same photograph as training images; test images do not",
        "for non-commercial use only",
    ),
}
"""What must be known about a file, by its name without suffix."""


def load(name_or_path: str | Path, *, validation_fraction: float = 0.1) -> Dataset:
    """Load a data set whole into memory; nothing is cached.

    name_or_path: `digits` (embedded); `mnist`, `svhn`, `cifar10` or `fashion-mnist`, looked for in each folder of the
    environment variable FEWBITS_DATA, then in the folder `data` of the current folder; or the path of an .npz file
    (keys x_train, y_train, x_test, y_test) or of a folder with the original files of MNIST (IDX), CIFAR-10 (binary or
    pickled batches) or SVHN (train_32x32.mat, test_32x32.mat), or CIFAR-10's parts as cifar10_train_1..5.npz and
    cifar10_test.npz.
    validation_fraction: part of the training images that is held out.
    Raises DataError if nothing is found, or a file is damaged or of another kind.
    """
    if name_or_path == "digits":
        return _dataset("digits", EMBEDDED, npz.read_npz(EMBEDDED), validation_fraction)
    if isinstance(name_or_path, str) and name_or_path in _PLACES:
        path, arrays = _by_name(name_or_path)
        return _dataset(name_or_path, path, arrays, validation_fraction)
    path = Path(name_or_path)
    if not path.exists():
        raise DataError(_unknown(str(name_or_path)))
    arrays = _read(path)
    if arrays is None:
        raise DataError(
            f"{path} holds no data set: it must be an .npz file, or a folder with IDX files, CIFAR-10 batches, "
            "train_32x32.mat and test_32x32.mat, or cifar10_train_1.npz to _5.npz and cifar10_test.npz"
        )
    return _dataset(path.stem, path, arrays, validation_fraction)


def _dataset(name: str, path: Path, arrays: Arrays, validation_fraction: float) -> Dataset:
    """Add the notes on the file; ten classes for the known sets."""
    arrays = dataclasses.replace(arrays, notes=(*_NOTES.get(path.stem, ()), *arrays.notes))
    classes = 10 if name in DATA_NAMES or path.suffix != ".npz" else None
    return make_dataset(name, arrays, classes=classes, validation_fraction=validation_fraction)


def _folders() -> list[Path]:
    """The folders in which names are looked for."""
    listed = os.environ.get("FEWBITS_DATA", "")
    return [*(Path(folder) for folder in listed.split(os.pathsep) if folder), Path("data")]


def _by_name(name: str) -> tuple[Path, Arrays]:
    """The first place of any data folder that holds a named set, and its arrays."""
    for folder in _folders():
        for place in _PLACES[name]:
            path = folder / place
            arrays = _read(path, name) if path.exists() else None
            if arrays is not None:
                return path, arrays
    raise DataError(
        f"data {name!r} not found in {', '.join(str(folder) for folder in _folders())}: set FEWBITS_DATA to the folder "
        f"that holds {', '.join(place for place in _PLACES[name] if place != '.')}, or give a path"
    )


def _read(path: Path, name: str | None = None) -> Arrays | None:
    """Read a file or folder; None for a folder without the files of a known set (of the named one, if given)."""
    if path.is_file():
        return npz.read_npz(path) if path.suffix == ".npz" else None
    if name in (None, "mnist", "fashion-mnist") and (found := idx.find_idx(path)):
        return idx.read_idx_folder(found)
    if name in (None, "svhn") and existing(path, "train_32x32.mat"):
        return svhn.read_mat_pair(path / "train_32x32.mat", path / "test_32x32.mat")
    if name in (None, "cifar10"):
        if existing(path, "cifar10_train_1.npz"):
            parts = [path / f"cifar10_train_{number}.npz" for number in range(1, 6)]
            return npz.read_npz_parts(parts, path / "cifar10_test.npz")
        for suffix in (".bin", ""):
            if existing(path, f"{cifar.TRAIN_BATCHES[0]}{suffix}"):
                return cifar.read_batches(path, suffix)
    return None


def _unknown(name: str) -> str:
    """What to say about a name that is no data set and no path."""
    close = difflib.get_close_matches(name, DATA_NAMES, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown data {name!r}: give one of {', '.join(DATA_NAMES)}, or a path of an .npz file or folder{hint}"
