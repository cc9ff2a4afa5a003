"""Which of a study's tasks are left, and which of them can start."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fewbits.study.result import FLOAT_RECIPE

if TYPE_CHECKING:
    from fewbits.study.plan import Plan
    from fewbits.study.tasks import Run, Task, Training


class Schedule:
    """Which tasks are left and which of them can start: a run waits for its float network, and while another run
    trains the network that both share, so that it finds the network on disk.
    """

    def __init__(self, plan: Plan, finished: frozenset[str]) -> None:
        left = [run for run in plan.runs if run.key not in finished]
        self.finished = len(plan.runs) - len(left)
        self.waiting = {
            training.key: runs
            for training in plan.float_trainings
            if (runs := [run for run in left if run.float_training.key == training.key])
        }
        """Runs by the key of the float network that they wait for."""

        trainings = [training for training in plan.float_trainings if training.key in self.waiting]
        self.ready: deque[Task] = deque(trainings)
        self.at_work: set[str] = set()
        """Keys of the networks that tasks under way train, or have on disk."""

        self.count = len(trainings) + len(left)
        self._trains = _first_of_each_network(plan.runs) | {training.key for training in trainings}
        self.epochs = sum(self.epochs_of(task) for task in (*trainings, *left))

    def startable(self) -> Task | None:
        """The first ready task whose network no task under way has."""
        return next((task for task in self.ready if training_of(task).key not in self.at_work), None)

    def begin(self, task: Task) -> None:
        """Note that a ready task is under way."""
        self.ready.remove(task)
        self.at_work.add(training_of(task).key)

    def end(self, task: Task) -> None:
        """Note that a task is no longer under way."""
        self.at_work.remove(training_of(task).key)

    def epochs_of(self, task: Task) -> int:
        """Epochs that a task trains at most; none where a task before it in the study trains the network."""
        return training_of(task).epochs if task.key in self._trains else 0


def is_float_training(task: Task) -> bool:
    """Whether a task trains a float network."""
    from fewbits.study.tasks import Training

    return isinstance(task, Training)


def training_of(task: Task) -> Training:
    """The training of a task's network."""
    from fewbits.study.tasks import Run

    return task.training if isinstance(task, Run) else task


def _first_of_each_network(runs: Sequence[Run]) -> set[str]:
    """Keys of the runs that train: the first of each network; not float32's, whose network is a task of its own."""
    first = {run.training.key: run for run in reversed(runs)}
    return {run.key for run in first.values() if run.training.recipe != FLOAT_RECIPE}
