"""A data set: its three splits, and how images become a network's inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fewbits.arguments import is_integer, is_real, shown
from fewbits.data.images import Array, Images
from fewbits.data.normalization import Numbers, normalization
from fewbits.errors import DataError

HELD_OUT = 0.1
"""Part of the training images that is held out for validation, where nothing else is stated."""

AS_GIVEN = "images are used as they are given, with the normalization that they came with and no other"
"""The note on images that are normalized already."""


@dataclass(frozen=True, eq=False, init=False)
class Split:
    """Images with their labels."""

    images: Images
    """uint8, uint16 or float32, N x channels x height x width; a slice or numbers of it give a tensor."""

    labels: Tensor
    """int64, N; 0 to classes - 1."""

    def __init__(self, images: Images | Tensor | Array, labels: Tensor) -> None:
        """Tensors and arrays become `Images` of themselves, uncopied. Raises DataError for what no images can be."""
        object.__setattr__(self, "images", images if isinstance(images, Images) else Images(images))
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of labelled images. Training never sees `validation` or `test`; early stopping uses `validation`."""

    name: str
    classes: int
    train: Split
    validation: Split
    """Held out of the training part: a fixed, stratified choice."""

    test: Split
    mean: tuple[float, ...]
    """Subtracted by channel from values mapped to 0 to 1: what was stated; else 0 for grey, the mean of `train` for
    color."""

    std: tuple[float, ...]
    """Divides what is left, by channel: what was stated; else 1 for grey, one deviation of `train` for color."""

    value_range: tuple[float, float] = (0.0, 255.0)
    """The values that are mapped to 0 and to 1."""

    notes: tuple[str, ...] = ()
    """What a reader of a result must know about this data: a re-split, lossy images, a license, a range found."""

    is_stated: bool = False
    """Whether `mean` and `std` were stated by the user."""

    class_names: tuple[str, ...] = ()
    """What the classes are called, where the data says it."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.train.images.shape[1:]
        return (channels, height, width)

    @property
    def normalization(self) -> str:
        """What becomes of a stored value, in one sentence."""
        low, high = self.value_range
        moved = "value" if low == 0 else f"(value {'-' if low > 0 else '+'} {abs(low):g})"
        value = f"{moved} / {high - low:g}"
        if not self.is_stated and not any(self.mean) and set(self.std) == {1.0}:
            return f"inputs are {value}: no mean or std is stated"
        mean, std = _listed(self.mean), _listed(self.std)
        source = "stated" if self.is_stated else "computed from the training images, since none is stated"
        return f"inputs are ({value} - mean) / std, by channel: mean {mean}, std {std}, {source}"

    def inputs(self, images: Split | Images | Tensor | Array) -> Tensor:
        """Normalized inputs: ((images - low) / (high - low) - mean) / std, as a new float32 tensor.

        images: a split, or images of its type, of shape N x channels x height x width. low, high: the value range.
        Raises DataError if the images are of another type or have other channels.
        """
        pixels = images.images if isinstance(images, Split) else images
        if not isinstance(pixels, Images):
            pixels = torch.as_tensor(pixels)
        if pixels.dtype != self.train.images.dtype or len(pixels.shape) != 4 or pixels.shape[1] != len(self.mean):
            stored = str(self.train.images.dtype).removeprefix("torch.")
            raise DataError(
                f"inputs of {self.name} are made from {stored} images, N x {len(self.mean)} x height x width, "
                f"not {pixels.dtype} of shape {tuple(pixels.shape)}"
            )
        if isinstance(pixels, Tensor):
            return self._normalized(pixels)
        inputs = torch.empty(pixels.shape)
        for part, chunk in zip(inputs.split(pixels.chunk_size), pixels.chunks(), strict=True):
            part.copy_(self._normalized(chunk))
        return inputs

    def _normalized(self, pixels: Tensor) -> Tensor:
        """The inputs of a tensor of images. In the order of torchvision's ToTensor and Normalize, so in its digits."""
        low, high = self.value_range
        inputs = pixels.to(torch.float32, copy=True)
        if low != 0:
            inputs.sub_(low)
        if high - low != 1:
            inputs.div_(high - low)
        if any(self.mean):
            inputs.sub_(torch.tensor(self.mean, dtype=torch.float32).view(1, -1, 1, 1))
        if set(self.std) != {1.0}:
            inputs.div_(torch.tensor(self.std, dtype=torch.float32).view(1, -1, 1, 1))
        return inputs

    def require_shape(self, input_shape: tuple[int, ...], model: str) -> None:
        """Raise DataError unless the images are of the shape (channels, height, width) that a model takes."""
        if tuple(input_shape) != self.image_shape:
            raise DataError(
                f"model {model!r} takes images of {_times(input_shape)} but data {self.name!r} has "
                f"{_times(self.image_shape)} (channels x height x width): choose data and a model that fit"
            )


