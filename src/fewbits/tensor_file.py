"""Tensors and a JSON record in one safetensors file that is whole or not there at all, and carries their digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fewbits.errors import StudyError

HEADER = "fewbits"
"""Key of the JSON text in the file's metadata."""

DIGEST = "sha256"
"""Key of the digest in the file's metadata; files of versions that wrote none lack it."""


class DamagedFileError(ValueError):
    """A tensor file that is not whole, or not what was written."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], record: str) -> None:
    """Write the file, on disk before it takes its name: a crash leaves the old one or the new one.

    record: JSON text. Raises StudyError if it cannot be written (no room, no permission, a link in its place).
    """
    if not path.name or "\0" in str(path):
        raise StudyError(f"{str(path)!r} is no name of a file: give another name")
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.is_symlink():
            raise StudyError(f"{str(path)!r} is a link, and fewbits writes through none: remove it")
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(save(own, {HEADER: record, DIGEST: _digest(own, record)}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StudyError(
            f"cannot write {str(path)!r}: {error.strerror or error}; make room or give another folder"
        ) from None


def read_tensors(path: Path, *, needs_digest: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the record of a file.

    Raises DamagedFileError if it is not what was written: by its digest, or, if it has none and needs none, by its form
    alone; OSError if it is not there or cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            text = metadata[HEADER]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        record = json.loads(text)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFileError(type(error).__name__) from None
    if needs_digest and DIGEST not in metadata:
        raise DamagedFileError("it carries no digest")
    if DIGEST in metadata and metadata[DIGEST] != _digest(tensors, text):
        raise DamagedFileError("its content is not what was written")
    if not isinstance(record, dict):
        raise DamagedFileError("it holds no record")
    return tensors, record


def _digest(tensors: Mapping[str, Tensor], record: str) -> str:
    """Of the record and of the names, types, shapes and values of the tensors."""
    digest = hashlib.sha256(record.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
