"""Data sets are found by name and by path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewbits import DataError
from fewbits.data import DATA_NAMES, load


def test_names_are_the_documented_ones():
    assert DATA_NAMES == ("digits", "mnist", "svhn", "cifar10", "fashion-mnist")


def test_name_is_found_in_the_folder_of_the_environment(idx_folder: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEWBITS_DATA", str(idx_folder[0].parent))
    data = load("mnist")
    assert (data.name, data.classes, len(data.test)) == ("mnist", 10, 20)


def test_original_files_may_lie_in_the_data_folder_itself(idx_folder: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEWBITS_DATA", str(idx_folder[0]))
    assert len(load("mnist").test) == 20


def test_name_is_found_in_the_folder_data_here(idx_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data").mkdir()
    idx_folder[0].rename(tmp_path / "data" / "mnist")
    monkeypatch.delenv("FEWBITS_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert len(load("mnist").test) == 20


def test_later_folders_of_the_environment_are_searched_too(svhn_folder: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEWBITS_DATA", f"nowhere:{svhn_folder[0]}")
    assert load("svhn").name == "svhn"


def test_binary_cifar10_is_found_in_the_folder_of_its_archive(cifar_binary: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEWBITS_DATA", str(cifar_binary.parent))
    assert len(load("cifar10").test) == 20


def test_pickled_cifar10_is_found_in_the_folder_of_its_archive(cifar_pickled: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEWBITS_DATA", str(cifar_pickled.parent))
    assert len(load("cifar10").test) == 20


def test_files_of_another_set_do_not_answer_a_name(svhn_folder: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEWBITS_DATA", str(svhn_folder[0]))
    with pytest.raises(DataError, match=r"data 'mnist' not found in .*: set FEWBITS_DATA"):
        load("mnist")


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(DataError, match=r"unknown data 'minst': give one of digits, .*; did you mean 'mnist'\?"):
        load("minst")


def test_folder_without_data_says_what_it_may_hold(tmp_path: Path):
    with pytest.raises(DataError, match=r"holds no data set: it must be an \.npz file, or a folder with IDX files"):
        load(tmp_path)


def test_file_of_another_kind_is_refused(tmp_path: Path):
    (tmp_path / "data.csv").write_text("1,2\n")
    with pytest.raises(DataError, match="holds no data set"):
        load(str(tmp_path / "data.csv"))


def test_lossy_images_are_noted(tmp_path: Path):
    images, labels = np.zeros((10, 32, 32, 3), np.uint8), np.arange(10)
    for number in range(1, 6):
        exact = np.arange(10) != number
        np.savez(tmp_path / f"cifar10_train_{number}.npz", x_train=images, y_train=labels, exact_train=exact)
    np.savez(tmp_path / "cifar10_test.npz", x_test=images, y_test=labels, exact_test=np.ones(10, bool))
    assert load(tmp_path).notes == ("5 training images and 0 test images are lossy stand-ins, marked in the files",)


def test_real_mnist_is_read(shared: Path):
    data = load(shared / "data" / "mnist.npz")
    assert (len(data.train) + len(data.validation), len(data.test), data.image_shape) == (60_000, 10_000, (1, 28, 28))


def test_real_svhn_carries_its_notes(shared: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEWBITS_DATA", str(shared / "data"))
    data = load("svhn")
    assert len(data.test) == 2400
    assert "re-split" in data.notes[0]


def test_real_cifar10_has_the_published_mean(shared: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEWBITS_DATA", str(shared / "data"))
    data = load("cifar10")
    assert data.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=5e-4)
    assert "75 training images and 21 test images are lossy" in data.notes[0]
