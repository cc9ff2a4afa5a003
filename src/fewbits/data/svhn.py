"""SVHN's cropped digits (format 2) in MATLAB files: X is 32 x 32 x 3 x N uint8, y is N x 1 with 10 for the digit 0.

Format: http://ufldl.stanford.edu/housenumbers. MATLAB's cell and object arrays are not read.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from fewbits.data.dataset import Array, Arrays
from fewbits.data.files import MAX_BYTES
from fewbits.errors import DataError


def read_mat(path: Path) -> tuple[Array, Array]:
    """Images (N x 3 x 32 x 32, uint8) and labels (int64, 0 for the digit 0) of one file.

    Raises DataError if the file is not MATLAB version 4 to 7, is truncated, or X and y have another type or shape.
    """
    from scipy.io import loadmat, whosmat  # here: a tenth of a second that other data need not wait

    if not path.is_file():
        raise DataError(f"no file {path}")
    try:
        found: dict[str, tuple[tuple[int, ...], str]] = {name: (shape, kind) for name, shape, kind in whosmat(path)}
        _check(path, found)
        content = loadmat(path, variable_names=["X", "y"])
    except DataError:
        raise
    except Exception as error:  # scipy raises many kinds on a damaged file
        reason = " ".join(f"{error}".split()) or type(error).__name__
        raise DataError(f"{path} cannot be read as a MATLAB file of version 4 to 7: {reason}") from error
    images: Array = content["X"]
    labels: Array = content["y"]
    if images.dtype != np.uint8 or labels.dtype.kind not in "iuf":
        raise DataError(f"{path}: X must be uint8 and y numbers, not {images.dtype} and {labels.dtype}")
    digits = labels.reshape(-1).astype(np.int64)
    digits[digits == 10] = 0
    return images.transpose(3, 2, 0, 1), digits


def _check(path: Path, found: dict[str, tuple[tuple[int, ...], str]]) -> None:
    """Refuse other variables, shapes and sizes before anything is allocated."""
    if "X" not in found or "y" not in found:
        raise DataError(f"{path} must hold X and y (SVHN format 2), it has {', '.join(found) or 'nothing'}")
    shape = found["X"][0]
    if len(shape) != 4 or shape[:3] != (32, 32, 3):
        raise DataError(f"{path}: X must be 32 x 32 x 3 x N (SVHN format 2), not {shape}")
    if math.prod(shape) > MAX_BYTES or math.prod(found["y"][0]) > MAX_BYTES // 8:
        raise DataError(f"{path}: X {shape} and y {found['y'][0]} are larger than the limit of {MAX_BYTES} bytes")


def read_mat_pair(train: Path, test: Path) -> Arrays:
    """Read `train_32x32.mat` and `test_32x32.mat`.

    Raises DataError like `read_mat`.
    """
    train_images, train_labels = read_mat(train)
    test_images, test_labels = read_mat(test)
    return Arrays(train_images, train_labels, test_images, test_labels)
