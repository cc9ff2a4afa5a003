"""The hash of what a network sees of a data set."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor

from fewbits.data.dataset import Dataset


def data_sha256(dataset: Dataset, *, with_test: bool = True) -> str:
    """Hash of all images, labels and the normalization: what a network sees of a data set.

    with_test: False leaves the test images out, for whoever may not look at them.
    """
    digest = hashlib.sha256(json.dumps([dataset.classes, *_normalization(dataset)]).encode())
    for split in (dataset.train, dataset.validation, *((dataset.test,) if with_test else ())):
        digest.update(f"{split.images.dtype} {split.images.shape}".encode())
        for chunk in split.images.chunks():
            digest.update(chunk.numpy().data)
        _update(digest, split.labels)
    return digest.hexdigest()


def _normalization(dataset: Dataset) -> list[Any]:
    """Mean, one deviation where all are equal, and the range of values where it is not that of bytes."""
    std = dataset.std[0] if len(set(dataset.std)) == 1 else dataset.std
    return [dataset.mean, std] if dataset.value_range == (0, 255) else [dataset.mean, std, dataset.value_range]


def _update(digest: Any, tensor: Tensor) -> None:
    """Add a tensor's type, shape and values."""
    digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