@dataclass(frozen=True, eq=False)
class Inputs:
    """The normalized inputs of a split, made as they are asked for: `inputs[:256]` is a float32 tensor."""

    dataset: Dataset
    split: Split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, which: slice | Tensor | Sequence[int]) -> Tensor:
        return self.dataset.inputs(self.split.images[which])

    def chunks(self) -> Iterator[Tensor]:
        """All inputs in order, some at a time."""
        return map(self.dataset.inputs, self.split.images.chunks())


@dataclass(frozen=True, eq=False)
class Arrays:
    """What a reader gives: training and test images with their labels.

    Images are N x channels x height x width in uint8, uint16 or float32; labels int64, N. An array may be a view of
    any strides, and may lie in a file that is mapped: images are read some at a time, and never written. `Images` of an
    array are some of its rows, uncopied.
    """

    train_images: Array | Images
    train_labels: Array
    test_images: Array | Images
    test_labels: Array
    notes: tuple[str, ...] = ()
    """What a reader of a result must know: what was found, left out, or taken as something else."""

    value_range: tuple[float, float] | None = None
    """The values that stand for black and white; None where the data does not say it."""

    classes: tuple[str, ...] = ()
    """Names of the classes, that of label 0 first; empty where they have none."""

    validation_images: Array | None = None
    """The validation part, where the data has one of its own; else some training images are held out."""

    validation_labels: Array | None = None
    is_normalized: bool = False
    """Whether the images are what a network takes, and nothing is to be done with them but what is stated."""


def make_dataset(
    name: str,
    arrays: Arrays,
    *,
    classes: int | None = None,
    validation_fraction: float = HELD_OUT,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    value_range: Sequence[float] | None = None,
) -> Dataset:
    """Check what a reader gave, hold out the validation split and compute the statistics.

    classes: labels allowed; None takes the names' number, or the largest training label plus one.
    validation_fraction: part of each class of the training images that is held out, at least one image, where the data
    has no validation part of its own; the choice depends on the labels alone, so it is the same each time.
    mean, std: of values mapped to 0 to 1, a number for each channel or one for all; None has them computed.
    value_range: the values that are mapped to 0 and 1; None takes the reader's, or finds it. Of images already in
    memory or in a mapped file nothing is copied.
    Raises DataError if a part is empty, counts or image sizes differ, a label is out of range, a class has too few
    images to be split, or a stated value cannot be.
    """
    if not is_real(validation_fraction, 0, 1, open_low=True) or validation_fraction == 1:
        raise DataError(f"the validation fraction must lie between 0 and 1, not {shown(validation_fraction)}")
    if classes is not None and not is_integer(classes, 1):
        raise DataError(f"data {name!r}: classes must be a whole number from 1 on, not {shown(classes)}")
    _check_part(name, "training", arrays.train_images, arrays.train_labels)
    _check_part(name, "test", arrays.test_images, arrays.test_labels)
    others = [("test", arrays.test_images)]
    if arrays.validation_images is not None and arrays.validation_labels is not None:
        if validation_fraction != HELD_OUT:
            raise DataError(
                f"data {name!r} has a validation part of its own: leave out the share to hold out "
                f"({shown(validation_fraction)}), or the part"
            )
        _check_part(name, "validation", arrays.validation_images, arrays.validation_labels)
        others.append(("validation", arrays.validation_images))
    for part, images in others:
        if arrays.train_images.shape[1:] != images.shape[1:]:
            raise DataError(
                f"data {name!r}: training images are {_times(arrays.train_images.shape[1:])} but {part} images "
                f"{_times(images.shape[1:])}"
            )
    classes = _class_count(name, arrays, len(arrays.classes) or None if classes is None else classes)
    notes = arrays.notes
    if arrays.is_normalized:
        value_range = value_range or (0.0, 1.0)
        mean, std, given = (0.0, 1.0, (AS_GIVEN,)) if mean is None and std is None else (mean, std, ())
        notes = (*notes, *given)
    train, validation = _train_and_validation(name, arrays, validation_fraction)
    test = _split(name, "test", arrays.test_images, arrays.test_labels)
    for part, split in (("test", test), ("validation", validation)):
        if train.images.dtype != split.images.dtype:
            types = [str(one.images.dtype).removeprefix("torch.") for one in (train, split)]
            raise DataError(f"data {name!r}: training images are {types[0]} but {part} images {types[1]}")
    found = normalization(
        name,
        train.images,
        (("validation", validation.images), ("test", test.images)),
        value_range=arrays.value_range if value_range is None else value_range,
        mean=mean,
        std=std,
    )
    return Dataset(
        name=name,
        classes=classes,
        train=train,
        validation=validation,
        test=test,
        mean=found.mean,
        std=found.std,
        value_range=found.value_range,
        notes=(*notes, *found.notes),
        is_stated=found.is_stated,
        class_names=arrays.classes,
    )


