"""Checkpoints of a training run: one safetensors file, replaced whole after each epoch."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from fewbits.errors import ModelError, StudyError
from fewbits.train.tensor_file import HEADER, write_tensors


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """State after a whole epoch."""

    run: str
    """Hash of what defines the run; see `recipes`."""

    tensors: Mapping[str, Tensor]
    """Weights, optimizer state and best weights, each with its own prefix."""

    values: Mapping[str, Any]
    """The rest, as JSON takes it."""


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, on disk before it takes the place of the last one: a crash leaves the one or the other.

    Raises StudyError if it cannot be written (no room, no permission).
    """
    record = json.dumps({"run": checkpoint.run, "values": checkpoint.values})
    write_tensors(path, checkpoint.tensors, record)


def load_checkpoint(path: Path, run: str) -> tuple[Checkpoint | None, str | None]:
    """The checkpoint of a run, if there is one, and a notice if there is one that cannot be used.

    A damaged file is as good as none: the notice says that training starts anew. Raises ModelError if the file is
    the whole checkpoint of another run, which is not to be overwritten, StudyError if it cannot be read.
    """
    if not path.exists():
        return None, None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        checkpoint = Checkpoint(run=header["run"], tensors=tensors, values=header["values"])
    except OSError as error:
        raise StudyError(f"cannot read checkpoint {str(path)!r}: {error.strerror or error}") from None
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        return None, f"checkpoint {path.name!r} is damaged ({type(error).__name__}): training starts anew"
    if checkpoint.run != run:
        raise ModelError(
            f"checkpoint {str(path)!r} belongs to another run (other model, data, precision, settings or seed): "
            "give another folder or remove the file"
        )
    return checkpoint, None
