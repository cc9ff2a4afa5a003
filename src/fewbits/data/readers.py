"""What a file or folder may hold, and what reads it: fewbits' own readers and those of installed extensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fewbits.data import cifar, idx, npz, svhn
from fewbits.data.dataset import Arrays
from fewbits.data.files import existing
from fewbits.errors import DataError, FewbitsError
from fewbits.extensions import ExtensionError, Registry, giver_of

_IMAGE_TYPES = (np.uint8, np.uint16, np.float32)
_MNISTS = ("mnist", "fashion-mnist")


@dataclass(frozen=True)
class Reader:
    """A form of data sets on disk."""

    summary: str
    """What it takes, behind `it must be`: `a folder with IDX files`."""

    recognizes: Callable[[Path], bool]
    """Whether a file or folder that exists has this form, told quickly: by names, or by a file's first bytes."""

    read: Callable[[Path], Arrays]
    """Reads all of it into memory. Raises DataError for what is damaged."""

    sets: tuple[str, ...] = ()
    """The published sets that lie in folders of this form: one that is asked for by name is looked for in theirs alone.
    Empty for a form that may hold any set."""


def _is_npz(path: Path) -> bool:
    return path.suffix == ".npz" and path.is_file()


def _read_idx(folder: Path) -> Arrays:
    paths = idx.find_idx(folder)
    assert paths is not None
    return idx.read_idx_folder(paths)


def _read_svhn(folder: Path) -> Arrays:
    return svhn.read_mat_pair(folder / "train_32x32.mat", folder / "test_32x32.mat")


def _read_npz_parts(folder: Path) -> Arrays:
    parts = [folder / f"cifar10_train_{number}.npz" for number in range(1, 6)]
    return npz.read_npz_parts(parts, folder / "cifar10_test.npz")


def _cifar_suffix(folder: Path) -> str | None:
    return next((suffix for suffix in (".bin", "") if existing(folder, f"{cifar.TRAIN_BATCHES[0]}{suffix}")), None)


def _read_batches(folder: Path) -> Arrays:
    return cifar.read_batches(folder, _cifar_suffix(folder) or "")


_OWN: dict[str, Reader] = {
    "npz": Reader("an .npz file", _is_npz, npz.read_npz),
    "idx": Reader("a folder with IDX files", lambda path: idx.find_idx(path) is not None, _read_idx, _MNISTS),
    "svhn": Reader(
        "a folder with train_32x32.mat and test_32x32.mat",
        lambda path: existing(path, "train_32x32.mat") is not None,
        _read_svhn,
        ("svhn",),
    ),
    "npz-parts": Reader(
        "a folder with cifar10_train_1.npz to _5.npz and cifar10_test.npz",
        lambda path: existing(path, "cifar10_train_1.npz") is not None,
        _read_npz_parts,
        ("cifar10",),
    ),
    "cifar10": Reader(
        "a folder with CIFAR-10 batches", lambda path: _cifar_suffix(path) is not None, _read_batches, ("cifar10",)
    ),
    "npy": Reader(
        "a folder with x_train.npy, y_train.npy, x_test.npy and y_test.npy",
        lambda path: existing(path, "x_train.npy") is not None,
        npz.read_npz,
    ),
}
"""By name, in the order in which they are asked."""

READERS: Mapping[str, Reader] = Registry("readers", _OWN, Reader)
"""By name: these, and those of installed extensions."""


def read_named(path: Path, name: str) -> Arrays | None:
    """What a place holds of the published set of that name; None if it has none of the set's forms."""
    for reader in _OWN.values():
        if (not reader.sets or name in reader.sets) and reader.recognizes(path):
            return reader.read(path)
    return None


def read_any(path: Path) -> Arrays:
    """What a file or folder holds, in the form of the first reader that recognizes it; fewbits' own come first.

    Raises DataError if none does, or if it is damaged.
    """
    broken: list[str] = []
    for name in READERS:
        try:
            reader = READERS[name]
        except ExtensionError as error:
            broken.append(str(error))
            continue
        if name in _OWN:
            if reader.recognizes(path):
                return reader.read(path)
        elif (arrays := _read_by_extension(name, reader, path)) is not None:
            return arrays
    raise DataError("; ".join([f"{path} holds no data set: it must be {', or '.join(_forms())}", *broken]))


def _forms() -> list[str]:
    """What is taken, in words; of an extension that is not loaded its name."""
    own = [reader.summary for reader in _OWN.values()]
    return own + [
        f"what the reader {name!r} of {giver_of('readers', name)} takes" for name in READERS if name not in _OWN
    ]


def _read_by_extension(name: str, reader: Reader, path: Path) -> Arrays | None:
    """What an extension reads, checked; None if it does not recognize the place."""
    by = f"the reader {name!r} of {giver_of('readers', name)}"
    try:
        arrays = reader.read(path) if reader.recognizes(path) else None
    except FewbitsError:
        raise
    except Exception as error:  # whatever a stranger's code raises
        raise DataError(f"{by} failed on {path}: {' '.join(f'{type(error).__name__}: {error}'.split())}") from error
    if arrays is None:
        return None
    parts = ((arrays.train_images, arrays.train_labels), (arrays.test_images, arrays.test_labels))
    for images, labels in parts:
        if not (_is_array(images, _IMAGE_TYPES, 4) and _is_array(labels, (np.int64,), 1)):
            raise DataError(
                f"{by} must give images as uint8, uint16 or float32, N x channels x height x width, and labels as "
                f"int64, not {_described(images)} and {_described(labels)}"
            )
    return arrays


def _is_array(value: object, types: Sequence[type[np.generic]], dimensions: int) -> bool:
    return isinstance(value, np.ndarray) and value.dtype in types and value.ndim == dimensions


def _described(value: object) -> str:
    return f"{getattr(value, 'dtype', type(value).__name__)} of shape {getattr(value, 'shape', '')}"
