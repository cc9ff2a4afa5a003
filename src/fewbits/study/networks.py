"""Trained networks on disk: one safetensors file each, with the record of their training; remade if damaged."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from fewbits.train.tensor_file import HEADER, write_tensors

FOLDER = "networks"
"""Of the study's output folder."""


@dataclass(frozen=True)
class TrainingOutcome:
    """What is known of a trained network beside its weights."""

    key: str
    """Of the `Training`."""

    epochs: int
    best_epoch: int
    validation_accuracy_percent: float
    test_accuracy_percent: float | None
    """Of a float network, in torch; None for the others, which their runs test."""

    notices: tuple[str, ...] = ()
    wall_time_s: float = 0.0
    """Of the training, over all its sittings; 0 if the file is of a version that did not note it."""


def save_network(path: Path, module: nn.Module, outcome: TrainingOutcome) -> None:
    """Write a network's weights and radix points, whole or not at all. Raises StudyError if it cannot be written."""
    write_tensors(path, module.state_dict(), json.dumps(asdict(outcome)))


def load_network(path: Path, key: str) -> tuple[dict[str, Tensor], TrainingOutcome] | None:
    """A trained network's tensors and record; None if there is no whole file of this key, so that it is trained."""
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        record["notices"] = tuple(record["notices"])
        outcome = TrainingOutcome(**record)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    return (tensors, outcome) if outcome.key == key else None


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that were killed; nobody may be writing."""
    for path in folder.rglob(".*.safetensors.*"):
        with suppress(OSError):
            path.unlink()
