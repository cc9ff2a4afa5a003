"""Splits are stratified and repeatable, statistics come from the training split alone, bad data is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits import DataError
from fewbits.data.dataset import Arrays, make_dataset, stratified_split


def arrays(count: int = 40, tests: int = 10, channels: int = 3, seed: int = 0) -> Arrays:
    generator = np.random.default_rng(seed)

    def images(n: int) -> np.ndarray:
        return generator.integers(0, 256, (n, channels, 6, 5), dtype=np.uint8)

    return Arrays(images(count), np.arange(count) % 4, images(tests), np.arange(tests) % 4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.floats(0.01, 0.9), st.integers(0, 5))
def test_stratified_split_takes_its_part_of_each_class(labels: list[int], fraction: float, seed: int):
    array = np.array(labels)
    rest, taken = stratified_split(array, fraction, seed)
    assert sorted([*rest, *taken]) == list(range(len(labels)))
    for label in set(labels):
        members = labels.count(label)
        assert np.count_nonzero(array[taken] == label) == max(1, round(fraction * members))


def test_stratified_split_is_pinned():
    _, taken = stratified_split(np.zeros(12, dtype=int), 0.25, seed=0)
    assert taken.tolist() == [4, 6, 11]


def test_validation_fraction_is_the_callers_choice():
    assert len(make_dataset("x", arrays(), validation_fraction=0.5).validation) == 20


def test_color_statistics_come_from_the_training_split_alone():
    source = arrays()
    data = make_dataset("x", source)
    pixels = data.train.images[:].double() / 255
    assert data.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert set(data.std) == {data.std[0]}
    assert data.std[0] == pytest.approx((pixels - pixels.mean((0, 2, 3), keepdim=True)).pow(2).mean().sqrt().item())


def test_color_inputs_are_centered_with_unit_deviation():
    data = make_dataset("x", arrays())
    inputs = data.inputs(data.train)
    assert inputs.mean((0, 2, 3)).abs().max() < 1e-5
    assert inputs.pow(2).mean().sqrt().item() == pytest.approx(1, abs=1e-5)


def test_images_of_one_color_have_scale_one():
    flat = Arrays(np.full((8, 3, 2, 2), 7, np.uint8), np.arange(8) % 2, np.zeros((2, 3, 2, 2), np.uint8), np.arange(2))
    assert make_dataset("x", flat).std == (1, 1, 1)


def test_inputs_take_tensors_and_arrays_alike():
    data = make_dataset("x", arrays())
    images = data.test.images[:3]
    assert torch.equal(data.inputs(images), data.inputs(images.numpy()))


@pytest.mark.parametrize("images", [torch.zeros(2, 3, 6, 5), torch.zeros(2, 1, 6, 5, dtype=torch.uint8)])
def test_inputs_of_another_kind_are_refused(images: torch.Tensor):
    with pytest.raises(DataError, match="inputs of x are made from uint8 images, N x 3 x height x width"):
        make_dataset("x", arrays()).inputs(images)


def test_model_of_another_image_size_is_refused():
    with pytest.raises(DataError, match="model 'lenet' takes images of 1 x 28 x 28 but data 'x' has 3 x 6 x 5"):
        make_dataset("x", arrays()).require_shape((1, 28, 28), "lenet")


def test_model_of_the_same_image_size_is_accepted():
    make_dataset("x", arrays()).require_shape((3, 6, 5), "mine")


def test_classes_follow_the_training_labels():
    assert make_dataset("x", arrays()).classes == 4


def replaced(**changes: np.ndarray) -> Arrays:
    parts = arrays()
    return Arrays(**{**{name: getattr(parts, name) for name in Arrays.__dataclass_fields__}, **changes})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (replaced(train_labels=np.zeros(39, np.int64)), "40 training images but 39 labels"),
        (replaced(test_labels=np.zeros(11, np.int64)), "10 test images but 11 labels"),
        (replaced(train_images=np.zeros((0, 3, 6, 5), np.uint8), train_labels=np.zeros(0, np.int64)), "no training"),
        (replaced(test_images=np.zeros((0, 3, 6, 5), np.uint8), test_labels=np.zeros(0, np.int64)), "no test images"),
        (replaced(test_images=np.zeros((10, 3, 6, 6), np.uint8)), "are 3 x 6 x 5 but test images 3 x 6 x 6"),
        (replaced(test_labels=np.full(10, 4)), "labels must be 0 to 3, as the training images have them.* reach to 4"),
        (replaced(train_labels=np.full(40, -1)), "labels reach from -1 .* counted from 0: store y \\+ 1, or number"),
        (replaced(train_labels=np.full(40, 1_000_000)), "40 training images cannot show 1000001 classes"),
        (replaced(train_images=np.zeros((4, 3, 6, 5), np.uint8), train_labels=np.arange(4)), "too few training images"),
    ],
)
def test_bad_data_is_refused(bad: Arrays, message: str):
    with pytest.raises(DataError, match=message):
        make_dataset("x", bad)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_validation_fraction_must_lie_between_zero_and_one(fraction: float):
    with pytest.raises(DataError, match="must lie between 0 and 1"):
        make_dataset("x", arrays(), validation_fraction=fraction)
