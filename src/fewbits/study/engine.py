"""`run_study`: run what a study lacks on worker processes, and keep the results; only this process writes the store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.errors import StudyError
from fewbits.study.events import (
    FLOAT_TRAINING,
    Event,
    FloatNetworkTrained,
    Notice,
    Observer,
    RunFailed,
    RunFinished,
    StudyStarted,
    TaskLabel,
    TaskProgress,
    TaskStarted,
)
from fewbits.study.folder import KEPT, is_study_folder, study_folder
from fewbits.study.lock import folder_lock
from fewbits.study.outdated import damaged_rows, outdated_runs
from fewbits.study.pool import Pool
from fewbits.study.result import FailedRun, RunResult
from fewbits.study.schedule import Schedule, is_float_training, training_of
from fewbits.study.store import Store

if TYPE_CHECKING:
    from fewbits.study.plan import Plan
    from fewbits.study.spec import StudySpec
    from fewbits.study.worker import Message, Task
    from fewbits.train import Progress


@dataclass(frozen=True)
class StudyOutcome:
    """How a study ended: all its runs are in one of the two, in the study's order."""

    results: tuple[RunResult, ...]
    failed: tuple[FailedRun, ...]


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C while a study ran. Workers are stopped, the store is whole; the message says how to go on."""


def _ignore(_: Event) -> None:
    """Tell nobody."""


def run_study(
    spec: StudySpec, out: str | Path, workers: int | None = None, observer: Observer = _ignore
) -> StudyOutcome:
    """Run a study into a folder, from wherever it stands there.

    Finished runs are not repeated, failed ones are tried again, and those that were cut off go on from the last epoch's
    checkpoint. Results depend neither on the number of workers nor on interruptions.
    out: made if it is not there. workers: processes of one thread each; None takes one for each core this process may
    use. observer: told of each step.
    Raises StudyError if the study or the folder cannot be used, in which case nothing in the folder is lost;
    StudyInterrupted (a KeyboardInterrupt) on Ctrl-C.
    """
    if workers is not None and workers < 1:
        raise StudyError(f"workers must be at least 1, not {workers}")
    from fewbits.study.networks import remove_leftovers  # here and below: loads torch
    from fewbits.study.plan import make_plan

    folder, ours = Path(out), study_folder(out)
    ours.check(KEPT)
    with ExitStack() as held:
        if is_study_folder(folder):  # a folder in use is told at once, and a new one made for no study that is refused
            held.enter_context(folder_lock(folder))
            plan = make_plan(spec)
        else:
            plan = make_plan(spec)
            held.enter_context(folder_lock(folder))
        ours.keep(KEPT)
        store = held.enter_context(Store(folder))
        remove_leftovers(folder)
        planned = [(run.key, run.definition) for run in plan.runs]
        outdated = store.plan(spec.name, spec.definition(), plan.rests_on, planned)
        for text in (
            *plan.data_notices,
            *damaged_rows(store.damaged_rows),
            *outdated_runs(outdated),
            *_damaged_networks(plan, store, folder),
        ):
            observer(Notice(text))
        schedule = Schedule(plan, store.finished_keys())
        size = min(workers or len(os.sched_getaffinity(0)), max(1, schedule.count))
        observer(StudyStarted(spec.name, len(plan.runs), schedule.finished, schedule.epochs, size))
        try:
            with Pool(folder, size) as pool:
                _Engine(schedule, store, pool, observer).work()
        except KeyboardInterrupt:
            raise StudyInterrupted(
                f"interrupted: {len(store.finished_keys())} finished runs are kept in {str(folder)!r}; "
                "the same command goes on from there"
            ) from None
        return StudyOutcome(store.results(), store.failures())


def _damaged_networks(plan: Plan, store: Store, folder: Path) -> Iterator[str]:
    """Plan anew the finished runs whose stored network is not what was written; a line for each such network."""
    from fewbits.study.networks import is_damaged, network_path

    finished = store.finished_keys()
    trainings = {one.key: one for run in plan.runs if run.key in finished for one in (run.float_training, run.training)}
    for key, training in trainings.items():
        path = network_path(folder, training.stem)
        if is_damaged(path, key):
            store.set_planned(run.key for run in plan.runs if run.key in finished and run.training.key == key)
            yield f"stored network {path.name!r} is damaged: it is made anew by the first run that needs it"


class _Engine:
    """Moves tasks to workers and results into the store."""

    def __init__(self, schedule: Schedule, store: Store, pool: Pool, observer: Observer) -> None:
        self._schedule = schedule
        self._store = store
        self._pool = pool
        self._observer = observer
        self._busy = 0
        self._tried_again: set[str] = set()
        """Keys of the float networks whose worker was lost once."""

    def work(self) -> None:
        """Until no task is left."""
        self._give_out()
        while self._busy:
            for task, message in self._pool.messages():
                self._handle(task, message)
                self._give_out()

    def _give_out(self) -> None:
        """Give ready tasks to free workers."""
        schedule = self._schedule
        while (task := schedule.startable()) is not None and self._pool.give(task):
            schedule.begin(task)
            self._busy += 1
            if not is_float_training(task):
                self._store.set_running(task.key)
            self._observer(TaskStarted(_label(task), schedule.epochs_of(task)))

    def _handle(self, task: Task, message: Message | str) -> None:
        from fewbits.study.networks import TrainingOutcome
        from fewbits.train import Progress

        if isinstance(message, Progress):
            self._observer(_progress(task, message))
            return
        self._pool.release(task)
        self._schedule.end(task)
        self._busy -= 1
        match message:
            case RunResult():
                self._store.set_finished(message)
                self._observer(RunFinished(_label(task), message))
            case TrainingOutcome():
                self._schedule.ready.extend(self._schedule.waiting.pop(task.key))
                self._observer(FloatNetworkTrained(_label(task), message.validation_accuracy_percent))
            case str():
                self._lose(task, message)
            case _:
                self._fail(task, message.error)

    def _lose(self, task: Task, error: str) -> None:
        """Note a task whose worker is gone; a float network, on which many runs rest, has a second try."""
        if is_float_training(task) and task.key not in self._tried_again:
            self._tried_again.add(task.key)
            self._schedule.ready.appendleft(task)
        else:
            self._fail(task, error)

    def _fail(self, task: Task, error: str) -> None:
        """Note a failed run, or all runs that wait for a failed float network."""
        if is_float_training(task):
            for run in self._schedule.waiting.pop(task.key):
                self._fail_run(run, f"its float network was not trained: {error}")
        else:
            self._fail_run(task, error)

    def _fail_run(self, run: Task, error: str) -> None:
        self._store.set_failed(run.key, error)
        label = _label(run)
        failure = FailedRun(
            key=run.key,
            model=label.model,
            data=label.data,
            precision=label.precision,
            recipe=label.recipe,
            seed=label.seed,
            error=error,
        )
        self._observer(RunFailed(label, failure))


def _label(task: Task) -> TaskLabel:
    from fewbits.study.tasks import Run

    training = training_of(task)
    recipe = task.recipe if isinstance(task, Run) else FLOAT_TRAINING
    return TaskLabel(training.model, training.data, training.precision, recipe, training.seed)


def _progress(task: Task, progress: Progress) -> TaskProgress:
    return TaskProgress(
        label=_label(task),
        epoch=progress.epoch,
        epochs=progress.epochs,
        epochs_done=progress.epoch - 1 + progress.batch / progress.batches,
        loss=progress.loss,
        validation_accuracy_percent=progress.validation_accuracy_percent,
    )
