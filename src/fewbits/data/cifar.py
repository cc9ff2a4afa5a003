"""CIFAR-10 in its original forms: binary batches, and Python-pickle batches read without running what they name.

Formats: https://www.cs.toronto.edu/~kriz/cifar.html. A binary record is one label byte and 3,072 pixel bytes (red,
green, blue planes of 32 x 32); a pickled batch is a dictionary with `data` (N x 3072 uint8) and `labels`.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np

from fewbits.data.dataset import Array, Arrays
from fewbits.data.files import read_bytes
from fewbits.errors import DataError

IMAGE = (3, 32, 32)
PIXELS = 3 * 32 * 32
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"

_MAX_BATCH_BYTES = 256 * 1024**2
"""A batch of the published set has 31 MB; all of CIFAR-10 in one would have 184."""

_MAX_MEMO = 1_000_000
"""Objects that a pickle may name for later use: CPython reserves room up to the highest number at once."""

_OPCODES = frozenset(
    (
        "PROTO",
        "FRAME",
        "STOP",
        "MARK",
        "POP",
        "POP_MARK",
        "MEMOIZE",
        "PUT",
        "BINPUT",
        "LONG_BINPUT",
        "GET",
        "BINGET",
        "LONG_BINGET",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINBYTES",
        "SHORT_BINBYTES",
        "EMPTY_LIST",
        "LIST",
        "APPEND",
        "APPENDS",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "EMPTY_DICT",
        "DICT",
        "SETITEM",
        "SETITEMS",
        "GLOBAL",
        "STACK_GLOBAL",
        "REDUCE",
        "BUILD",
    )
)
"""What a pickle of dictionaries, lists, numbers, strings and one array needs."""


def read_binary_batch(path: Path) -> tuple[Array, Array]:
    """Images (N x 3 x 32 x 32, uint8) and labels (int64) of a binary batch.

    Raises DataError if the file is empty or no whole number of records.
    """
    content = np.frombuffer(read_bytes(path, _MAX_BATCH_BYTES), dtype=np.uint8)
    if not content.size or content.size % (PIXELS + 1):
        raise DataError(
            f"{path} is truncated or no CIFAR-10 binary batch: {content.size} bytes are no multiple of {PIXELS + 1}"
        )
    records = content.reshape(-1, PIXELS + 1)
    return records[:, 1:].reshape(-1, *IMAGE), records[:, 0].astype(np.int64)


def read_pickled_batch(path: Path) -> tuple[Array, Array]:
    """Images (N x 3 x 32 x 32, uint8) and labels (int64) of a pickled batch.

    Only dictionaries, lists, tuples, numbers, strings and numpy's uint8 arrays are built, the last by stand-ins, so
    that no code outside this file runs. Raises DataError on any other pickle, and on a truncated one.
    """
    content = bytes(read_bytes(path, _MAX_BATCH_BYTES))
    try:
        _check_opcodes(content)
        batch: object = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # whatever a hostile pickle makes the unpickler raise
        reason = " ".join(f"{error}".split()) or type(error).__name__
        raise DataError(f"{path} is not a CIFAR-10 pickled batch: {reason}") from error
    return _from_batch(path, batch)


def _from_batch(path: Path, batch: object) -> tuple[Array, Array]:
    """Images and labels of an unpickled batch, checked."""
    if not isinstance(batch, dict):
        raise DataError(f"{path} is not a CIFAR-10 pickled batch: it holds no dictionary")
    entries = cast(dict[object, object], batch)
    named = {key.decode("latin-1") if isinstance(key, bytes) else str(key): value for key, value in entries.items()}
    data, labels = named.get("data"), named.get("labels")
    if not isinstance(data, _StoredArray) or not isinstance(labels, list):
        raise DataError(f"{path} is not a CIFAR-10 pickled batch: it lacks an array 'data' or a list 'labels'")
    numbers = [label for label in cast(list[object], labels) if isinstance(label, int) and abs(label) < 1 << 31]
    if len(numbers) != len(cast(list[object], labels)):
        raise DataError(f"{path}: 'labels' must be a list of integers")
    return data.to_array(path).reshape(-1, *IMAGE), np.array(numbers, dtype=np.int64)


class _StoredType:
    """Stands in for numpy.dtype while a batch is read."""

    def __init__(self, name: object, *_flags: object) -> None:
        self.name = name.decode("latin-1") if isinstance(name, bytes) else name

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and alignment: bytes have none."""


