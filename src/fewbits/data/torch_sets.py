"""Data sets of fewbits from torch's Datasets and DataLoaders, read once into memory.

Float images are used as they are given, since a transform made them so: nothing normalizes them again. uint8 and uint16
images, and PIL's, are normalized as those of any other data set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fewbits.arguments import shown
from fewbits.data.assembly import StoredPart, assembled
from fewbits.data.dataset import AS_GIVEN, Array, Arrays, Dataset, Split, make_dataset
from fewbits.data.files import MAX_BYTES
from fewbits.data.layout import channels_moved
from fewbits.data.pictures import picture_pixels
from fewbits.errors import DataError
from fewbits.torch_data import Batch, TorchData, batches, is_torch_data, item_count, seeded

_READ_TWICE = 8
"""Items that are read twice, to see whether a transform draws anew each time: one that mirrors half of all images is
missed once in 256 times."""


def from_torch(
    train: TorchData,
    test: TorchData | None = None,
    validation: TorchData | None = None,
    *,
    name: str = "torch",
    classes: int | None = None,
    class_names: Sequence[str] = (),
    validation_fraction: float = 0.1,
) -> Dataset:
    """The data set of torch Datasets or DataLoaders, its labels mapped alike in all parts.

    Items are (image, label) or dictionaries with one of the usual names (see `fewbits.torch_data`): a DataLoader's
    in batches. Images are tensors or arrays, channels x H x W unless the shape tells otherwise, or PIL's; labels are
    numbers, text, booleans or one-hot. Each item is read once, with seeded generators; a note says so where a transform
    draws anew each time. An IterableDataset is read to its end.
    test: None takes a fixed share of each class of the training part. validation: None holds `validation_fraction` of
    each class of the training part out. classes: None counts the training labels'. class_names: those of number labels.
    Raises DataError, in one line, for what is no torch data, items that are no image with a label, images of several
    sizes or types, code of the user's that fails, or more than 2 GiB of images.
    """
    given = {"train": train, "test": test, "validation": validation}
    there = {part: source for part, source in given.items() if source is not None}
    arrays = arrays_of_torch(there, name, class_names)
    return make_dataset(name, arrays, classes=classes, validation_fraction=validation_fraction)


def arrays_of_torch(parts: Mapping[str, TorchData], name: str, class_names: Sequence[str] = ()) -> Arrays:
    """The arrays of `train`, and of `test` and `validation` if they are there. Raises DataError as `from_torch`."""
    stored: dict[str, StoredPart] = {}
    notes: list[str] = []
    for part, source in parts.items():
        stored[part], found = _read(source, f"{name}: {part}")
        notes += [f"{part}: {note}" for note in found]
    return assembled(
        stored["train"],
        stored.get("test"),
        stored.get("validation"),
        layout="NCHW",
        classes=class_names,
        notes=notes,
        is_normalized=stored["train"].images.dtype.kind == "f",
    )


def for_training(data: Dataset | TorchData) -> Dataset:
    """A data set to train with: fewbits' own as it is; of torch data, one whose test part is empty.

    The images must be floats and the labels classes from 0 on, as the network takes them: whatever evaluates it later
    has no other normalization or numbers to go by. Raises DataError if they are not, or as `from_torch` does.
    """
    if isinstance(data, Dataset):
        return data
    stored, notes = _as_taken(data)
    labels = stored.labels.astype(np.int64)
    if labels.min() > 0:
        raise DataError(
            f"torch data has labels from {labels.min()} to {labels.max()}: here they must be classes from 0 on; "
            f"{_MAPS_ALL}"
        )
    made = make_dataset("torch", Arrays(stored.images, labels, stored.images, labels, notes, is_normalized=True))
    return replace(made, test=Split(made.test.images[:0], made.test.labels[:0]))


def for_evaluation(data: TorchData) -> Dataset:
    """A data set whose test part is all of some torch data, and whose other parts are empty.

    Raises DataError as `for_training` does.
    """
    stored, notes = _as_taken(data)
    labels = torch.tensor(stored.labels.astype(np.int64))
    channels = stored.images.shape[1]
    nothing = Split(stored.images[:0], labels[:0])
    return Dataset(
        name="torch",
        classes=int(labels.max()) + 1,
        train=nothing,
        validation=nothing,
        test=Split(stored.images, labels),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        value_range=(0.0, 1.0),
        notes=(*notes, AS_GIVEN),
        is_stated=True,
    )


_MAPS_ALL = "fewbits.data.from_torch(train, test) makes a data set of other images and labels, all parts alike"


def _as_taken(data: TorchData) -> tuple[StoredPart, tuple[str, ...]]:
    """Torch data as a network takes it: float images, labels from 0 on."""
    if not has_items(data):
        raise DataError(
            "data is a fewbits Dataset (see fewbits.data.load and from_torch), a torch Dataset or a DataLoader, not "
            f"{type(data).__name__}"
        )
    stored, notes = _read(data, "torch data")
    if stored.images.dtype.kind != "f":
        raise DataError(
            f"torch data has {stored.images.dtype} images: here they must be normalized floats; {_MAPS_ALL}"
        )
    if stored.labels.dtype.kind not in "iu" or stored.labels.ndim != 1 or stored.labels.min() < 0:
        raise DataError(
            f"torch data has labels such as {shown(stored.labels[:3].tolist())}: here they must be classes from 0 on; "
            f"{_MAPS_ALL}"
        )
    return stored, notes


def _read(source: TorchData, where: str) -> tuple[StoredPart, tuple[str, ...]]:
    """All images, N x channels x H x W, and labels; notes of what was found on the way."""
    if not has_items(source):
        raise DataError(f"{where} must be a torch Dataset or DataLoader, not {type(source).__name__}")
    images, labels, found = list[Array](), list[Array | str](), dict[str, None]()
    size = 0
    with seeded():
        for batch in batches(source):
            some = _images(batch, where, found)
            images += [some]
            labels += _labels(batch, len(some), where)
            size += some.nbytes
            _check_alike(images[0], some, size, batch, where)
        if not images:
            raise DataError(f"{where} has no items")
        notes = (*found, *_random_note(source, images, where))
    return StoredPart(np.concatenate(images), _array(labels, where), where, f"{where} labels"), notes


def has_items(value: object) -> bool:
    """Whether a value is torch data, or has the items and the length that torch asks of a map-style Dataset."""
    is_other = isinstance(value, (Tensor, np.ndarray, Mapping, str, tuple, type))
    return is_torch_data(value) or (not is_other and hasattr(value, "__getitem__") and hasattr(value, "__len__"))


def _check_alike(first: Array, some: Array, size: int, batch: Batch, where: str) -> None:
    """Refuse images that cannot lie in one array with the first ones."""
    if some.shape[1:] != first.shape[1:]:
        sizes = [" x ".join(str(one) for one in array.shape[1:]) for array in (first, some)]
        raise DataError(
            f"{where}: {batch.place} has images of {sizes[1]} (channels x H x W), the first of {sizes[0]}: bring all "
            "to one size, such as by torchvision's Resize and CenterCrop"
        )
    if some.dtype != first.dtype:
        raise DataError(f"{where}: {batch.place} has images of {some.dtype}, the first of {first.dtype}")
    if size > MAX_BYTES:
        raise DataError(
            f"{where} holds more than {MAX_BYTES:,} bytes of images, and is read into memory: take a part of it "
            "(torch.utils.data.Subset, itertools.islice), or write it to an .npz file, which is mapped"
        )


def _random_note(source: TorchData, images: list[Array], where: str) -> tuple[str, ...]:
    """A note if items differ from reading to reading."""
    count = item_count(source)
    if count is None:
        return ("read once, in the order in which it came",)
    numbers = range(min(count, _READ_TWICE))
    again = np.concatenate([_images(batch, where, {}) for batch in batches(source, numbers)])
    before = np.concatenate(images[: math.ceil(len(again) / len(images[0]))])[: len(again)]
    if np.array_equal(again, before, equal_nan=again.dtype.kind == "f"):
        return ()
    return (
        "its transforms draw anew at each reading: each image was read once and stays so (fewbits has augmentation of "
        "its own: random_flip, crop_padding)",
    )


def _images(batch: Batch, where: str, notes: dict[str, None]) -> Array:
    """A batch's images, N x channels x H x W. notes: takes those of the layout as keys."""
    called = f"{where}: {batch.place}"
    if isinstance(batch.images, (list, tuple)) and batch.is_batch:
        each = [_image(one, called, notes) for one in batch.images]
        if len({(one.shape, one.dtype) for one in each}) > 1:
            raise DataError(f"{called} has images of several sizes or types: bring all to one")
        return np.stack(each) if each else np.empty((0, 1, 1, 1), np.uint8)
    if not batch.is_batch:
        return _image(batch.images, called, notes)[np.newaxis]
    return _channels_first(_plain(batch.images, called), called, notes)


