"""A task of a study as a job: what an executor calls in a worker's process, and gives back to the engine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch

from fewbits.executors import Report
from fewbits.study.folder import SITTING_NAME
from fewbits.study.networks import TrainingOutcome, network_path
from fewbits.study.point import Workshop
from fewbits.study.result import RunResult
from fewbits.study.tasks import Run, Task, Training


@dataclass(frozen=True)
class Place:
    """Where the tasks of one sitting of a study are done."""

    folder: Path
    """The study's output folder, as the parent's absolute path."""

    sitting: str
    """Tells it from all others, also of this study: what a worker has loaded holds for one sitting."""

    working_folder: str
    """Of the parent: where relative paths of the study begin."""

    def mark(self) -> None:
        """Write what `is_here` finds. Raises OSError."""
        (self.folder / SITTING_NAME).write_text(self.sitting, encoding="ascii")


@dataclass(frozen=True)
class TaskDone:
    """A task's result, and what else goes to the parent."""

    result: TrainingOutcome | RunResult
    networks: dict[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    """Files of trained networks, by stem; none where the worker wrote them into the study's folder itself."""


@dataclass(frozen=True)
class FolderUnseen:
    """A worker does not see the study's folder, and was not sent what it needs instead."""


def is_here(place: Place) -> bool:
    """Whether this process sees the folder of this very sitting, and not another one of its name."""
    with suppress(OSError, ValueError):
        return (place.folder / SITTING_NAME).read_text(encoding="ascii") == place.sitting
    return False


def do_task(
    report: Report, place: Place, task: Task, stems: Sequence[str] | None, *networks: bytes
) -> TaskDone | FolderUnseen:
    """Do a task of a study in this process. Raises what training or testing raises.

    stems, networks: of the trained networks that the task starts from, as files, for a worker that does not see the
    study's folder; None where all do. Such a worker keeps nothing.
    """
    torch.set_num_threads(1)  # the sums of floats depend on it
    workshop = replace(_workshop(place, task), progress=report)
    if is_here(place):
        return TaskDone(workshop.do(task))
    if stems is None:
        return FolderUnseen()
    given = dict(zip(stems, networks, strict=True))
    with tempfile.TemporaryDirectory(prefix="fewbits-") as folder:
        for stem, content in given.items():
            path = network_path(Path(folder), stem)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        result = replace(workshop, folder=Path(folder)).do(task)
        paths = {one.stem: network_path(Path(folder), one.stem) for one in trainings_of(task)}
        found = {stem: path.read_bytes() for stem, path in paths.items() if path.exists()}
        return TaskDone(result, {stem: content for stem, content in found.items() if given.get(stem) != content})


def trainings_of(task: Task) -> Iterator[Training]:
    """Of the networks that a task makes or starts from."""
    if isinstance(task, Run):
        yield task.float_training
        if task.training.key != task.float_training.key:
            yield task.training
    else:
        yield task


_last_sitting = ""


def _workshop(place: Place, task: Task) -> Workshop:
    """With the data and energies that tasks of the same sitting before this one loaded."""
    global _last_sitting
    if _last_sitting not in ("", place.sitting):  # a worker that outlives a study
        for training in trainings_of(task):
            training.source.forget_packages()
    _last_sitting = place.sitting
    return _workshop_of(place)


@lru_cache(maxsize=1)
def _workshop_of(place: Place) -> Workshop:
    with suppress(OSError):  # another machine may not have it: absolute paths are found all the same
        os.chdir(place.working_folder)
    return Workshop(place.folder)
