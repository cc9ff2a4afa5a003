"""Trained networks on disk: one safetensors file each, with the record of their training; remade if damaged."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter
from torch import Tensor, nn

from fewbits.errors import StudyError
from fewbits.study.declaration import STORED, Count, Percent, Size
from fewbits.tensor_file import read_tensors, write_tensors
from fewbits.train.checkpoint import UNFIT
from fewbits.train.record import EpochRecord, RoundRecord

FOLDER = "networks"
"""Of the study's output folder."""

CHECKPOINTS = "checkpoints"
"""Folder for networks half trained, in the study's output folder."""

BASELINES = "baselines"
"""Folder for the energies that runs are compared with, in the study's output folder."""


@dataclass(frozen=True)
class TrainingOutcome:
    """What is known of a trained network beside its weights."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    key: str
    """Of the `Training`."""

    epochs: Count
    best_epoch: Count
    validation_accuracy_percent: Percent
    test_accuracy_percent: Percent | None
    """Of a float network, in torch; None for the others, which their runs test."""

    notices: tuple[str, ...] = ()
    wall_time_s: Size = 0.0
    """Of the training, over all its sittings; 0 if the file is of a version that did not note it."""

    history: tuple[EpochRecord, ...] = ()
    """The training curve, of the last stage where a recipe has several; empty in a file of a version that kept none."""

    rounds: tuple[RoundRecord, ...] = ()
    """Of a recipe that approximates round by round."""


_OUTCOME = TypeAdapter(TrainingOutcome)


def save_network(path: Path, module: nn.Module, outcome: TrainingOutcome) -> None:
    """Write a network's weights and radix points, whole or not at all. Raises StudyError if it cannot be written."""
    write_tensors(path, module.state_dict(), json.dumps(asdict(outcome)))


def load_network(path: Path, key: str) -> tuple[dict[str, Tensor], TrainingOutcome] | None:
    """A trained network's tensors and record; None if there is no whole file of this key, so that it is trained."""
    try:
        tensors, record = read_tensors(path)
        outcome = _OUTCOME.validate_json(json.dumps(record))
    except (OSError, *UNFIT):
        return None
    return (tensors, outcome) if outcome.key == key else None


def keep_network(path: Path, content: bytes, key: str) -> None:
    """Write the file of a network that was trained elsewhere, whole or not at all.

    Raises StudyError if it is not what was written there, of this key, or cannot be written here.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if load_network(temporary, key) is None:
            raise StudyError(f"network {path.name!r} came damaged from its worker: give the same command again")
        temporary.replace(path)
    except OSError as error:
        raise StudyError(
            f"cannot write {str(path)!r}: {error.strerror or error}; make room or give another folder"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def is_damaged(path: Path, key: str) -> bool:
    """Whether there is a file in a trained network's place that is not what was written."""
    return path.exists() and load_network(path, key) is None


def network_path(folder: Path, stem: str) -> Path:
    """Where the network of a file name without ending lies, or goes, in a study's folder.

    The key at the end of the name counts: the words before it differ where a network was trained under another name.
    Raises StudyError for a link in its place.
    """
    return _named(folder / FOLDER, f"{stem}.safetensors")


def checkpoint_folder(folder: Path, stem: str) -> Path:
    """Where the half-trained network of a file name without ending lies, or goes, in a study's folder.

    As `network_path`.
    """
    return _named(folder / CHECKPOINTS, stem)


def baseline_path(folder: Path, stem: str) -> Path:
    """Where the baseline of a file name without ending lies, or goes, in a study's folder. As `network_path`."""
    return _named(folder / BASELINES, f"{stem}.safetensors")


def _named(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.exists() and folder.is_dir():
        end = name[name.rindex("-") :]
        others = (each for each in folder.iterdir() if each.name.endswith(end) and not each.name.startswith("."))
        path = min(others, default=path)
    for each in (folder, path):
        if each.is_symlink():
            raise StudyError(f"{str(each)!r} is a link, and fewbits writes through none: remove it")
    return path


def remove_checkpoints(folder: Path) -> None:
    """Remove what trainings left in a folder of checkpoints, and the folder if nothing else is in it."""
    _remove(folder, _CHECKPOINT)
    with suppress(OSError):
        folder.rmdir()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that were killed; nobody may be writing, the folders must be fewbits's."""
    for each in (folder / FOLDER, folder / BASELINES, folder / CHECKPOINTS, *_folders_in(folder / CHECKPOINTS)):
        _remove(each, _LEFTOVER)


_CHECKPOINT = re.compile(r"\.?[\w.+-]+-seed\d+\.safetensors(\.\d+)?")
"""A checkpoint's name, or that of one half written."""

_LEFTOVER = re.compile(r"\.[\w.+-]+-seed\d+(-[0-9a-f]{16})?\.safetensors\.\d+")
"""The name of a network or checkpoint half written, with its writer's process number."""


def _folders_in(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_dir()] if folder.is_dir() else []


def _remove(folder: Path, names: re.Pattern[str]) -> None:
    """Remove the files of such names in a folder; a link in a folder's place is not followed."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        if names.fullmatch(path.name) and not path.is_dir():
            with suppress(OSError):
                path.unlink()
