"""Claims about training batches: what is looked up, cropped and mirrored, and that a seed decides it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewbits import ModelError
from fewbits.data import Dataset, Images, Split
from fewbits.train import TrainSettings
from fewbits.train.batches import Batches
from fewbits.train.identity import run_hash

LAYOUTS = (torch.contiguous_format, torch.channels_last)


def color_data(images: int = 24, height: int = 6, width: int = 7) -> Dataset:
    """Random color images, normalized as CIFAR-10 is."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (images, 3, height, width), generator=generator, dtype=torch.uint8)
    split = Split(pixels, torch.zeros(images, dtype=torch.int64))
    return Dataset("noise", 1, split, split, split, mean=(0.49, 0.48, 0.45), std=(0.25, 0.25, 0.25))


STORED = ("u1", "<u2", ">u2", "<f4", ">f4", "<f8", "unaligned <u2", "unaligned <f4")


def stored_data(stored: str, order: str) -> Dataset:
    """Random images stored in a type, channels first or last, with a range, means and deviations of their own."""
    dtype = np.dtype(stored.split()[-1])
    shape = (24, 6, 7, 3) if order == "NHWC" else (24, 3, 6, 7)
    values = np.random.default_rng(2).integers(0, 250, shape).astype(dtype)
    if stored.startswith("unaligned"):
        values = np.frombuffer(b"?" + values.tobytes(), dtype, offset=1).reshape(shape)
    images = Images(np.moveaxis(values, 3, 1) if order == "NHWC" else values, np.arange(24)[::-1].copy())
    split = Split(images, torch.zeros(24, dtype=torch.int64))
    return Dataset("x", 1, split, split, split, (0.49, 0.4, 0.45), (0.25, 0.3, 0.2), value_range=(3.0, 251.0))


def epoch_of(data: Dataset, seed: int = 0, layout: torch.memory_format = torch.channels_last, **settings: object):
    """All batches of an epoch, copied: image numbers and inputs."""
    batches = Batches(data, TrainSettings(batch_size=10, **settings), layout)  # pyright: ignore[reportArgumentType]
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(seed)
    found = [(chosen, inputs.clone()) for chosen, inputs in batches.epoch(order, 3, generator)]
    return torch.cat([chosen for chosen, _ in found]), torch.cat([inputs for _, inputs in found])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_augmentation_a_batch_is_what_the_data_set_makes_of_its_images(layout: torch.memory_format):
    data = color_data()
    chosen, inputs = epoch_of(data, layout=layout)
    assert torch.equal(inputs, data.inputs(data.train.images[chosen]))
    assert sorted(chosen.tolist()) == list(range(24))


def test_a_crop_is_a_window_of_the_image_in_a_border_of_zeros():
    data = color_data()
    chosen, inputs = epoch_of(data, crop_padding=2)
    plain = data.inputs(data.train).numpy()
    padded = np.pad(plain, ((0, 0), (0, 0), (2, 2), (2, 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (6, 7), axis=(2, 3))  # N x C x 5 x 5 x 6 x 7
    for image, found in zip(chosen.tolist(), inputs.numpy(), strict=True):
        matches = (windows[image] == found[:, None, None]).all(axis=(0, 3, 4))
        assert matches.sum() == 1


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
@pytest.mark.parametrize("stored", STORED)
def test_batches_of_any_stored_type_are_what_the_data_set_makes_of_them(stored: str, order: str):
    data = stored_data(stored, order)
    chosen, inputs = epoch_of(data)
    assert torch.equal(inputs, data.inputs(data.train.images[chosen]))


@pytest.mark.parametrize("stored", STORED)
def test_crops_and_flips_of_any_stored_type_are_those_of_bytes(stored: str):
    settings = {"random_flip": True, "crop_padding": 2}
    found, expected = (epoch_of(stored_data(one, "NCHW"), **settings)[1] for one in (stored, "u1"))
    assert torch.equal(found, expected)


def test_a_training_is_another_where_the_normalization_is_stated_otherwise():
    data = color_data()
    stated = [replace(data, is_stated=True, std=(std,) * 3) for std in (0.25, 0.5)]
    ranges = [replace(data, value_range=(0.0, high)) for high in (1.0, 2.0)]
    model = torch.nn.Linear(1, 1)
    hashes = [run_hash("float", model, "float32", each, TrainSettings(), 0) for each in (data, *stated, *ranges)]
    assert len(set(hashes)) == 5


def test_crops_reach_every_window():
    data = color_data(images=1)
    batches = Batches(data, TrainSettings(batch_size=1, crop_padding=1), torch.contiguous_format)
    generator = torch.Generator().manual_seed(0)
    order = torch.zeros(200, dtype=torch.int64)
    found = {inputs.numpy().tobytes() for _, inputs in batches.epoch(order, 200, generator)}
    assert len(found) == 9


def test_a_flip_mirrors_left_to_right_about_half_of_the_images():
    data = color_data(images=400)
    batches = Batches(data, TrainSettings(batch_size=400, random_flip=True), torch.channels_last)
    ((chosen, inputs),) = batches.epoch(torch.arange(400), 1, torch.Generator().manual_seed(0))
    plain = data.inputs(data.train.images[chosen])
    mirrored = [torch.equal(found, image.flip(2)) for found, image in zip(inputs, plain, strict=True)]
    untouched = [torch.equal(found, image) for found, image in zip(inputs, plain, strict=True)]
    assert all(one != other for one, other in zip(mirrored, untouched, strict=True))
    assert 160 <= sum(mirrored) <= 240


def test_equal_seeds_augment_alike_and_others_otherwise():
    data = color_data()
    augment = {"random_flip": True, "crop_padding": 2}
    first, again, other = (epoch_of(data, seed, **augment)[1] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_batches_come_in_the_layout_asked_for_and_in_one_buffer(layout: torch.memory_format):
    batches = Batches(color_data(), TrainSettings(batch_size=10), layout)
    epoch = [inputs for _, inputs in batches.epoch(torch.arange(24), 3, torch.Generator())]
    assert all(inputs.is_contiguous(memory_format=layout) for inputs in epoch)
    assert len({inputs.data_ptr() for inputs in epoch}) == 1


def test_padding_as_wide_as_the_images_is_refused():
    with pytest.raises(ModelError, match="crop_padding must be smaller than the images of 'noise', 6 x 7, not 6"):
        Batches(color_data(), TrainSettings(crop_padding=6), torch.contiguous_format)
