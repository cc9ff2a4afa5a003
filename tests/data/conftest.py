"""Small data sets in each file format, written here from the formats' descriptions."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from fewbits.data import known_sets, load
from fewbits.data.known_sets import KnownSet


@dataclass(frozen=True)
class Images:
    """Images as N x channels x H x W and their labels."""

    images: np.ndarray
    labels: np.ndarray


def random_images(count: int, shape: tuple[int, ...], seed: int) -> Images:
    generator = np.random.default_rng(seed)
    return Images(generator.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count) % 10)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def idx_folder(tmp_path: Path) -> tuple[Path, Images, Images]:
    """MNIST's four files, the training part compressed."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    train, test = random_images(40, (1, 28, 28), 1), random_images(20, (1, 28, 28), 2)
    write_idx(folder / "train-images-idx3-ubyte.gz", train.images[:, 0])
    write_idx(folder / "train-labels-idx1-ubyte.gz", train.labels)
    write_idx(folder / "t10k-images.idx3-ubyte", test.images[:, 0])
    write_idx(folder / "t10k-labels.idx1-ubyte", test.labels)
    return folder, train, test


@pytest.fixture
def cifar_parts() -> list[Images]:
    """Five training batches and the test batch."""
    return [random_images(20, (3, 32, 32), seed) for seed in range(6)]


BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


@pytest.fixture
def cifar_binary(tmp_path: Path, cifar_parts: list[Images]) -> Path:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name, part in zip(BATCHES, cifar_parts, strict=True):
        records = np.concatenate([part.labels[:, None].astype(np.uint8), part.images.reshape(len(part.labels), -1)], 1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


@pytest.fixture(params=[2, 4])
def cifar_pickled(tmp_path: Path, cifar_parts: list[Images], request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, part in zip(BATCHES, cifar_parts, strict=True):
        batch = {
            b"batch_label": name.encode(),
            b"labels": part.labels.tolist(),
            b"data": part.images.reshape(len(part.labels), -1),
            b"filenames": [b"image.png"] * len(part.labels),
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=request.param))
    return folder


@pytest.fixture
def svhn_folder(tmp_path: Path) -> tuple[Path, Images, Images]:
    """train_32x32.mat and test_32x32.mat, label 10 for the digit 0."""
    train, test = random_images(30, (3, 32, 32), 1), random_images(10, (3, 32, 32), 2)
    for name, part in (("train", train), ("test", test)):
        labels = np.where(part.labels == 0, 10, part.labels).astype(np.uint8)[:, None]
        savemat(
            tmp_path / f"{name}_32x32.mat", {"X": part.images.transpose(2, 3, 1, 0), "y": labels}, do_compression=True
        )
    return tmp_path, train, test


@pytest.fixture
def npz_file(tmp_path: Path) -> tuple[Path, Images, Images]:
    """Color images in numpy's format."""
    train, test = random_images(40, (3, 8, 9), 1), random_images(20, (3, 8, 9), 2)
    path = tmp_path / "mine.npz"
    np.savez_compressed(
        path,
        x_train=np.moveaxis(train.images, 1, 3),
        y_train=train.labels.astype(np.uint8),
        x_test=np.moveaxis(test.images, 1, 3),
        y_test=test.labels,
    )
    return path, train, test


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], None]:
    """Lets the small set in a folder count as the published one of a name."""

    def register(name: str, folder: Path) -> None:
        data = load(folder)
        content = np.ascontiguousarray(data.test.images[:].numpy())
        counts = (len(data.train) + len(data.validation), len(data.test))
        small = KnownSet(name, f"a small {name}", counts, "test_images", hashlib.sha256(content.data).hexdigest())
        monkeypatch.setattr(known_sets, "KNOWN", (*known_sets.KNOWN, small))

    return register
