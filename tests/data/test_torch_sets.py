"""torch Datasets and DataLoaders become data sets: every item once, in order, unchanged; or one clear line."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    IterableDataset,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)
from torch.utils.data import Dataset as TorchDataset

from fewbits import DataError
from fewbits.data import from_torch
from fewbits.data.dataset import AS_GIVEN
from fewbits.data.torch_sets import for_evaluation, for_training

IMAGES = torch.randn(30, 3, 5, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(30) % 3
FLOATS = TensorDataset(IMAGES, LABELS)


class Mapped(TorchDataset[Any]):
    """A map-style Dataset of whatever items."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Any:
        return self.items[number]


class Streamed(IterableDataset[Any]):
    """An IterableDataset of whatever items."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


@pytest.mark.parametrize(
    "source",
    [
        FLOATS,
        DataLoader(FLOATS, batch_size=7),
        DataLoader(FLOATS, batch_size=7, shuffle=True),
        DataLoader(FLOATS, batch_size=7, shuffle=True, drop_last=True),
        DataLoader(FLOATS, batch_size=None),
        DataLoader(FLOATS, batch_sampler=torch.utils.data.BatchSampler(range(30), 7, drop_last=False)),
        Mapped([(image, int(label)) for image, label in FLOATS]),
        Mapped([{"image": image, "label": label} for image, label in FLOATS]),
        Mapped([{"img": image.numpy(), "fine_label": label.numpy(), "id": 3} for image, label in FLOATS]),
        DataLoader(Mapped([{"pixel_values": image, "labels": label} for image, label in FLOATS]), batch_size=4),
        Mapped([(image, [float(label == k) for k in range(3)]) for image, label in FLOATS]),
        Mapped([(image.double(), label[None]) for image, label in FLOATS]),
        Streamed(list(FLOATS)),
        DataLoader(Streamed(list(FLOATS)), batch_size=8),
        DataLoader(Streamed(list(FLOATS)), batch_size=None),
        ConcatDataset([Subset(FLOATS, range(10)), Subset(FLOATS, range(10, 30))]),
        StackDataset(image=IMAGES, label=LABELS),
        [(image, label) for image, label in FLOATS],
        DataLoader([(image, label) for image, label in FLOATS], batch_size=3),
    ],
)
def test_whatever_holds_them_every_item_comes_once_and_in_order(source: Any) -> None:
    found = from_torch(source, source)
    assert torch.equal(found.test.images[:], IMAGES)
    assert torch.equal(found.test.labels, LABELS)


def test_float_images_are_used_as_they_are_given_and_a_note_says_so() -> None:
    found = from_torch(FLOATS, FLOATS)
    assert torch.equal(found.inputs(found.test), IMAGES)
    assert AS_GIVEN in found.notes


def test_uint8_images_are_normalized_as_those_of_any_data_set() -> None:
    images = torch.randint(0, 256, (30, 3, 5, 6), dtype=torch.uint8)
    found = from_torch(TensorDataset(images, LABELS))
    assert abs(float(found.inputs(found.train).mean())) < 0.01


def test_without_a_test_part_a_share_of_each_class_is_it() -> None:
    found = from_torch(FLOATS)
    assert (len(found.train) + len(found.validation), np.bincount(found.test.labels).tolist()) == (24, [2, 2, 2])


def test_an_own_validation_part_is_kept() -> None:
    train, validation = random_split(FLOATS, [20, 10], torch.Generator().manual_seed(0))
    found = from_torch(train, FLOATS, validation)
    assert (len(found.train), len(found.validation)) == (20, 10)


def test_labels_are_mapped_alike_in_all_parts() -> None:
    items = [(image, "cat" if label else "dog") for image, label in FLOATS]
    found = from_torch(Mapped(items), Mapped([item for item in items if item[1] == "dog"]))
    assert (found.class_names, set(found.test.labels.tolist())) == (("cat", "dog"), {1})


def test_pil_images_become_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 5, 6, 3), dtype=np.uint8)
    items = Mapped([(Image.fromarray(one), number % 2) for number, one in enumerate(pixels)])
    assert np.array_equal(from_torch(items, items).test.images[:], pixels.transpose(0, 3, 1, 2))


def test_arrays_of_h_x_w_x_channels_are_told_and_said() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 5, 6, 3), dtype=np.uint8)
    found = from_torch(Mapped([(one, number % 2) for number, one in enumerate(pixels)]))
    assert found.image_shape == (3, 5, 6)
    assert "train: images are stored as N x H x W x channels (NHWC, told by the shape)" in found.notes


def test_wide_integers_are_told_of_all_images_together() -> None:
    images = torch.zeros(12, 1, 4, 4, dtype=torch.int64)
    images[7] = 300
    assert from_torch(TensorDataset(images, LABELS[:12])).train.images.dtype == torch.uint16


def test_a_shape_that_fits_both_layouts_is_pytorchs() -> None:
    images = torch.randn(12, 3, 3, 3)
    data = TensorDataset(images, LABELS[:12])
    assert torch.equal(from_torch(data, data).test.images[:], images)


class Flipped(Mapped):
    def __getitem__(self, number: int) -> Any:
        image, label = self.items[number]
        return (image.flip(-1) if torch.rand(()) < 0.5 else image), label


@pytest.mark.parametrize("source", [Flipped(FLOATS), DataLoader(Flipped(FLOATS), batch_size=7)])
def test_random_transforms_are_evaluated_once_and_said(source: Any) -> None:
    first, second = from_torch(source, FLOATS), from_torch(source, FLOATS)
    assert any("transforms draw anew at each reading" in note for note in first.notes)
    assert torch.equal(first.train.images[:], second.train.images[:])


def test_fixed_transforms_are_not_called_random() -> None:
    assert not any("draw anew" in note for note in from_torch(FLOATS, DataLoader(FLOATS, batch_size=4)).notes)


def test_global_generators_are_as_they_were() -> None:
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())
    from_torch(DataLoader(Flipped(FLOATS), shuffle=True), FLOATS)
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


@pytest.mark.parametrize(
    ("sampler", "count"),
    [(SubsetRandomSampler(range(12)), 12), (WeightedRandomSampler([1.0] * 30, 40), 40)],
)
def test_a_sampler_that_chooses_is_followed_the_same_each_time(sampler: Any, count: int) -> None:
    loader = DataLoader(FLOATS, batch_size=5, sampler=sampler)
    first, second = from_torch(FLOATS, loader), from_torch(FLOATS, loader)
    assert len(first.test) == count
    assert torch.equal(first.test.images[:], second.test.images[:])
    assert "test: read once, in the order in which it came" in first.notes


# --- the doors of training and evaluation


def test_training_takes_all_but_what_it_holds_out() -> None:
    found = for_training(DataLoader(FLOATS, batch_size=7))
    assert (len(found.train), len(found.validation), len(found.test)) == (27, 3, 0)


def test_evaluation_takes_all_of_it_whatever_classes_are_there() -> None:
    found = for_evaluation(TensorDataset(IMAGES[:2], torch.tensor([7, 900])))
    assert (len(found.test), found.test.labels.tolist()) == (2, [7, 900])
    assert torch.equal(found.inputs(found.test), IMAGES[:2])


@pytest.mark.parametrize("door", [for_training, for_evaluation])
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (TensorDataset(torch.zeros(9, 1, 4, 4, dtype=torch.uint8), LABELS[:9]), "uint8 images: here they must be norm"),
        (Mapped([(image, "a") for image in IMAGES]), r"labels such as \['a', 'a', 'a'\]: here they must be classes"),
        (TensorDataset(IMAGES, LABELS - 1), r"labels such as \[-1, 0, 1\]: here they must be classes from 0 on"),
        ("digits", "a torch Dataset or a DataLoader, not str"),
        (IMAGES, "a torch Dataset or a DataLoader, not Tensor"),
        (None, "a torch Dataset or a DataLoader, not NoneType"),
    ],
)
def test_the_doors_take_what_a_network_takes_and_nothing_else(door: Any, source: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        door(source)


def test_training_refuses_labels_from_1() -> None:
    with pytest.raises(
        DataError, match=r"labels from 1 to 3: here they must be classes from 0 on; fewbits.data.from_torch"
    ):
        for_training(TensorDataset(IMAGES, LABELS + 1))


# --- what is refused


class Failing(Mapped):
    def __getitem__(self, number: int) -> Any:
        if number == 4:
            raise ValueError("no such\nfile")
        return self.items[number]


def failing_collate(items: Any) -> Any:
    raise RuntimeError("cannot collate")


class Endless(Streamed):
    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat((torch.zeros(3, 2000, 2000), 0))


class WithoutLength(TorchDataset[Any]):
    def __getitem__(self, number: int) -> Any:
        return FLOATS[number]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Failing(FLOATS), r"item 4 of the torch data raised ValueError: no such file \(test_torch_sets.py, line \d+\)"),
        (
            DataLoader(FLOATS, collate_fn=failing_collate),
            r"the batch of items 0 to 0 .* raised RuntimeError: cannot coll",
        ),
        (Streamed(3), r"item 0 of the torch data raised TypeError"),
        (Mapped([]), "torch: train has no items"),
        (Streamed([]), "torch: train has no items"),
        (WithoutLength(), "WithoutLength has no length: give it __len__"),
        (TensorDataset(IMAGES), r"item 0 has no label: give \(image, label\), or a dictionary"),
        (TensorDataset(IMAGES, LABELS, LABELS), r"item 0 is of 3 parts: it must be \(image, label\)"),
        (
            Mapped([{"picture": 1, "label": 2}]),
            r"item 0 is a dictionary with \['picture', 'label'\]: one of image, images",
        ),
        (Mapped([{"image": 1, "img": 2, "label": 2}]), "item 0 is a dictionary with"),
        (Mapped([("a.png", 1)]), "item 0 has an image of type str: give a tensor, an array or a PIL image"),
        (Mapped([(IMAGES[0], None)]), r"item 0 has no label"),
        (Mapped([(IMAGES[0], object())]), "item 0 has a label of type object: give a number"),
        (Mapped([(IMAGES[0], 1), (IMAGES[1], "a")]), "labels are of several kinds"),
        (
            Mapped([(IMAGES[0], 1), (IMAGES[1][:, :4], 1)]),
            r"item 1 has images of 3 x 4 x 6 .*, the first of 3 x 5 x 6: bring",
        ),
        (Mapped([(IMAGES[0], 1), (IMAGES[1].byte(), 1)]), "item 1 has images of uint8, the first of float32"),
        (Mapped([(torch.zeros(784), 1)]), "reshape flat images"),
        (
            Mapped([(torch.zeros(3, 4, 4).to_sparse(), 1)]),
            "no plain tensor .float32, torch.sparse_coo, on cpu.: make it",
        ),
        (
            Mapped([(torch.zeros(3, 4, 4, device="meta"), 1)]),
            "no plain tensor .float32, torch.strided, on meta.: make it",
        ),
        (Mapped([(torch.full((1, 4, 4), torch.nan), n % 2) for n in range(9)]), "holds NaN"),
        (Endless(0), "holds more than 2,147,483,648 bytes of images, and is read into memory: take a part"),
        (IMAGES, "torch: train must be a torch Dataset or DataLoader, not Tensor"),
        (3, "torch: train must be a torch Dataset or DataLoader, not int"),
        (TensorDataset, "torch: train must be a torch Dataset or DataLoader, not type"),
    ],
)
def test_what_is_no_data_is_refused_in_one_line(source: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(source, Endless):
        monkeypatch.setattr("fewbits.data.torch_sets.MAX_BYTES", 2**28)
        message = message.replace("2,147,483,648", "268,435,456")
    with pytest.raises(DataError, match=message) as raised:
        from_torch(source)
    assert "\n" not in str(raised.value)


def test_only_the_users_own_lines_are_named() -> None:
    def collate(items: Any) -> Tensor:
        return torch.stack([torch.zeros(2), torch.zeros(3)])

    with pytest.raises(DataError, match=r"\(test_torch_sets.py, line \d+\)$"):
        from_torch(DataLoader(FLOATS, collate_fn=collate))
