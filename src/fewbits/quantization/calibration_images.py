"""The images that radix points are chosen from, out of whatever holds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewbits.errors import DataError
from fewbits.torch_data import Batch, TorchData, batches, is_torch_data, item_count, seeded

LOADER_IMAGES = 256
"""Images that are taken of a torch Dataset or DataLoader, as many as `TrainSettings.calibration_images` has."""

_TAKES = "calibration takes a tensor of images or an iterable of such tensors, a torch Dataset or a DataLoader"


def joined(images: Tensor | Iterable[Any] | TorchData) -> Tensor:
    """One tensor of all the images, normalized floats, N first.

    Raises DataError if they are none, of another type, of several shapes, or NaN or infinite.
    """
    tensor = images if isinstance(images, Tensor) else _concatenated(_parts(images))
    if tensor.numel() == 0:
        raise DataError("calibration needs at least one image")
    if not tensor.is_floating_point():
        raise DataError(f"calibration takes normalized float images, not {tensor.dtype}")
    if not torch.isfinite(tensor).all():
        raise DataError("the calibration images hold NaN or infinity")
    return tensor


def _parts(images: Iterable[Any] | TorchData) -> list[Tensor]:
    """Batches of images."""
    if is_torch_data(images):
        return _of_torch_data(images)
    if not isinstance(images, Iterable):
        raise DataError(f"{_TAKES}, not {type(images).__name__}")
    parts = [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in images]
    if not parts or not all(isinstance(part, Tensor) for part in parts):
        raise DataError(_TAKES)
    return parts


def _of_torch_data(source: TorchData) -> list[Tensor]:
    """Some of the images, spread evenly, as items are often sorted by class; the first where they have no numbers."""
    count = item_count(source)
    if count == 0:
        raise DataError("calibration needs at least one image")
    numbers = None
    if count is not None:
        numbers = np.linspace(0, count - 1, min(count, LOADER_IMAGES)).round().astype(int).tolist()
    parts, taken = list[Tensor](), 0
    with seeded():
        for batch in batches(source, numbers):
            parts.append(_images(batch))
            taken += len(parts[-1])
            if taken >= LOADER_IMAGES:
                break
    return parts


def _images(batch: Batch) -> Tensor:
    if not isinstance(batch.images, Tensor):
        raise DataError(
            f"{batch.place} of the calibration data has an image of type {type(batch.images).__name__}: give tensors "
            "as the network takes them, such as by torchvision's ToTensor"
        )
    return batch.images if batch.is_batch else batch.images[None]


def _concatenated(parts: list[Tensor]) -> Tensor:
    try:
        return torch.cat(parts) if parts else torch.empty(0)
    except RuntimeError:
        shapes = dict.fromkeys(str(tuple(part.shape[1:])) for part in parts)
        raise DataError(
            f"calibration images are of several shapes ({', '.join([*shapes][:3])}): bring all to one"
        ) from None
