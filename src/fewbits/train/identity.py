"""What tells one training run from another: the hash of all that defines it, and its checkpoint's file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fewbits.data import Dataset
from fewbits.train.settings import TrainSettings


def checkpoint_path(folder: str | Path | None, name: str, precision: str, seed: int) -> Path | None:
    """The checkpoint of a run in a folder; None without a folder."""
    if folder is None:
        return None
    return Path(folder) / f"{name}-{precision.replace('/', '_')}-seed{seed}.safetensors"


def run_hash(
    name: str,
    model: nn.Module,
    precision: str,
    data: Dataset,
    settings: TrainSettings,
    seed: int,
    options: Mapping[str, Any] | None = None,
) -> str:
    """A hash of what defines a training run: the start's weights, the data, settings, options and the seed."""
    digest = hashlib.sha256()
    parts: dict[str, Any] = {
        "recipe": name,
        "precision": precision,
        "data": data.name,
        "settings": settings.definition(),
        "seed": seed,
    }
    if options:
        parts["options"] = dict(options)
    if data.is_stated or data.value_range != (0, 255):
        parts["normalization"] = [data.value_range, data.mean, data.std]
    digest.update(json.dumps(parts, sort_keys=True).encode())
    for key, tensor in model.state_dict().items():
        digest.update(f"{key} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    for split in (data.train, data.validation):
        digest.update(f"{tuple(split.images.shape)}".encode())
        digest.update(_bytes(split.labels))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
