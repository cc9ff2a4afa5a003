"""What `fewbits run --dry-run` shows: what is left to do, and what would start the workers; nothing is started."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.executors.cluster import job_script, notes, worker_count
from fewbits.executors.description import SYSTEMS, ClusterSection
from fewbits.study.folder import is_study_folder
from fewbits.study.schedule import TaskSchedule
from fewbits.study.store import read_results

if TYPE_CHECKING:
    from fewbits.study.spec import StudySpec


@dataclass(frozen=True)
class Workers:
    """The workers that a `[cluster]` table describes."""

    system: str
    count: int
    submit: str | None
    """The command that submits their jobs; None if there are none."""

    submit_is_here: bool
    """Whether that command is on this machine."""

    script: str
    """What starts one of them."""

    notes: tuple[str, ...]


@dataclass(frozen=True)
class DryRun:
    """A study before it runs."""

    study: str
    runs: int
    finished: int
    """Runs whose results the folder has."""

    float_trainings: int
    """Float networks to train, or to find on disk."""

    epochs: int
    """To train, at most: early stopping and checkpoints make them fewer."""

    workers: Workers | None
    """Of the study's `[cluster]`."""

    notices: tuple[str, ...] = ()
    """What is measured beside accuracy and cost."""

    def as_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"study {self.study!r}: {self.runs} runs, {self.finished} finished, {self.runs - self.finished} to do"
        yield f"float networks to train: {self.float_trainings}; epochs in all, at most: {self.epochs}"
        yield from self.notices
        if self.workers is None:
            yield "no [cluster]: runs on this machine, or with --engine dask=ADDRESS"
            return
        workers = self.workers
        by = "" if workers.submit is None else f", each a job submitted by {workers.submit}"
        absent = "" if workers.submit_is_here else " (not on this machine)"
        yield f"with --engine dask: {workers.count} workers of {workers.system}{by}{absent}"
        for line in workers.notes:
            yield f"note: {line}"
        yield ""
        yield workers.script


def dry_run(spec: StudySpec, folder: Path) -> DryRun:
    """What running a study into a folder would do; writes nothing.

    Raises StudyError if the study or the folder cannot be used, ExecutorError if the packages of clusters are missing.
    """
    from fewbits.study.plan import make_plan  # loads torch

    workers = None if spec.cluster is None else _workers(spec.cluster)
    plan = make_plan(spec)
    done = frozenset(result.key for result in read_results(folder)) if is_study_folder(folder) else frozenset[str]()
    schedule = TaskSchedule(plan, done)
    left = len(plan.runs) - schedule.finished
    counts = (len(plan.runs), schedule.finished, schedule.count - left, schedule.epochs)
    return DryRun(spec.name, *counts, workers, plan.defect_notices)


def _workers(cluster: ClusterSection) -> Workers:
    submit = SYSTEMS[cluster.system].submit
    is_here = submit is None or shutil.which(submit) is not None
    return Workers(cluster.system, worker_count(cluster), submit, is_here, job_script(cluster), notes(cluster))