def _image(image: Any, called: str, notes: dict[str, None]) -> Array:
    """One image, channels x H x W."""
    if isinstance(image, Image.Image):
        return picture_pixels(image, called)
    return _channels_first(_plain(image, called)[np.newaxis], called, notes)[0]


def _channels_first(images: Array, called: str, notes: dict[str, None]) -> Array:
    moved, found = channels_moved(images, called, unless_told="NCHW")
    notes.update(dict.fromkeys(found))
    return moved.astype(np.float32) if moved.dtype.kind == "f" else moved


def _plain(image: Any, called: str) -> Array:
    """A tensor or an array as an array."""
    if isinstance(image, Tensor):
        try:
            tensor = image.detach().cpu()
            return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        except (TypeError, RuntimeError, NotImplementedError) as error:  # sparse, quantized, meta
            kind = f"{str(image.dtype).removeprefix('torch.')}, {image.layout}, on {image.device}"
            raise DataError(f"{called} has an image that is no plain tensor ({kind}): make it one") from error
    if isinstance(image, np.ndarray):
        return image
    raise DataError(
        f"{called} has an image of type {type(image).__name__}: give a tensor, an array or a PIL image, such as by "
        "torchvision's ToTensor"
    )


def _labels(batch: Batch, count: int, where: str) -> list[Array | str]:
    """A label for each of some images."""
    if batch.labels is None:
        raise DataError(f"{where}: {batch.place} has no label: give (image, label), or a dictionary of the two")
    labels: Any = batch.labels
    if not batch.is_batch:
        labels = [labels]
    elif isinstance(labels, Tensor) and labels.ndim == 0:
        raise DataError(f"{where}: {batch.place} has one label for {count} images")
    if len(labels) != count:
        raise DataError(f"{where}: {batch.place} has {count} images but {len(labels)} labels")
    return [_label(one, f"{where}: {batch.place}") for one in labels]


def _label(label: Any, called: str) -> Array | str:
    """One label: a number, a row of a one-hot table, or text."""
    if isinstance(label, Tensor):
        return label.detach().cpu().numpy()
    if isinstance(label, str):
        return label
    if isinstance(label, (bool, int, float, np.generic, np.ndarray, list, tuple)):
        return np.asarray(label)
    raise DataError(f"{called} has a label of type {type(label).__name__}: give a number, text or a one-hot row")


def _array(labels: list[Array | str], where: str) -> Array:
    """All labels in one array. Raises DataError if they are of several kinds."""
    kinds = {"text" if isinstance(one, str) else (one.shape, one.dtype.kind) for one in labels}
    if len(kinds) > 1:
        raise DataError(f"{where}: labels are of several kinds: make all numbers, or all text")
    array = np.array(labels) if "text" in kinds else np.stack([np.asarray(one) for one in labels])
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
