"""A task of a study as a job: what an executor calls in a worker's process, and gives back to the engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from fewbits.executors import Report
from fewbits.study.networks import TrainingOutcome
from fewbits.study.point import Workshop
from fewbits.study.result import RunResult
from fewbits.study.tasks import Task


@dataclass(frozen=True)
class Place:
    """Where the tasks of one sitting of a study are done."""

    folder: Path
    """The study's output folder."""

    sitting: str
    """Tells it from all others, also of this study: what a worker has loaded holds for one sitting."""


def do_task(report: Report, place: Place, task: Task) -> TrainingOutcome | RunResult:
    """Do a task of a study in this process. Raises what training or testing raises."""
    torch.set_num_threads(1)  # the sums of floats depend on it
    return replace(_workshop(place), progress=report).do(task)


@lru_cache(maxsize=1)
def _workshop(place: Place) -> Workshop:
    """With the data and energies that tasks of the same sitting before this one loaded."""
    return Workshop(place.folder)
