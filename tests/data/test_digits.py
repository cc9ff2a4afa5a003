"""The embedded digits are what their note says."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from fewbits.data import Dataset, load
from fewbits.data.catalog import EMBEDDED


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def test_file_and_arrays_have_the_stated_hashes():
    note = EMBEDDED.with_suffix(".md").read_text()
    arrays = np.load(EMBEDDED)
    hashes = [hashlib.sha256(EMBEDDED.read_bytes())] + [hashlib.sha256(arrays[key].tobytes()) for key in arrays.files]
    assert all(f"`{value.hexdigest()}`" in note for value in hashes)


def test_file_is_about_a_megabyte():
    assert 500_000 < EMBEDDED.stat().st_size < 1_200_000


def test_splits_have_the_stated_sizes(digits: Dataset):
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (3600, 400, 1000)


@pytest.mark.parametrize(("split", "count"), [("train", 360), ("validation", 40), ("test", 100)])
def test_each_class_has_its_share(digits: Dataset, split: str, count: int):
    assert torch.bincount(getattr(digits, split).labels).tolist() == [count] * 10


def test_no_image_lies_in_two_splits(digits: Dataset):
    images = [
        image.numpy().tobytes() for split in (digits.train, digits.validation, digits.test) for image in split.images
    ]
    assert len(set(images)) == 5000


def test_every_image_is_one_of_the_training_images_of_mnist(digits: Dataset, shared):
    with np.load(shared / "data" / "mnist.npz") as mnist:
        labelled = {image.tobytes(): label for image, label in zip(mnist["x_train"], mnist["y_train"], strict=True)}
    for split in (digits.train, digits.validation, digits.test):
        found = [labelled[image.numpy().tobytes()] for image in split.images]
        assert found == split.labels.tolist()


def test_inputs_are_pixels_over_255(digits: Dataset):
    inputs = digits.inputs(digits.test)
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, digits.test.images[:] / 255)


def test_reader_is_told_that_accuracies_are_not_comparable(digits: Dataset):
    assert "not comparable" in digits.notes[0]
