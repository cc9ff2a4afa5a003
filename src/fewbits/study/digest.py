"""Hashes of what defines a run: a data set's content, a fresh network, a definition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fewbits.data import Dataset


class _Digest(Protocol):
    """What hashes pieces of bytes."""

    def update(self, piece: Any, /) -> None:
        """Add a piece."""


def data_sha256(dataset: Dataset) -> str:
    """Hash of all images, labels and the normalization: what a network sees of a data set."""
    digest = hashlib.sha256(json.dumps([dataset.classes, *_normalization(dataset)]).encode())
    for split in (dataset.train, dataset.validation, dataset.test):
        digest.update(f"{split.images.dtype} {split.images.shape}".encode())
        for chunk in split.images.chunks():
            digest.update(chunk.numpy().data)
        _update(digest, split.labels)
    return digest.hexdigest()


def _normalization(dataset: Dataset) -> list[Any]:
    """Mean, one deviation where all are equal, and the range of values where it is not that of bytes."""
    std = dataset.std[0] if len(set(dataset.std)) == 1 else dataset.std
    return [dataset.mean, std] if dataset.value_range == (0, 255) else [dataset.mean, std, dataset.value_range]


def network_sha256(network: nn.Module) -> str:
    """Hash of a built-in network's modules and weights; what it computes from them belongs to fewbits's version.

    Of a user's own network, `train.computation` tells what it computes.
    """
    state = network.state_dict()
    return _sha256(f"{network!r} {list(state)}", state.values())


def json_sha256(definition: dict[str, Any]) -> str:
    """Hash of a definition in canonical JSON. Raises ValueError for NaN and infinity."""
    return _sha256(json.dumps(definition, sort_keys=True, separators=(",", ":"), allow_nan=False), ())


def _sha256(text: str, tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for tensor in tensors:
        _update(digest, tensor)
    return digest.hexdigest()


def _update(digest: _Digest, tensor: Tensor) -> None:
    """Add a tensor's type, shape and values."""
    digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
