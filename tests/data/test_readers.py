"""Each file format is read whole and right; damaged, wrong and hostile files are refused in one line."""

from __future__ import annotations

import gzip
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from fewbits import DataError
from fewbits.data import Dataset, load
from fewbits.data.cifar import read_binary_batch, read_pickled_batch
from fewbits.data.files import read_bytes
from fewbits.data.idx import read_idx
from fewbits.data.npz import read_npz
from fewbits.data.svhn import read_mat
from fewbits.study.digest import data_sha256


def assert_holds(data: Dataset, train: Any, test: Any) -> None:
    """Every image of the source is in the data set, under its label, in order, training and validation merged."""
    kept = {
        image.numpy().tobytes(): int(label) for image, label in zip(data.train.images, data.train.labels, strict=True)
    }
    held_out = zip(data.validation.images, data.validation.labels, strict=True)
    kept |= {image.numpy().tobytes(): int(label) for image, label in held_out}
    assert kept == {image.tobytes(): int(label) for image, label in zip(train.images, train.labels, strict=True)}
    assert np.array_equal(data.test.images[:], test.images)
    assert data.test.labels.tolist() == test.labels.tolist()


def merged(parts: list[Any]) -> Any:
    return type(parts[0])(np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts]))


def test_idx_files_are_read(idx_folder: Any):
    folder, train, test = idx_folder
    assert_holds(load(folder), train, test)


def test_cifar_binary_batches_are_read(cifar_binary: Path, cifar_parts: list[Any]):
    assert_holds(load(cifar_binary), merged(cifar_parts[:5]), cifar_parts[5])


def test_cifar_pickled_batches_are_read(cifar_pickled: Path, cifar_parts: list[Any]):
    assert_holds(load(cifar_pickled), merged(cifar_parts[:5]), cifar_parts[5])


def test_svhn_files_are_read_with_ten_as_zero(svhn_folder: Any):
    folder, train, test = svhn_folder
    assert_holds(load(folder), train, test)


def test_npz_is_read(npz_file: Any):
    path, train, test = npz_file
    assert_holds(load(path), train, test)


def test_python_2_batch_is_read(tmp_path: Path):
    """The published batches were written by Python 2: byte strings without a mark, and numpy's old module names."""
    data = b"".join(
        [
            b"\x80\x02}(U\x06labels]K\x07aU\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R",
            b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            b"\x89T\x00\x0c\x00\x00" + bytes(range(256)) * 12 + b"tbu.",
        ]
    )
    (tmp_path / "batch").write_bytes(data)
    images, labels = read_pickled_batch(tmp_path / "batch")
    assert images.reshape(-1).tolist() == list(range(256)) * 12
    assert labels.tolist() == [7]


# --- IDX


def idx_bytes(kind: int = 8, shape: tuple[int, ...] = (2, 3), data: bytes = b"abcdef") -> bytes:
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an IDX file"),
        (b"\x89PNG\r\n", "is not an IDX file"),
        (idx_bytes(kind=0x0D), "must hold unsigned bytes in 2 dimensions .* not type 0x0d02"),
        (idx_bytes(shape=(6,)), "must hold unsigned bytes in 2 dimensions"),
        (idx_bytes()[:9], "is truncated: its header of 12 bytes is cut off at 9"),
        (idx_bytes(data=b"abc"), "is truncated: its header promises 6 bytes of data, it has 3"),
        (idx_bytes(data=b"abcdefgh"), "is too long: its header promises 6 bytes of data, it has 8"),
        (idx_bytes(shape=(0xFFFFFFFF, 0xFFFFFFFF)), "is truncated: its header promises"),
    ],
)
def test_bad_idx_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "file", 2)


@pytest.mark.parametrize("damage", [lambda c: c[:-9], lambda c: b"no gzip", lambda c: c[:10] + b"\xff" * 20 + c[30:]])
def test_damaged_gzip_is_refused(tmp_path: Path, damage: Any):
    path = tmp_path / "file.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes(shape=(256, 4), data=bytes(range(256)) * 4))))
    with pytest.raises(DataError, match=r"file\.gz cannot be read"):
        read_idx(path, 2)


def test_gzip_bomb_stops_at_the_limit(tmp_path: Path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(4_000_000)))
    with pytest.raises(DataError, match="holds more than the 1000000 bytes"):
        read_bytes(path, limit=1_000_000)


def test_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"no file .*absent"):
        read_bytes(tmp_path / "absent")


# --- CIFAR-10


