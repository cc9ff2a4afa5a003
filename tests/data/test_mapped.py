"""Claims about mapped files: what is mapped and where, that nothing is copied, and that damaged files are refused."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from fewbits import DataError
from fewbits.data import load, mapped
from fewbits.data.mapped import read_arrays
from fewbits.study.digest import data_sha256


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own; arrays from 1,000 bytes on are mapped."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mapped, "MAP_FROM", 1000)
    return tmp_path / "cache" / "fewbits" / "data"


def pixels(shape: tuple[int, ...] = (40, 6, 5, 3), dtype: str = "u1") -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, shape).astype(dtype)


def saved(path: Path, *, compressed: bool = False, **arrays: np.ndarray) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def whole_set(path: Path, dtype: str = "u1", *, compressed: bool = False) -> Path:
    images, labels = pixels(dtype=dtype), np.arange(40) % 4
    return saved(path, compressed=compressed, x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4", ">f4", "<f8", "<i8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_mapped_array_is_what_numpy_reads(tmp_path: Path, dtype: str, order: str, compressed: bool):
    array = np.array(pixels(dtype=dtype), order=order)
    path = saved(tmp_path / "x.npz", compressed=compressed, one=np.arange(3), array=array)
    found = read_arrays(path, ["array"])["array"]
    assert isinstance(found, np.memmap)
    assert found.dtype == array.dtype
    assert np.array_equal(found, np.load(path)["array"])


def test_a_stored_member_is_mapped_where_it_lies(tmp_path: Path, cache: Path):
    path = saved(tmp_path / "x.npz", array=pixels())
    assert read_arrays(path, ["array"])["array"].filename == path
    assert not cache.exists()


def test_a_compressed_member_is_unpacked_once(tmp_path: Path, cache: Path):
    path = saved(tmp_path / "x.npz", compressed=True, array=pixels())
    first = read_arrays(path, ["array"])["array"].filename
    made = Path(first).stat()
    again = read_arrays(path, ["array"])["array"].filename
    assert (again, Path(again).stat().st_ino) == (first, made.st_ino)
    assert [one.suffix for one in sorted(cache.iterdir())] == [".npy", ".lock"]


def test_a_changed_file_is_unpacked_anew_and_the_old_one_removed(tmp_path: Path, cache: Path):
    path = saved(tmp_path / "x.npz", compressed=True, array=pixels())
    read_arrays(path, ["array"])
    saved(path, compressed=True, array=255 - pixels())
    assert np.array_equal(read_arrays(path, ["array"])["array"], 255 - pixels())
    assert len(list(cache.glob("*.npy"))) == 1


@pytest.mark.parametrize("damage", [lambda old: old[:-7], lambda old: old[:-1] + bytes([old[-1] ^ 1]), lambda old: b""])
def test_a_damaged_file_of_the_cache_is_made_anew(tmp_path: Path, cache: Path, damage):
    path = saved(tmp_path / "x.npz", compressed=True, array=pixels())
    read_arrays(path, ["array"])
    (unpacked,) = cache.glob("*.npy")
    unpacked.write_bytes(damage(unpacked.read_bytes()))
    assert np.array_equal(read_arrays(path, ["array"])["array"], pixels())


def test_without_a_cache_folder_a_compressed_member_is_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = saved(tmp_path / "x.npz", compressed=True, array=pixels())
    found = read_arrays(path, ["array"])["array"]
    assert not isinstance(found, np.memmap)
    assert np.array_equal(found, pixels())


def test_without_a_cache_folder_what_is_too_large_for_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(mapped, "MAX_BYTES", 2000)
    path = saved(tmp_path / "x.npz", compressed=True, array=pixels())
    with pytest.raises(DataError, match=r"has 3600 bytes, more than the limit 2000 .*: store it with numpy.savez"):
        read_arrays(path, ["array"])


def test_small_arrays_are_read(tmp_path: Path):
    path = saved(tmp_path / "x.npz", array=np.arange(5))
    assert not isinstance(read_arrays(path, ["array"])["array"], np.memmap)


def test_a_plain_array_is_mapped(tmp_path: Path):
    np.save(tmp_path / "x.npy", pixels())
    found = read_arrays(tmp_path, ["x"], ["y"])["x"]
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, pixels())


def test_a_data_set_maps_its_file_and_copies_no_image(tmp_path: Path):
    data = load(whole_set(tmp_path / "x.npz"))
    for split in (data.train, data.validation, data.test):
        owner = split.images.source
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        assert isinstance(owner, np.memmap)
    assert np.shares_memory(data.train.images.source, data.validation.images.source)


def test_a_folder_of_plain_arrays_is_a_data_set(tmp_path: Path):
    whole = load(whole_set(tmp_path / "x.npz"))
    (tmp_path / "folder").mkdir()
    with np.load(tmp_path / "x.npz") as arrays:
        for key, array in arrays.items():
            np.save(tmp_path / "folder" / f"{key}.npy", array)
    found = load(tmp_path / "folder")
    assert (data_sha256(found), found.notes) == (data_sha256(whole), ())


def test_a_folder_that_lacks_an_array_is_refused(tmp_path: Path):
    np.save(tmp_path / "x_train.npy", pixels())
    with pytest.raises(DataError, match=r"no file .*y_train\.npy"):
        load(tmp_path)


def test_what_was_unpacked_is_said(tmp_path: Path):
    assert (
        "x_train is compressed, so unpacked into the cache"
        in load(whole_set(tmp_path / "x.npz", compressed=True)).notes[0]
    )
    assert load(whole_set(tmp_path / "y.npz")).notes == ()


def member_of(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(text: str) -> bytes:
    """An array's header in version 1.0 of the format, its text as given, and 4,000 bytes."""
    padded = text.ljust(4000)
    return npy.magic(1, 0) + len(padded).to_bytes(2, "little") + padded.encode() + bytes(4000)


