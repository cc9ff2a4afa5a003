"""Hashes of what defines a run: a data set's content (`data/digest.py`), a fresh network, a definition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fewbits.data.digest import data_sha256 as data_sha256


class _Digest(Protocol):
    """What hashes pieces of bytes."""

    def update(self, piece: Any, /) -> None:
        """Add a piece."""


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