@pytest.mark.parametrize("size", [0, 1, 3072, 3074])
def test_binary_batch_of_a_wrong_size_is_refused(tmp_path: Path, size: int):
    (tmp_path / "batch.bin").write_bytes(bytes(size))
    with pytest.raises(DataError, match="is truncated or no CIFAR-10 binary batch"):
        read_binary_batch(tmp_path / "batch.bin")


class Hostile:
    """Unpickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def batch(**changes: Any) -> dict[str, Any]:
    return {"labels": [1, 2], "data": np.zeros((2, 3072), np.uint8)} | changes


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_hostile_pickle_is_refused_and_runs_nothing(tmp_path: Path, protocol: int):
    target = tmp_path / "ran"
    content = batch(extra=Hostile(Path.touch, str(target)))
    (tmp_path / "batch").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(DataError, match="which is not read"):
        read_pickled_batch(tmp_path / "batch")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps([1]), "holds no dictionary"),
        (pickle.dumps({}), "lacks an array 'data' or a list 'labels'"),
        (pickle.dumps(batch(labels=[1, "2"])), "'labels' must be a list of integers"),
        (pickle.dumps(batch(labels=[1, 1 << 70])), "'labels' must be a list of integers"),
        (pickle.dumps(batch(data=np.zeros((2, 3072), np.float32))), "must be an array of unsigned bytes in row order"),
        (pickle.dumps(batch(data=np.zeros((2, 3071), np.uint8))), "'data' must be N x 3072"),
        (pickle.dumps(batch(data=np.zeros((3072, 2), np.uint8))), "'data' must be N x 3072"),
        (pickle.dumps(batch(data=np.asfortranarray(np.zeros((2, 3072), np.uint8)))), "in row order"),
        (pickle.dumps(batch())[:-200], "not a CIFAR-10 pickled batch"),
        (b"", "not a CIFAR-10 pickled batch"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "numbers an object 2147483647, over the limit"),
        (b"\x80\x02cnumpy\nndarray\n}X\x04\x00\x00\x00evilK\x01sb.", "it changes what it names"),
        (b"\x80\x02(inumpy\nndarray\n.", "instruction INST, which is not read"),
        (pickle.dumps(batch(extra={1, 2}), protocol=4), "instruction EMPTY_SET, which is not read"),
    ],
)
def test_bad_pickled_batch_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        read_pickled_batch(tmp_path / "batch")
    assert "\n" not in str(raised.value)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_pickle_gives_a_data_error_or_a_batch(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    content = bytearray(
        pickle.dumps(batch(data=np.zeros((1, 3072), np.uint8)), protocol=data.draw(st.sampled_from([0, 2, 4])))
    )
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, min(len(content) - 1, 200)))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "batch"
    path.write_bytes(content)
    try:
        images, labels = read_pickled_batch(path)
    except DataError:
        return
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64


def test_missing_batch_is_named(cifar_binary: Path):
    (cifar_binary / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"no file .*data_batch_3\.bin"):
        load(cifar_binary)


# --- SVHN


def test_missing_mat_is_named(svhn_folder: Any):
    folder, _, _ = svhn_folder
    (folder / "test_32x32.mat").unlink()
    with pytest.raises(DataError, match=r"no file .*test_32x32\.mat"):
        load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"Z": np.zeros(3)}, "must hold X and y .* it has Z"),
        ({"X": np.zeros((32, 32, 3), np.uint8), "y": np.zeros(3)}, "X must be 32 x 32 x 3 x N"),
        ({"X": np.zeros((32, 32, 3, 2)), "y": np.zeros(2)}, "X must be uint8 and y numbers, not float64"),
        (
            {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[1], ["a"]], object)},
            "y numbers, not uint8 and obj",
        ),
    ],
)
def test_mat_of_other_content_is_refused(tmp_path: Path, content: dict[str, Any], message: str):
    savemat(tmp_path / "file.mat", content)
    with pytest.raises(DataError, match=message):
        read_mat(tmp_path / "file.mat")


@pytest.mark.parametrize("damage", [lambda c: c[:500], lambda c: b"MATLAB 7.3 MAT-file" + bytes(200), lambda c: b""])
def test_damaged_mat_is_refused(svhn_folder: Any, damage: Any):
    path = svhn_folder[0] / "train_32x32.mat"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"cannot be read as a MATLAB file|must hold X and y") as raised:
        read_mat(path)
    assert "\n" not in str(raised.value)


def test_mat_above_the_limit_is_refused(svhn_folder: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fewbits.data.svhn.MAX_BYTES", 1000)
    with pytest.raises(DataError, match="larger than the limit of 1000 bytes"):
        read_mat(svhn_folder[0] / "train_32x32.mat")


# --- .npz


def good() -> dict[str, Any]:
    images, labels = np.zeros((20, 4, 4), np.uint8), np.arange(20) % 2
    return {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros((20, 4, 4), np.float32)}, "training images are float32 but test images uint8"),
        ({"x_train": np.zeros((20, 3, 4, 4), np.uint8)}, "training images are 3 x 4 x 4 but test images 1 x 4 x 4"),
        ({"x_train": np.zeros((20, 3, 3, 3), np.uint8)}, "x_train of 3 x 3 x 3 may be channels x H x W or .* 'layout'"),
        ({"x_train": np.zeros((20, 16), np.uint8)}, "x_train must be .*; reshape flat images to N x H x W"),
        ({"x_train": np.zeros((20, 4, 4), complex)}, "x_train must hold numbers, such as uint8, not complex128"),
        ({"x_train": np.zeros((19, 4, 4), np.uint8)}, "x_train holds 19 images but .*y_train 20 labels"),
        ({"x_train": np.uint8(3)}, "x_train holds no list of images but .*y_train 20 labels"),
        ({"x_val": np.zeros((5, 4, 4), np.uint8)}, "has x_val alone: a validation part is x_val and y_val"),
        ({"layout": np.array("CHW")}, "layout 'CHW' is not known: give one of NCHW, NHWC"),
        ({"layout": np.array(3)}, "layout must be a text, NCHW or NHWC, not 3"),
        ({"value_range": np.array([0, 1, 2])}, r"value_range must be two numbers, as \[0, 255\], not \[0, 1, 2\]"),
        ({"value_range": np.array([2.0, 1.0])}, r"value_range must be two finite numbers, the lower first"),
        ({"classes": np.array(3)}, "classes must be a list of names, that of class 0 first, not 3"),
        ({"y_test": np.zeros((20, 2), int)}, r"y_test is N x 2 but not one-hot: row 0 is \[0, 0\]; store one label"),
        ({"y_test": np.full((20, 1), 0.5)}, r"y_test holds 0.5, which is no class"),
        ({"y_test": np.array(["cat"] * 20)}, "y_train holds numbers but .*y_test holds text: store all alike"),
        ({"y_test": np.zeros((20, 1, 1), int)}, "y_test must be N labels"),
        ({"y_test": np.array([{}] * 20)}, "holds Python objects, which are not read"),
    ],
)
def test_npz_of_other_content_is_refused(tmp_path: Path, changes: dict[str, Any], message: str):
    np.savez(tmp_path / "file.npz", allow_pickle=True, **(good() | changes))
    with pytest.raises(DataError, match=message) as raised:
        load(tmp_path / "file.npz")
    assert "\n" not in str(raised.value)


def test_npz_without_a_key_says_what_it_has(tmp_path: Path):
    np.savez(tmp_path / "file.npz", x_train=np.zeros(3))
    with pytest.raises(DataError, match="lacks y_train; it has x_train"):
        read_npz(tmp_path / "file.npz")


@pytest.mark.parametrize("damage", [lambda c: c[: len(c) // 2], lambda c: b"", lambda c: c.replace(b"NUMPY", b"BUMPY")])
def test_damaged_npz_is_refused(tmp_path: Path, damage: Any):
    path = tmp_path / "file.npz"
    np.savez(path, **good())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"is not a whole \.npz file") as raised:
        read_npz(path)
    assert "\n" not in str(raised.value)


def test_missing_npz_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="no file"):
        read_npz(tmp_path / "absent.npz")


def test_npz_that_promises_more_than_it_holds_is_refused_before_allocation(tmp_path: Path):
    path = tmp_path / "file.npz"
    header = str({"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 28, 28)}).encode().ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        archive.writestr("y_train.npy", b"")
    with pytest.raises(DataError, match=r"promises .* bytes, more than it holds"):
        read_npz(path)


def test_training_files_of_different_image_sizes_are_refused(tmp_path: Path):
    for number in range(1, 6):
        size = 32 if number < 5 else 28
        np.savez(
            tmp_path / f"cifar10_train_{number}.npz", x_train=np.zeros((4, size, size), np.uint8), y_train=np.arange(4)
        )
    np.savez(tmp_path / "cifar10_test.npz", x_test=np.zeros((4, 32, 32), np.uint8), y_test=np.arange(4))
    with pytest.raises(DataError, match="images of different sizes"):
        load(tmp_path)


def test_npz_labels_may_be_a_column(npz_file: Any):
    path, *_ = npz_file
    arrays = dict(np.load(path))
    np.savez(path, **(arrays | {"y_train": arrays["y_train"][:, None], "y_test": arrays["y_test"][:, None]}))
    assert load(path).test.labels.tolist() == arrays["y_test"].tolist()


def test_labels_that_count_from_one_are_taken_and_said(tmp_path: Path):
    np.savez(tmp_path / "file.npz", **(good() | {"y_train": np.arange(20) % 9 + 1, "y_test": np.arange(20) % 9 + 1}))
    data = load(tmp_path / "file.npz")
    assert (data.classes, data.test.labels.tolist()) == (9, (np.arange(20) % 9).tolist())
    assert "labels 1 to 9 taken as classes 0 to 8" in data.notes


def stored(tmp_path: Path, images: np.ndarray, **more: Any) -> Dataset:
    """The data set of an .npz file with these images, training and test, of two classes."""
    labels = np.arange(len(images)) % 2
    np.savez(
        tmp_path / "file.npz", **({"x_train": images, "y_train": labels, "x_test": images, "y_test": labels} | more)
    )
    return load(tmp_path / "file.npz")


@pytest.mark.parametrize(
    ("dtype", "top", "expected"), [(np.uint8, 255, 255), (np.uint16, 65535, 65535), (np.float32, 1, 1), (float, 1, 1)]
)
def test_npz_in_pytorchs_layout_is_read_in_each_type(tmp_path: Path, dtype: Any, top: int, expected: float):
    images = (np.random.default_rng(0).random((20, 3, 6, 7)) * top).astype(dtype)
    images[0, 0, 0, 0] = top
    data = stored(tmp_path, images)
    assert np.array_equal(data.test.images[:], images.astype(data.test.images[:].numpy().dtype))
    assert (data.image_shape, data.value_range) == ((3, 6, 7), (0, expected))
    assert "images are stored as N x channels x H x W (NCHW, told by the shape)" in data.notes


def test_npz_in_both_layouts_is_one_data_set(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 6, 7), dtype=np.uint8)
    first, last = stored(tmp_path, images), stored(tmp_path, images.transpose(0, 2, 3, 1))
    assert data_sha256(first) == data_sha256(last)


def test_npz_may_state_its_layout_range_and_classes(tmp_path: Path):
    images = np.random.default_rng(0).random((20, 3, 3, 3)) * 2 - 1
    data = stored(tmp_path, images, layout="NHWC", value_range=[-1, 1], classes=["cat", "dog"])
    assert np.allclose(data.test.images[:], images.transpose(0, 3, 1, 2))
    assert (data.value_range, data.class_names) == ((-1, 1), ("cat", "dog"))


def test_npz_text_labels_name_the_classes_in_all_parts_alike(tmp_path: Path):
    texts = np.array(["dog", "cat"] * 10)
    data = stored(
        tmp_path, np.zeros((20, 4, 4), np.uint8), y_train=texts, y_test=texts[1:2], x_test=np.zeros((1, 4, 4), np.uint8)
    )
    assert (data.class_names, data.test.labels.tolist()) == (("cat", "dog"), [0])


def test_npz_with_a_validation_part_holds_nothing_out(tmp_path: Path):
    images = np.zeros((6, 4, 4), np.uint8)
    data = stored(tmp_path, np.ones((20, 4, 4), np.uint8), x_val=images, y_val=np.array([0, 1] * 3))
    assert (len(data.train), len(data.validation), int(data.validation.images[:].max())) == (20, 6, 0)


def test_stated_names_that_are_not_the_text_labels_are_refused(tmp_path: Path):
    texts = np.array(["dog", "cat"] * 10)
    with pytest.raises(DataError, match=r"holds the classes \['cat', 'dog'\], but those stated are \['a', 'b'\]"):
        stored(tmp_path, np.zeros((20, 4, 4), np.uint8), y_train=texts, y_test=texts, classes=["a", "b"])


def test_a_share_to_hold_out_is_refused_beside_an_own_validation_part(tmp_path: Path):
    images = np.zeros((6, 4, 4), np.uint8)
    stored(tmp_path, np.ones((20, 4, 4), np.uint8), x_val=images, y_val=np.array([0, 1] * 3))
    with pytest.raises(DataError, match=r"has a validation part of its own: leave out the share to hold out \(0.2\)"):
        load(tmp_path / "file.npz", validation_fraction=0.2)


def test_npz_that_is_normalized_already_is_used_as_it_is(tmp_path: Path):
    images = np.random.default_rng(0).standard_normal((20, 3, 5, 5), dtype=np.float32)
    data = stored(tmp_path, images, normalized=True)
    assert np.array_equal(data.inputs(data.test), images)
    assert any("images are used as they are given" in note for note in data.notes)


def test_normalized_is_a_truth_value(tmp_path: Path):
    with pytest.raises(DataError, match="normalized must be True or False, not 'yes'"):
        stored(tmp_path, np.zeros((20, 5, 5), np.float32), normalized="yes")
