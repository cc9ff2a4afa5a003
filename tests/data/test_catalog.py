"""Data sets are found by name and by path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewbits import DataError
from fewbits.data import DATA_NAMES, load
from fewbits.data.catalog import EMBEDDED

Publish = Callable[[str, Path], None]


def test_names_are_the_documented_ones():
    assert DATA_NAMES == ("digits", "mnist", "svhn", "cifar10", "fashion-mnist")


def test_name_is_found_in_the_folder_of_the_environment(
    idx_folder: Any, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    publish("mnist", idx_folder[0])
    monkeypatch.setenv("FEWBITS_DATA", str(idx_folder[0].parent))
    data = load("mnist")
    assert (data.name, data.classes, len(data.test)) == ("mnist", 10, 20)


def test_original_files_may_lie_in_the_data_folder_itself(
    idx_folder: Any, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    publish("mnist", idx_folder[0])
    monkeypatch.setenv("FEWBITS_DATA", str(idx_folder[0]))
    assert len(load("mnist").test) == 20


def test_name_is_found_in_the_folder_data_here(
    idx_folder: Any, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    publish("mnist", idx_folder[0])
    (tmp_path / "data").mkdir()
    idx_folder[0].rename(tmp_path / "data" / "mnist")
    monkeypatch.delenv("FEWBITS_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert len(load("mnist").test) == 20


def test_later_folders_of_the_environment_are_searched_too(
    svhn_folder: Any, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    publish("svhn", svhn_folder[0])
    monkeypatch.setenv("FEWBITS_DATA", f"nowhere:{svhn_folder[0]}")
    assert load("svhn").name == "svhn"


def test_binary_cifar10_is_found_in_the_folder_of_its_archive(
    cifar_binary: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    publish("cifar10", cifar_binary)
    monkeypatch.setenv("FEWBITS_DATA", str(cifar_binary.parent))
    assert len(load("cifar10").test) == 20


def test_pickled_cifar10_is_found_in_the_folder_of_its_archive(
    cifar_pickled: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    publish("cifar10", cifar_pickled)
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
    assert load(tmp_path).notes[0] == "5 training images and 0 test images are lossy stand-ins, marked in the files"


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


def test_files_with_other_content_do_not_answer_a_name(idx_folder: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEWBITS_DATA", str(idx_folder[0].parent))
    with pytest.raises(DataError, match=r"mnist is not the published 'mnist': its 40 training and 20 test .* its path"):
        load("mnist")


def test_a_set_found_under_the_name_of_another_is_called_what_it_is(
    idx_folder: Any, publish: Publish, monkeypatch: pytest.MonkeyPatch
):
    publish("fashion-mnist", idx_folder[0])
    monkeypatch.setenv("FEWBITS_DATA", str(idx_folder[0].parent))
    with pytest.raises(DataError, match="holds a small fashion-mnist, not 'mnist': ask for 'fashion-mnist'"):
        load("mnist")


def test_a_set_is_found_behind_files_that_are_another(
    idx_folder: Any, publish: Publish, npz_file: Any, monkeypatch: pytest.MonkeyPatch
):
    publish("mnist", idx_folder[0])
    npz_file[0].rename(npz_file[0].with_name("mnist.npz"))
    monkeypatch.setenv("FEWBITS_DATA", str(idx_folder[0].parent))
    assert len(load("mnist").test) == 20


def test_own_file_with_the_name_of_a_known_set_stays_the_users_own(npz_file: Any):
    path = npz_file[0].rename(npz_file[0].with_name("digits.npz"))
    data = load(path)
    assert (data.name, data.image_shape) == ("digits.npz", (3, 8, 9))
    assert data.notes == ("images are stored as N x H x W x channels (NHWC, told by the shape)",)


@pytest.mark.parametrize("classes", [3, 26])
def test_own_files_have_the_classes_that_their_labels_show(tmp_path: Path, classes: int):
    labels = np.arange(80) % classes
    for stem in ("digits", "mnist_mini", "mine"):
        path = tmp_path / f"{stem}.npz"
        images = np.zeros((80, 8, 8), np.uint8)
        np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
        assert load(path).classes == classes


def test_known_set_is_recognized_whatever_its_file_is_called(tmp_path: Path):
    copy = tmp_path / "holiday.npz"
    copy.write_bytes(EMBEDDED.read_bytes())
    assert load(copy).notes == load("digits").notes != ()


@pytest.mark.parametrize("name", ["mnist", "mnist_mini", "fashion_mnist_mini", "svhn_test10k"])
def test_real_sets_are_recognized_by_their_content(shared: Path, tmp_path: Path, name: str):
    link = tmp_path / "renamed.npz"
    link.symlink_to(shared / "data" / f"{name}.npz")
    assert load(link).classes == 10
    assert bool(load(link).notes) == (name != "mnist")


def test_real_cifar10_and_fashion_answer_to_their_names(shared: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FEWBITS_DATA", str(shared / "data"))
    assert "subset of Fashion-MNIST" in load("fashion-mnist").notes[0]
    assert load("cifar10").name == "cifar10"