HEADERS = {
    "more than it holds": "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000,)}",
    "a product that overflows": "{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807, 16)}",
    "negative sizes": "{'descr': '|u1', 'fortran_order': False, 'shape': (-40, -90)}",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (450,)}",
    "objects inside": "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (450,)}",
    "no shape": "{'descr': '|u1', 'fortran_order': False}",
    "a call": "{'descr': '|u1', 'fortran_order': False, 'shape': (__import__('os').getpid(),)}",
    "no type": "{'descr': 'what', 'fortran_order': False, 'shape': (4000,)}",
    "deep nesting": "-" * 3900 + "1",
    "no text": "\0" * 100,
}


@pytest.mark.parametrize("case", HEADERS)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_hostile_headers_are_refused_in_one_line(tmp_path: Path, case: str, compression: int):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", compression) as archive:
        archive.writestr("array.npy", header(HEADERS[case]))
    with pytest.raises(DataError, match=r"^[^\n]*x\.npz[^\n]*$"):
        read_arrays(tmp_path / "x.npz", ["array"])


@pytest.mark.parametrize("case", HEADERS)
def test_hostile_plain_arrays_are_refused_in_one_line(tmp_path: Path, case: str):
    (tmp_path / "x.npy").write_bytes(header(HEADERS[case]))
    with pytest.raises(DataError, match=r"^[^\n]*x\.npy[^\n]*$"):
        read_arrays(tmp_path, ["x"])


def test_a_flipped_bit_of_a_mapped_member_is_found(tmp_path: Path):
    path = saved(tmp_path / "x.npz", array=pixels((40, 20, 20, 3)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"array\.npy is damaged: its CRC-32 is not the one that the file states"):
        read_arrays(path, ["array"])


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, compressed: bool):
    whole = saved(tmp_path / "x.npz", compressed=compressed, array=pixels()).read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"is not a whole \.npz file"):
            read_arrays(tmp_path / "cut.npz", ["array"])


def test_damage_anywhere_is_refused_or_without_effect(tmp_path: Path):
    path = saved(tmp_path / "x.npz", array=pixels((30, 6, 6)))
    whole = path.read_bytes()
    edges = [*range(200), *range(len(whole) - 120, len(whole))]
    for place in edges:
        for flip in (0x01, 0x80, 0xFF):
            content = bytearray(whole)
            content[place] ^= flip
            path.write_bytes(content)
            with contextlib.suppress(DataError):
                assert np.array_equal(read_arrays(path, ["array"])["array"], pixels((30, 6, 6)))


def test_an_encrypted_member_is_refused(tmp_path: Path):
    path = saved(tmp_path / "x.npz", array=pixels())
    content = path.read_bytes()
    central = content.rindex(b"PK\1\2")
    path.write_bytes(content[: central + 8] + b"\1" + content[central + 9 :])
    with pytest.raises(DataError, match="encrypted"):
        read_arrays(path, ["array"])
