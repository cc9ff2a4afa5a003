"""`run_study`: run what a study lacks on worker processes, and keep the results; only this process writes the store."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.errors import StudyError
from fewbits.executors import (
    Executor,
    Job,
    JobFailure,
    JobLost,
    JobProgress,
    JobResult,
    JobStarted,
    Message,
    Payload,
    ProcessExecutor,
    WorkersNotice,
)
from fewbits.executors.base import LOST_AFTER_SECONDS
from fewbits.lazy import importing
from fewbits.study.events import (
    FLOAT_TRAINING,
    Event,
    FloatNetworkTrained,
    Measured,
    Notice,
    Observer,
    RunFailed,
    RunFinished,
    StudyStarted,
    TaskLabel,
    TaskMeasuring,
    TaskProgress,
    TaskStarted,
)
from fewbits.study.folder import KEPT, LOG_NAME, is_study_folder, study_folder
from fewbits.study.lock import folder_lock
from fewbits.study.outdated import damaged_rows, outdated_runs
from fewbits.study.result import FailedRun, RunResult
from fewbits.study.schedule import TaskSchedule, is_float_training, training_of
from fewbits.study.store import Store
from fewbits.study.tracking import TrackedStudy, open_sinks, tracked
from fewbits.study.tracking.wanted import folders_of

if TYPE_CHECKING:
    from fewbits.study.plan import Plan
    from fewbits.study.spec import StudySpec
    from fewbits.study.tasks import Task
    from fewbits.study.worker import Place, TaskDone
    from fewbits.train import Progress


@dataclass(frozen=True)
class StudyOutcome:
    """How a study ended: all its runs are in one of the two, in the study's order."""

    results: tuple[RunResult, ...]
    failed: tuple[FailedRun, ...]


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C while a study ran. Workers are stopped, the store is whole; the message says how to go on."""


_WARM = "fewbits.study.warm"
"""What workers load before they have a task."""


def _ignore(_: Event) -> None:
    """Tell nobody."""


def run_study(
    spec: StudySpec,
    out: str | Path,
    workers: int | None = None,
    observer: Observer = _ignore,
    *,
    executor: Executor | None = None,
) -> StudyOutcome:
    """Run a study into a folder, from wherever it stands there.

    Finished runs are not repeated, failed ones are tried again, and those that were cut off go on from the last epoch's
    checkpoint. Results depend neither on the number of workers nor on interruptions.
    out: made if it is not there. workers: processes of one thread each; None takes one for each core this process may
    use. observer: told of each step. executor: who does the tasks in place of those processes; started and closed here.
    Raises StudyError if the study or the folder cannot be used, in which case nothing in the folder is lost;
    StudyInterrupted (a KeyboardInterrupt) on Ctrl-C.
    """
    if workers is not None and workers < 1:
        raise StudyError(f"workers must be at least 1, not {workers}")
    if workers is not None and executor is not None:
        raise StudyError("workers were given beside an executor, which has its own: give one of the two")
    folder, ours = Path(out), study_folder(out)
    ours.check(KEPT)
    sinks = open_sinks(spec.track, TrackedStudy(spec.name, folder), spec.folder)
    trains_here = executor is None
    with ExitStack() as held:
        if executor is None:
            lost_after_s = LOST_AFTER_SECONDS if spec.cluster is None else spec.cluster.lost_after_s
            executor = ProcessExecutor(workers, folder / LOG_NAME, lost_after_s)
        if not is_study_folder(folder):  # else there may be nothing left to do
            held.callback(executor.close)
            executor.warm(_WARM, spec.float_networks)
        with importing():
            from fewbits.study.networks import remove_leftovers  # here and below: loads torch
            from fewbits.study.plan import make_plan
            from fewbits.study.worker import Place
        if is_study_folder(folder):  # a folder in use is told at once, and a new one made for no study that is refused
            held.enter_context(folder_lock(folder))
            plan = make_plan(spec, trains_here=trains_here)
        else:
            plan = make_plan(spec, trains_here=trains_here)
            held.enter_context(folder_lock(folder))
        ours.keep((*KEPT, *folders_of(spec.track)))
        store = held.enter_context(Store(folder))
        remove_leftovers(folder)
        planned = [(run.key, run.definition) for run in plan.runs]
        outdated = store.plan(spec.name, spec.definition(), plan.rests_on, planned)
        for text in (
            *plan.data_notices,
            *plan.defect_notices,
            *damaged_rows(store.damaged_rows),
            *outdated_runs(outdated),
            *_damaged_networks(plan, store, folder),
        ):
            observer(Notice(text))
        observer = held.enter_context(tracked(observer, sinks, store.results(), str(folder)))
        schedule = TaskSchedule(plan, store.finished_keys())
        place = Place(folder.absolute(), secrets.token_hex(8), str(Path.cwd()))
        _mark(place)
        try:
            with executor:
                size = min(executor.workers, max(1, schedule.count))
                counts = (len(plan.runs), schedule.finished, schedule.epochs, size)
                observer(StudyStarted(spec.name, *counts, executor.about))
                executor.warm(_WARM, schedule.count)
                _Engine(schedule, store, executor, place, observer).work()
        except KeyboardInterrupt:
            raise StudyInterrupted(
                f"interrupted: {len(store.finished_keys())} finished runs are kept in {str(folder)!r}; "
                "the same command goes on from there"
            ) from None
        return StudyOutcome(store.results(), store.failures())


def _mark(place: Place) -> None:
    try:
        place.mark()
    except OSError as error:
        raise StudyError(
            f"cannot write into folder {str(place.folder)!r}: {error.strerror}; give a folder that can be written"
        ) from None


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
    """Moves tasks to an executor and results into the store."""

    def __init__(
        self, schedule: TaskSchedule, store: Store, executor: Executor, place: Place, observer: Observer
    ) -> None:
        self._schedule = schedule
        self._store = store
        self._executor = executor
        self._place = place
        self._observer = observer
        self._tasks: dict[str, Task] = {}
        """Those under way, by their key."""

        self._tried_again: set[str] = set()
        """Keys of the float networks whose worker was lost once."""

        self._carries = False
        """Whether networks go with tasks, for workers that do not see the folder."""

    def work(self) -> None:
        """Until no task is left."""
        self._look_for_folder()
        self._submit()
        while self._tasks:
            for message in self._executor.messages():
                self._handle(message)
                self._submit()

    def _look_for_folder(self) -> None:
        """Find out whether workers on other machines see the study's folder, and say what follows."""
        from fewbits.study.worker import is_here

        answers = self._executor.ask(is_here, self._place)
        unseen = [worker for worker, sees in answers.items() if not sees]
        if unseen:
            self._carry(f"{len(unseen)} of {len(answers)} workers do not see folder {str(self._place.folder)!r}")
        elif answers:
            self._observer(
                Notice("all workers share the study's folder: a lost worker's training goes on from its last epoch")
            )

    def _carry(self, why: str) -> None:
        self._carries = True
        self._observer(
            Notice(
                f"{why}: trained networks are sent to and from such workers, whose tasks begin anew if they are lost"
            )
        )

    def _submit(self) -> None:
        """Hand over what can start."""
        while (task := self._schedule.startable()) is not None:
            self._schedule.begin(task)
            self._tasks[task.key] = task
            self._give(task)

    def _give(self, task: Task) -> None:
        from fewbits.study.worker import do_task

        stems, networks = self._networks_for(task) if self._carries else (None, ())
        arguments = (self._place, task, stems, *networks)
        self._executor.submit(Job(task.key, do_task, arguments, self._schedule.priority(task)))

    def _networks_for(self, task: Task) -> tuple[tuple[str, ...], tuple[Payload, ...]]:
        """The stored networks that a task starts from, for a worker that does not see them."""
        from fewbits.study.networks import network_path
        from fewbits.study.worker import trainings_of

        paths = {one.stem: network_path(self._place.folder, one.stem) for one in trainings_of(task)}
        contents = {stem: Payload(path.read_bytes()) for stem, path in paths.items() if path.exists()}
        return tuple(contents), tuple(contents.values())

    def _handle(self, message: Message) -> None:
        from fewbits.study.worker import FolderUnseen

        match message:
            case WorkersNotice():
                self._observer(Notice(message.text))
            case JobStarted():
                self._note_start(self._tasks[message.key])
            case JobProgress():
                self._observer(_progress(self._tasks[message.key], message.value))
            case JobResult(value=FolderUnseen()):
                if not self._carries:
                    self._carry(f"a worker does not see folder {str(self._place.folder)!r}")
                self._give(self._tasks[message.key])
            case JobResult():
                self._keep(self._ended(message.key), message.value)
            case JobLost():
                self._lose(self._ended(message.key), message.error)
            case JobFailure():
                self._fail(self._ended(message.key), message.error)

    def _note_start(self, task: Task) -> None:
        if not is_float_training(task):
            self._store.set_running(task.key)
        self._observer(TaskStarted(_label(task), self._schedule.epochs_of(task)))

    def _ended(self, key: str) -> Task:
        task = self._tasks.pop(key)
        self._schedule.end(task)
        return task

    def _keep(self, task: Task, done: TaskDone) -> None:
        try:
            self._keep_networks(task, done)
        except StudyError as error:
            self._fail(task, str(error))
            return
        if isinstance(done.result, RunResult):
            self._store.set_finished(done.result)
            self._observer(RunFinished(_label(task), done.result))
        else:
            self._schedule.ready.extend(self._schedule.waiting.pop(task.key))
            self._observer(FloatNetworkTrained(_label(task), done.result.validation_accuracy_percent))

    def _keep_networks(self, task: Task, done: TaskDone) -> None:
        """Write the networks that came with a result. Raises StudyError."""
        from fewbits.study.networks import keep_network, network_path
        from fewbits.study.worker import trainings_of

        for training in trainings_of(task):
            if training.stem in done.networks:
                path = network_path(self._place.folder, training.stem)
                keep_network(path, done.networks[training.stem], training.key)

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
            accelerator=label.accelerator,
        )
        self._observer(RunFailed(label, failure))


def _label(task: Task) -> TaskLabel:
    from fewbits.study.tasks import Run

    training = training_of(task)
    recipe, machine = (task.recipe, task.accelerator_name) if isinstance(task, Run) else (FLOAT_TRAINING, "")
    return TaskLabel(training.model, training.data, training.precision, recipe, training.seed, task.key, machine)


def _progress(task: Task, progress: Progress | Measured) -> TaskProgress | TaskMeasuring:
    if isinstance(progress, Measured):
        return TaskMeasuring(_label(task), progress)
    return TaskProgress(
        label=_label(task),
        epoch=progress.epoch,
        epochs=progress.epochs,
        epochs_done=progress.epoch - 1 + progress.batch / progress.batches,
        loss=progress.loss,
        validation_accuracy_percent=progress.validation_accuracy_percent,
        epochs_ended=progress.epochs_ended,
    )
