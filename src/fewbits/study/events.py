"""What a study tells while it runs. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewbits.study.result import FLOAT_RECIPE, FailedRun, RunResult
from fewbits.train.record import EpochRecord

FLOAT_TRAINING = "float training"


@dataclass(frozen=True)
class TaskLabel:
    """A task, for people."""

    model: str
    data: str
    precision: str
    recipe: str
    """A run's recipe; FLOAT_TRAINING for the training of a float network."""

    seed: int
    key: str = ""
    """Hash of all that defines the task: that of the run's result; of a float network, that of its training."""

    accelerator: str = ""
    """Of a run, where the study has several; else empty."""

    def __str__(self) -> str:
        what = self.recipe if self.recipe == FLOAT_TRAINING else self.precision
        recipe = "" if self.recipe in (FLOAT_TRAINING, FLOAT_RECIPE) else f" {self.recipe}"
        machine = f" on {self.accelerator}" if self.accelerator else ""
        return f"{Path(self.model).name} {Path(self.data).name} {what}{recipe} seed {self.seed}{machine}"


@dataclass(frozen=True)
class StudyStarted:
    """The plan stands and workers start."""

    name: str
    runs: int
    """In the study."""

    finished: int
    """Of these, before this start."""

    epochs: int
    """Still to be trained at most, over all tasks."""

    workers: int
    where: str = ""
    """Which workers these are, where they are not this machine's own."""


@dataclass(frozen=True)
class TaskStarted:
    """A worker has taken a task."""

    label: TaskLabel
    epochs: int
    """Planned."""


@dataclass(frozen=True)
class TaskProgress:
    """A task goes on."""

    label: TaskLabel
    epoch: int
    """Under way, from 1."""

    epochs: int
    epochs_done: float
    """Whole epochs and the part of the one under way."""

    loss: float
    validation_accuracy_percent: float | None
    """Of the last epoch that was validated."""

    epochs_ended: tuple[EpochRecord, ...] = ()
    """The last ones of those that have ended."""


@dataclass(frozen=True)
class Measured:
    """How far a worker is with a network's accuracy with defects."""

    done: int
    """Accuracies computed."""

    of: int


@dataclass(frozen=True)
class TaskMeasuring:
    """A run's network is trained, and is measured with defects."""

    label: TaskLabel
    measured: Measured


@dataclass(frozen=True)
class FloatNetworkTrained:
    """A float network stands; the runs that start from it can begin."""

    label: TaskLabel
    validation_accuracy_percent: float


@dataclass(frozen=True)
class RunFinished:
    """A run's figures are stored."""

    label: TaskLabel
    result: RunResult


@dataclass(frozen=True)
class RunFailed:
    """A run has failed; the study goes on."""

    label: TaskLabel
    failure: FailedRun


@dataclass(frozen=True)
class Notice:
    """What a person should know: something stored that cannot be used any more, and what becomes of it."""

    text: str


Event = (
    Notice | StudyStarted | TaskStarted | TaskProgress | TaskMeasuring | FloatNetworkTrained | RunFinished | RunFailed
)

Observer = Callable[[Event], None]
"""Called in the process that runs the study, between its steps: it should return at once."""


def point_of(run: TaskLabel | RunResult | FailedRun) -> dict[str, Any]:
    """What names a run, by key; its accelerator only where the study has several."""
    point = {name: getattr(run, name) for name in ("model", "data", "precision", "recipe", "seed")}
    return {**point, "accelerator": run.accelerator} if run.accelerator else point