class _StoredArray:
    """Stands in for a numpy array while a batch is read: keeps shape, type and bytes as the pickle gives them."""

    shape: object = None
    dtype: object = None
    content: object = None

    def __setstate__(self, state: object) -> None:
        """Take numpy's array state: version, shape, type, whether in Fortran order, bytes."""
        if isinstance(state, tuple):
            values = cast(tuple[object, ...], state)
            if len(values) == 5 and values[3] is False:
                self.shape, self.dtype, self.content = values[1], values[2], values[4]

    def to_array(self, path: Path) -> Array:
        """The uint8 array, N x 3072."""
        content = self.content
        if not isinstance(self.dtype, _StoredType) or self.dtype.name != "u1" or not isinstance(content, bytes):
            raise DataError(f"{path}: 'data' must be an array of unsigned bytes in row order")
        count, remainder = divmod(len(content), PIXELS)
        if remainder or self.shape != (count, PIXELS):
            raise DataError(f"{path}: 'data' must be N x {PIXELS}, not {self.shape} in {len(content)} bytes")
        return np.frombuffer(content, dtype=np.uint8).reshape(count, PIXELS)


def _reconstruct(*_arguments: object) -> _StoredArray:
    """Stand in for numpy's array constructor."""
    return _StoredArray()


def _encode(text: str, _encoding: str) -> bytes:
    """Stand in for codecs.encode, by which Python 3 writes bytes into old pickles."""
    return text.encode("latin-1")


class _Name:
    """What a pickle gets for a name: it can be called or passed on, and cannot be changed."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *arguments: object) -> object:
        """Make a stand-in."""
        return self._make(*arguments)

    def __setstate__(self, state: object) -> None:
        """Refuse a pickle that would change the name itself."""
        raise pickle.UnpicklingError("it changes what it names")


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Name(_reconstruct),
    ("numpy._core.multiarray", "_reconstruct"): _Name(_reconstruct),
    ("numpy", "ndarray"): _Name(_reconstruct),
    ("numpy", "dtype"): _Name(_StoredType),
    ("_codecs", "encode"): _Name(_encode),
}


class _BatchUnpickler(pickle.Unpickler):
    """Finds the stand-ins above and nothing else."""

    def find_class(self, module_name: str, global_name: str) -> _Name:
        """Look up what the pickle names."""
        if (module_name, global_name) not in _NAMES:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which is not read")
        return _NAMES[module_name, global_name]


def _check_opcodes(content: bytes) -> None:
    """Refuse instructions that a batch does not need, and memory numbers out of proportion, before any is followed."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"it uses the pickle instruction {opcode.name}, which is not read")
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) < _MAX_MEMO:
            raise pickle.UnpicklingError(f"it numbers an object {argument}, over the limit {_MAX_MEMO}")


def read_batches(folder: Path, suffix: str) -> Arrays:
    """The five training batches and the test batch of a folder; suffix `.bin` for binary ones, else empty.

    Raises DataError like `read_binary_batch` and `read_pickled_batch`.
    """
    read = read_binary_batch if suffix == ".bin" else read_pickled_batch
    batches = [read(folder / f"{name}{suffix}") for name in TRAIN_BATCHES]
    test_images, test_labels = read(folder / f"{TEST_BATCH}{suffix}")
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    return Arrays(images, labels, test_images, test_labels)
