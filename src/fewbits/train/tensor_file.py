"""Tensors and a JSON record in one safetensors file that is whole or not there at all."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from fewbits.errors import StudyError

HEADER = "fewbits"
"""Key of the JSON text in the file's metadata."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], record: str) -> None:
    """Write the file, on disk before it takes its name: a crash leaves the old one or the new one.

    record: JSON text. Raises StudyError if it cannot be written (no room, no permission).
    """
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(save(own, {HEADER: record}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StudyError(
            f"cannot write {str(path)!r}: {error.strerror or error}; make room or give another folder"
        ) from None