def _train_and_validation(name: str, arrays: Arrays, fraction: float) -> tuple[Split, Split]:
    """The training part and its own validation part, or one that is held out of it."""
    images, labels = arrays.train_images, arrays.train_labels
    if arrays.validation_images is not None and arrays.validation_labels is not None:
        own = _split(name, "validation", arrays.validation_images, arrays.validation_labels)
        return _split(name, "training", images, labels), own
    kept, held_out = stratified_split(labels, fraction, seed=0)
    if not len(kept):
        raise DataError(f"data {name!r}: too few training images ({len(images)}) to hold some out")
    return _split(name, "training", images, labels, kept), _split(name, "training", images, labels, held_out)


def stratified_split(labels: Array, fraction: float, seed: int) -> tuple[Array, Array]:
    """Indices of a split that takes `fraction` of each class (rounded, at least one): (the rest, those taken).

    The same for the same labels and seed in every version of numpy: RandomState's stream is frozen (NEP 19). Both
    keep the order of the images.
    """
    generator = np.random.RandomState(seed)
    taken = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        taken[generator.permutation(members)[: max(1, round(fraction * len(members)))]] = True
    return np.flatnonzero(~taken), np.flatnonzero(taken)


def _check_part(name: str, part: str, images: Array | Images, labels: Array) -> None:
    """Refuse an empty part and one whose labels do not fit its images."""
    if len(images) != len(labels):
        raise DataError(f"data {name!r}: {len(images)} {part} images but {len(labels)} labels")
    if not math.prod(images.shape):
        raise DataError(f"data {name!r} has no {part} images")


def _class_count(name: str, arrays: Arrays, classes: int | None) -> int:
    """Check the range of the labels; the number of classes."""
    parts = [one for one in (arrays.train_labels, arrays.test_labels, arrays.validation_labels) if one is not None]
    low, high = min(int(one.min()) for one in parts), max(int(one.max()) for one in parts)
    limit = int(arrays.train_labels.max()) + 1 if classes is None else classes
    if low < 0 and classes is None:
        raise DataError(
            f"data {name!r}: labels reach from {low} to {high}, but classes are counted from 0: store y + {-low}, or "
            "number them as numpy.unique(y, return_inverse=True)[1] does"
        )
    if low >= 0 and high >= limit and classes is None:
        raise DataError(
            f"data {name!r}: labels must be 0 to {limit - 1}, as the training images have them, but those of the test "
            f"images reach to {high}: train on images of each class, or leave that class out"
        )
    if low < 0 or high >= limit:
        raise DataError(f"data {name!r}: labels must be 0 to {limit - 1}, but they reach from {low} to {high}")
    if low > 0 and classes is None:
        raise DataError(
            f"data {name!r}: labels reach from {low} to {high}, but classes are counted from 0: store y - {low}"
        )
    if limit > len(arrays.train_labels):
        raise DataError(f"data {name!r}: {len(arrays.train_labels)} training images cannot show {limit} classes")
    return limit


def _split(name: str, part: str, images: Array | Images, labels: Array, rows: Array | None = None) -> Split:
    """The images of these rows, all if None, with their labels."""
    try:
        view = Images(images, rows)
    except DataError as error:
        raise DataError(f"data {name!r}: {part} {error}") from None
    chosen = labels if rows is None else labels[rows]
    return Split(view, torch.from_numpy(np.array(chosen, dtype=np.int64)))  # pyright: ignore[reportUnknownMemberType]


def _times(shape: tuple[int, ...]) -> str:
    """A shape as `3 x 32 x 32`."""
    return " x ".join(str(size) for size in shape)


def _listed(numbers: Sequence[float]) -> str:
    """A number for each channel, or once what all have."""
    return ", ".join(f"{one:.6g}" for one in (numbers if len(set(numbers)) > 1 else numbers[:1]))
