"""A data set: its three splits, and how images become a network's inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewbits.arguments import is_real, shown
from fewbits.errors import DataError

Array = NDArray[Any]

_CHUNK = 4096
"""Images that the statistics widen to 64 bits at a time."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels."""

    images: Tensor
    """uint8, N x channels x height x width."""

    labels: Tensor
    """int64, N; 0 to classes - 1."""

    def __len__(self) -> int:
        return self.images.shape[0]


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
    """Subtracted from pixel / 255, by channel: 0 for grey, the mean of `train` for color."""

    scale: float
    """Divides what is left, one for all channels: 1 for grey, the standard deviation of `train` for color."""

    notes: tuple[str, ...] = ()
    """What a reader of a result must know about this data: a re-split, lossy images, a license."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.train.images.shape[1:]
        return (channels, height, width)

    def inputs(self, images: Split | Tensor | Array) -> Tensor:
        """Normalized inputs: (images / 255 - mean) / scale, as a new float32 tensor.

        images: a split, or uint8 images of shape N x channels x height x width.
        Raises DataError if the images are of another type or have other channels.
        """
        pixels = images.images if isinstance(images, Split) else torch.as_tensor(images)
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] != len(self.mean):
            raise DataError(
                f"inputs of {self.name} are made from uint8 images, N x {len(self.mean)} x height x width, "
                f"not {pixels.dtype} of shape {tuple(pixels.shape)}"
            )
        inputs = pixels.to(torch.float32).div_(255)
        if any(self.mean):
            inputs.sub_(torch.tensor(self.mean, dtype=torch.float32).view(1, -1, 1, 1))
        if self.scale != 1:
            inputs.div_(self.scale)
        return inputs

    def require_shape(self, input_shape: tuple[int, ...], model: str) -> None:
        """Raise DataError unless the images are of the shape (channels, height, width) that a model takes."""
        if tuple(input_shape) != self.image_shape:
            raise DataError(
                f"model {model!r} takes images of {_times(input_shape)} but data {self.name!r} has "
                f"{_times(self.image_shape)} (channels x height x width): choose data and a model that fit"
            )


@dataclass(frozen=True, eq=False)
class Arrays:
    """What a reader gives: images uint8 N x channels x height x width, labels int64, train and test parts."""

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array
    notes: tuple[str, ...] = ()


def make_dataset(name: str, arrays: Arrays, *, classes: int | None = None, validation_fraction: float = 0.1) -> Dataset:
    """Check what a reader gave, hold out the validation split and compute the statistics.

    classes: labels allowed; None takes the largest training label plus one.
    validation_fraction: part of each class of the training images that is held out, at least one image; the choice
    depends on the labels alone, so it is the same each time.
    Raises DataError if a part is empty, counts or image sizes differ, a label is out of range, or a class has too
    few images to be split.
    """
    if not is_real(validation_fraction, 0, 1, open_low=True) or validation_fraction == 1:
        raise DataError(f"the validation fraction must lie between 0 and 1, not {shown(validation_fraction)}")
    _check_part(name, "training", arrays.train_images, arrays.train_labels)
    _check_part(name, "test", arrays.test_images, arrays.test_labels)
    if arrays.train_images.shape[1:] != arrays.test_images.shape[1:]:
        raise DataError(
            f"data {name!r}: training images are {_times(arrays.train_images.shape[1:])} but test images "
            f"{_times(arrays.test_images.shape[1:])}"
        )
    classes = _class_count(name, arrays, classes)
    kept, held_out = stratified_split(arrays.train_labels, validation_fraction, seed=0)
    if not len(kept):
        raise DataError(f"data {name!r}: too few training images ({len(arrays.train_images)}) to hold some out")
    train = _split(arrays.train_images[kept], arrays.train_labels[kept])
    mean, scale = _statistics(train.images.numpy())
    return Dataset(
        name=name,
        classes=classes,
        train=train,
        validation=_split(arrays.train_images[held_out], arrays.train_labels[held_out]),
        test=_split(arrays.test_images, arrays.test_labels),
        mean=mean,
        scale=scale,
        notes=arrays.notes,
    )


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


def _check_part(name: str, part: str, images: Array, labels: Array) -> None:
    """Refuse an empty part and one whose labels do not fit its images."""
    if len(images) != len(labels):
        raise DataError(f"data {name!r}: {len(images)} {part} images but {len(labels)} labels")
    if images.size == 0:
        raise DataError(f"data {name!r} has no {part} images")


def _class_count(name: str, arrays: Arrays, classes: int | None) -> int:
    """Check the range of the labels; the number of classes."""
    low = int(min(arrays.train_labels.min(), arrays.test_labels.min()))
    high = int(max(arrays.train_labels.max(), arrays.test_labels.max()))
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


def _split(images: Array, labels: Array) -> Split:
    """Tensors over the arrays, which are copied only if they are not in order or read-only."""
    in_order: Array = np.ascontiguousarray(images)
    if not in_order.flags.writeable:
        in_order = in_order.copy()
    return Split(
        images=torch.from_numpy(in_order),  # pyright: ignore[reportUnknownMemberType]
        labels=torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64)),  # pyright: ignore[reportUnknownMemberType]
    )


def _statistics(images: Array) -> tuple[tuple[float, ...], float]:
    """Mean by channel and one standard deviation around those means, of pixel / 255; (0,) and 1 for grey.

    Summed in integers, so exact however many images there are.
    """
    channels = images.shape[1]
    if channels == 1:
        return (0.0,), 1.0
    total = np.zeros(channels, dtype=np.int64)
    squares = 0
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        total += chunk.sum(axis=(0, 2, 3), dtype=np.int64)
        squares += int(np.square(chunk, dtype=np.uint16).sum(dtype=np.int64))  # 255^2 fits 16 bits
    count = images.size // channels
    mean: Array = total / count
    variance = squares / images.size - float(np.square(mean).mean())
    scale = float(np.sqrt(variance)) / 255
    return tuple((mean / 255).tolist()), scale if scale > 0 else 1.0


def _times(shape: tuple[int, ...]) -> str:
    """A shape as `3 x 32 x 32`."""
    return " x ".join(str(size) for size in shape)
