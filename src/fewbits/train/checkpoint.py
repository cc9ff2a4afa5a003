"""Checkpoints of a training run: one safetensors file, replaced whole after each epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fewbits.errors import FewbitsError, ModelError, StudyError
from fewbits.tensor_file import DamagedFileError, read_tensors, write_tensors

UNFIT = (KeyError, ValueError, TypeError, AttributeError, RuntimeError, FewbitsError)
"""What values and tensors of a whole file raise that do not fit a network: torch's own error is a RuntimeError."""


class ForeignCheckpointError(ModelError):
    """The whole checkpoint of another run lies where this one's goes."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """State after a whole epoch."""

    run: str
    """Hash of what defines the run; see `recipes`."""

    tensors: Mapping[str, Tensor]
    """Weights, optimizer state and best weights, each with its own prefix."""

    values: Mapping[str, Any]
    """The rest, as JSON takes it."""

    computes: str = ""
    """Hash of what the network that the run starts from computes; empty in a file of a version that did not note it."""


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, on disk before it takes the place of the last one: a crash leaves the one or the other.

    Raises StudyError if it cannot be written (no room, no permission).
    """
    record = json.dumps({"run": checkpoint.run, "values": checkpoint.values, "computes": checkpoint.computes})
    write_tensors(path, checkpoint.tensors, record)


def load_checkpoint(path: Path, run: str, computes: str = "") -> tuple[Checkpoint | None, str | None]:
    """The checkpoint of a run, if there is one, and a notice if there is one that cannot be used.

    A damaged file is as good as none: the notice says that training starts anew. Raises ForeignCheckpointError if the
    file is the whole checkpoint of another run, which is not to be overwritten, StudyError if it cannot be read.
    """
    if not path.exists():
        return None, None
    try:
        tensors, header = read_tensors(path)
        checkpoint = Checkpoint(header["run"], tensors, header["values"], header.get("computes", ""))
    except OSError as error:
        raise StudyError(f"cannot read checkpoint {str(path)!r}: {error.strerror or error}") from None
    except (DamagedFileError, KeyError) as error:
        return None, damaged(path, one_line(error))
    is_same = checkpoint.run == run and checkpoint.computes in ("", computes)
    if not is_same:
        raise ForeignCheckpointError(
            f"checkpoint {str(path)!r} belongs to another run (other model, data, precision, settings or seed): "
            "give another folder or remove the file"
        )
    return checkpoint, None


def damaged(path: Path, why: str) -> str:
    """What to say of a checkpoint that cannot be used."""
    return f"checkpoint {path.name!r} is damaged ({why}): training starts anew"


def one_line(error: BaseException) -> str:
    """The start of an error's message."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:120]
