"""Claims about ranges, means and deviations: what is stated is used as torchvision uses it, what is found is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits import DataError
from fewbits.data import Arrays, Images, Split, load
from fewbits.data.dataset import make_dataset
from fewbits.study.digest import data_sha256


def arrays(dtype: str = "u1", channels: int = 3, top: float = 255, low: float = 0, **more: object) -> Arrays:
    generator = np.random.default_rng(3)

    def images(count: int) -> np.ndarray:
        values = low + (top - low) * generator.random((count, channels, 6, 5))
        values.flat[:2] = low, top
        return (values if np.dtype(dtype).kind == "f" else values.round()).astype(dtype)

    return Arrays(images(40), np.arange(40) % 4, images(10), np.arange(10) % 4, **more)  # pyright: ignore[reportArgumentType]


STATED = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616)}
TOPS = {"u1": 255, "u2": 65535, "f4": 1.0}


@pytest.mark.parametrize("dtype", TOPS)
def test_stated_mean_and_deviation_give_what_torchvisions_formula_gives(dtype: str):
    data = make_dataset("x", arrays(dtype, top=TOPS[dtype]), **STATED)
    stored = data.test.images[:]
    scaled = stored.to(torch.float32) / TOPS[dtype]
    mean, std = (torch.tensor(STATED[key]).view(3, 1, 1) for key in ("mean", "std"))
    assert torch.equal(data.inputs(data.test), (scaled - mean) / std)
    assert (data.mean, data.std) == (STATED["mean"], STATED["std"])


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(["u1", "<u2", ">u2", "<f4", ">f4", "<f8"]),
    low=st.floats(-1000, 1000, width=32),
    span=st.floats(0.125, 70000, width=32),
    mean=st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=2),
    std=st.lists(st.floats(0.0625, 10, width=32), min_size=2, max_size=2),
)
def test_inputs_equal_a_numpy_oracle_bit_for_bit(dtype, low, span, mean, std):
    source = arrays(dtype, channels=2, top=200)
    data = make_dataset("x", source, mean=mean, std=std, value_range=(low, low + span))
    single = np.float32
    expected = (source.test_images.astype(single) - single(low)) / single(low + span - low)
    expected = (expected - np.array(mean, single).reshape(2, 1, 1)) / np.array(std, single).reshape(2, 1, 1)
    assert np.array_equal(data.inputs(data.test).numpy(), expected)


def test_one_number_stands_for_all_channels():
    data = make_dataset("x", arrays(), mean=0.5, std=0.25)
    assert (data.mean, data.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_numbers_may_come_as_an_array_or_a_tensor():
    data = make_dataset("x", arrays(), mean=np.array([0.25, 0.5, 0.75]), std=torch.tensor([0.25, 0.5, 1.0]))
    assert (data.mean, data.std) == ((0.25, 0.5, 0.75), (0.25, 0.5, 1.0))


FOUND = {
    "floats to 1": (arrays("f4", top=0.9), (0, 1), "the usual range"),
    "floats to 255": (arrays("f4", top=254), (0, 255), "the usual range"),
    "floats from -1": (arrays("f4", low=-0.9, top=0.8), (-1, 1), "the usual range"),
    "normalized floats": (arrays("f4", low=-2.5, top=2.25), (-2.5, 2.25), "their extremes"),
    "one value": (arrays("f4", low=-0.5, top=-0.5), (-0.5, 0.5), "one value only"),
    "16 bits": (arrays("u2", top=65535), (0, 65535), "the 16 bits"),
    "12 bits": (arrays("u2", top=4000), (0, 4095), "the 12 bits"),
    "nothing": (arrays("u2", top=0), (0, 1), "the 1 bits"),
}


@pytest.mark.parametrize("case", FOUND)
def test_a_range_that_is_not_stated_is_found_and_said(case: str):
    source, value_range, why = FOUND[case]
    data = make_dataset("x", source)
    assert data.value_range == pytest.approx(value_range)
    (note,) = data.notes
    assert note.startswith("no value_range is stated: training values reach from")
    assert why in note


def test_a_stated_range_is_used_and_nothing_is_noted():
    source = arrays("u2", top=4000, value_range=(0.0, 4000.0))
    assert (make_dataset("x", source).value_range, make_dataset("x", source).notes) == ((0, 4000), ())
    assert make_dataset("x", source, value_range=(0, 1)).value_range == (0, 1)


def test_bytes_count_from_0_to_255():
    data = make_dataset("x", arrays(top=200))
    assert (data.value_range, data.notes) == ((0, 255), ())


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_color_statistics_center_the_inputs(dtype: str):
    data = make_dataset("x", arrays(dtype, top={"u1": 255, "u2": 3000, "f4": 17.5}[dtype]))
    inputs = data.inputs(data.train)
    assert inputs.mean((0, 2, 3)).abs().max() < 1e-5
    assert inputs.pow(2).mean().sqrt().item() == pytest.approx(1, abs=1e-5)


def test_floats_of_one_color_have_deviation_one():
    flat = np.broadcast_to(np.array([0.1, 0.7, 0.3], np.float32).reshape(3, 1, 1), (8, 3, 2, 2))
    source = Arrays(flat, np.arange(8) % 2, flat[:2], np.arange(2))
    assert make_dataset("x", source).std == (1, 1, 1)


def test_what_is_used_is_said():
    assert make_dataset("x", arrays(channels=1)).normalization == "inputs are value / 255: no mean or std is stated"
    computed = make_dataset("x", arrays()).normalization
    assert computed.endswith("computed from the training images, since none is stated")
    stated = make_dataset("x", arrays(low=-1, dtype="f4", top=1), mean=0.5, std=(0.5, 0.25, 0.5)).normalization
    assert stated == ("inputs are ((value + 1) / 2 - mean) / std, by channel: mean 0.5, std 0.5, 0.25, 0.5, stated")


BAD = {
    "too few": ({"mean": [0.5, 0.5], "std": [1, 1, 1]}, "mean has 2 numbers, but the images have 3 channels: give 3"),
    "too many": ({"mean": [0.5] * 3, "std": [1] * 4}, "std has 4 numbers, but the images have 3 channels: give 3"),
    "none": ({"mean": [], "std": 1}, "mean has 0 numbers"),
    "no deviation": ({"mean": 0.5, "std": [1, 0, 1]}, "std must be above 0"),
    "negative deviation": ({"mean": 0.5, "std": -1}, "std must be above 0"),
    "a deviation below float32": ({"mean": 0.5, "std": 1e-60}, "std must be above 0"),
    "NaN": ({"mean": float("nan"), "std": 1}, "mean must be a finite number for each channel, not nan"),
    "NaN in a list": ({"mean": [0.5, float("nan"), 0.5], "std": 1}, "mean must be a finite number"),
    "infinity": ({"mean": 0.5, "std": float("inf")}, "std must be a finite number"),
    "beyond float32": ({"mean": 0.5, "std": 1e60}, "std must be a finite number"),
    "text": ({"mean": "0.5", "std": 1}, "mean must be a finite number for each channel, not '0.5'"),
    "nested": ({"mean": [[0.5]], "std": 1}, "mean must be a finite number"),
    "a truth value": ({"mean": True, "std": 1}, "mean must be a finite number"),
    "mean alone": ({"mean": 0.5}, "mean is given without std: give both"),
    "deviation alone": ({"std": 0.5}, "std is given without mean: give both"),
    "mean of bytes": ({"mean": [125.3, 123.0, 113.9], "std": [63.0, 62.1, 66.7]}, "divide mean and std by 255"),
    "negative mean": ({"mean": -0.5, "std": 1}, "must lie in 0 to 1"),
    "range of one": ({"value_range": [255]}, "value_range must be two finite numbers, the lower first"),
    "range backwards": ({"value_range": (255, 0)}, "value_range must be two finite numbers, the lower first"),
    "empty range": ({"value_range": (1, 1)}, "the lower first"),
    "range that float32 cannot tell": ({"value_range": (1e9, 1e9 + 1)}, "the lower first"),
    "range without end": ({"value_range": (0, float("inf"))}, "two finite numbers"),
    "range of text": ({"value_range": "ab"}, "two finite numbers"),
    "no classes": ({"classes": 0}, "classes must be a whole number from 1 on, not 0"),
    "half a class": ({"classes": 2.5}, "classes must be a whole number"),
    "fewer classes than labels": ({"classes": 3}, "labels must be 0 to 2, but they reach from 0 to 3"),
    "more classes than images": ({"classes": 1000}, "40 training images cannot show 1000 classes"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_refused_in_one_line(case: str):
    stated, message = BAD[case]
    with pytest.raises(DataError, match=message) as error:
        make_dataset("x", arrays(), **stated)
    assert "\n" not in str(error.value)


def test_a_mean_beyond_1_is_taken_where_the_range_is_stated():
    data = make_dataset("x", arrays(), mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7], value_range=(0, 1))
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (data.mean, data.std))
    expected = (data.test.images[:].double() - mean) / std
    assert torch.allclose(data.inputs(data.test).double(), expected.double(), atol=1e-6)


@pytest.mark.parametrize("part", ["train_images", "test_images"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_images_that_are_no_numbers_are_refused(part: str, value: float):
    source = arrays("f4", top=1)
    getattr(source, part)[7, 1, 2, 3] = value
    with pytest.raises(DataError, match="images holds NaN, infinity or a value beyond float32: leave it out"):
        make_dataset("x", source, value_range=(0, 1))


def test_a_value_beyond_float32_is_refused_without_a_warning():
    source = arrays("f8", top=1)
    source.train_images[3, 0, 0, 0] = 1e300
    with pytest.raises(DataError, match="image 3 of the training images holds NaN, infinity or a value beyond float32"):
        make_dataset("x", source)


def test_more_classes_than_the_labels_show_can_be_stated():
    assert make_dataset("x", arrays(), classes=12).classes == 12


def test_load_takes_what_is_stated():
    data = load("digits", mean=0.1307, std=0.3081, classes=12, validation_fraction=0.5)
    assert (data.mean, data.std, data.classes, len(data.validation)) == ((0.1307,), (0.3081,), 12, 2000)


@pytest.mark.parametrize("dtype", ["i1", "i4", "?", "c8", "S3", "U1", "M8[s]"])
def test_images_of_other_types_are_refused(dtype: str):
    images = np.zeros((8, 1, 2, 2), dtype)
    with pytest.raises(DataError, match="data 'x': training images must be uint8, uint16 or float32"):
        make_dataset("x", Arrays(images, np.arange(8) % 2, images[:2], np.arange(2)))


def test_parts_of_different_types_are_refused():
    one, other = arrays("u1"), arrays("u2")
    with pytest.raises(DataError, match="training images are uint8 but test images uint16"):
        make_dataset("x", Arrays(one.train_images, one.train_labels, other.test_images, other.test_labels))


def test_hashes_of_bytes_are_those_of_earlier_versions():
    pixels = np.frombuffer(np.random.RandomState(0).bytes(60 * 3 * 6 * 5), np.uint8).reshape(60, 3, 6, 5)
    color = make_dataset("x", Arrays(pixels[:40], np.arange(40) % 4, pixels[40:], np.arange(20) % 4))
    assert data_sha256(color) == "2dfbe621f91b661856b2fc62ab1883a41b8ed962e57d60d9dd34545881fc5628"
    assert data_sha256(load("digits")) == "a0dd7b20171fdf4bf6b6918a32165df6bdc4525299b83f9e99be8a17d87a7599"


def test_the_hash_tells_what_is_stated_and_only_that():
    plain = make_dataset("x", arrays())
    same = make_dataset("x", arrays(), mean=plain.mean, std=plain.std, value_range=(0, 255), classes=4)
    assert data_sha256(plain) == data_sha256(same)
    others = [{"mean": 0.5, "std": 0.5}, {"mean": plain.mean, "std": (0.5, 0.5, 0.25)}, {"classes": 5}]
    others += [{"validation_fraction": 0.2}, {"mean": plain.mean, "std": plain.std, "value_range": (0, 256)}]
    assert len({data_sha256(make_dataset("x", arrays(), **other)) for other in [{}, *others]}) == 6


@pytest.mark.parametrize(
    "which", [slice(1, 6, 2), slice(None), slice(5, 2), [3, 0, 3], np.array([], int), np.array([2, 1]), 4, -1]
)
@pytest.mark.parametrize("dtype", ["u1", ">u2", "<f8"])
def test_a_view_gives_what_numpy_gives(which, dtype: str):
    source = np.moveaxis(np.arange(8 * 5 * 4 * 3).reshape(8, 5, 4, 3), 3, 1).astype(dtype)
    rows = np.array([6, 1, 2, 7, 0, 3])
    view = Images(source, rows)
    found = view[which]
    assert np.array_equal(found.numpy(), source[rows][which].astype(found.numpy().dtype))
    assert found.is_contiguous()
    assert torch.equal(torch.cat(list(view.chunks())), view[:])
    assert np.array_equal(Images(view, np.array([5, 0]))[:].numpy(), source[[3, 6]])


def test_what_a_view_gives_is_a_copy():
    source = np.zeros((4, 1, 2, 2), np.uint8)
    Images(source)[:].fill_(7)
    assert not source.any()


def test_a_split_of_a_tensor_copies_nothing():
    tensor = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    split = Split(tensor, torch.zeros(4))
    tensor[2] = 9
    assert split.images[2].unique().tolist() == [9]
