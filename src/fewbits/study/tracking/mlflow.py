"""Curves and figures in MLflow: an experiment a study, a run a run, found again by its key."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.errors import StudyError
from fewbits.study.events import FLOAT_TRAINING, point_of
from fewbits.study.tracking.sinks import SinkWriter, plain_figures

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

    from fewbits.study.events import TaskLabel
    from fewbits.study.result import FailedRun, RunResult
    from fewbits.train import EpochRecord

_CURVE = ("loss", "validation_loss", "validation_accuracy_percent", "learning_rate")
"""Of an epoch; metrics with the epoch as their step. The float network's have `float_` in front."""

_KEY = "fewbits.key"

_BATCH = 1000
"""Metrics in a request: the most that MLflow takes (its REST API, "Log Batch")."""

_TEXT = 5000
"""Characters of a tag: what all of MLflow's stores take (its REST API, "Set Tag")."""

_PAGE = 1000

_NEEDS = {
    **dict.fromkeys(("file", "http", "https", "databricks"), ""),
    **dict.fromkeys(("sqlite", "postgresql", "mysql", "mssql"), "sqlalchemy"),
}
"""Kinds of addresses, and the package that each needs besides mlflow-skinny."""

_NO_REGISTRY = "http://unused.invalid"
"""Of models, which fewbits does not keep in MLflow: nothing asks it."""


def tracking_uri(place: str | None, folder: Path) -> str:
    """The address for what a user asked for: an address as it is, a path as a folder of files."""
    place = place or os.environ.get("MLFLOW_TRACKING_URI") or str(folder)
    return place if ":" in place.partition("/")[0] or place == "databricks" else Path(place).absolute().as_uri()


@dataclass
class _Logged:
    """A run as MLflow has it."""

    id: str
    is_finished: bool = False
    is_open: bool = False
    """Whether this process writes it now."""

    last: int | None = None
    """The last epoch there; None if nobody has looked."""

    epochs: set[int] = field(default_factory=set[int])
    """Those that this process wrote."""


class MlflowWriter(SinkWriter):
    """Writes an experiment of the study's name."""

    def __init__(self, uri: str, study: str) -> None:
        """Asks no server. Raises StudyError if mlflow, or what it needs for such an address, is not installed."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # asked for was a place, not its maker's statistics
        try:
            from mlflow import entities
        except ImportError:
            raise StudyError(
                "the sink 'mlflow' needs mlflow, which is not installed: pip install 'fewbits[tracking]'"
            ) from None
        _refuse_address(uri)
        self._uri = uri
        self._metric: type[Metric] = entities.Metric
        self._entities: Any = entities
        self._study = study
        self._experiment = ""
        self._runs: dict[str, _Logged] = {}
        """By key."""

    @cached_property
    def _client(self) -> MlflowClient:
        """Made at first use, since it makes a folder."""
        from mlflow.tracking import MlflowClient

        with _files_allowed():
            return MlflowClient(tracking_uri=self._uri, registry_uri=_NO_REGISTRY)

    def epochs(self, task: TaskLabel, epochs: Sequence[EpochRecord]) -> None:
        """Those that are not there yet; a float network is no run, its curve comes with the runs that start from it."""
        if task.recipe == FLOAT_TRAINING:
            return
        point = point_of(task)
        run = self._begun(task.key, point)
        if not run.is_finished:
            self._log_epochs(run, epochs)

    def finished(self, run: RunResult) -> None:
        """All figures; a run that is finished there stays as it is."""
        point = point_of(run)
        logged = self._begun(run.key, point)
        if logged.is_finished:
            return
        self._log_epochs(logged, run.history)
        now = _now()
        metrics = [
            self._metric(f"float_{name}", getattr(epoch, name), now, epoch.epoch)
            for epoch in run.float_history
            for name in _CURVE
        ]
        figures = dict(plain_figures(run))
        numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
        texts = {f"fewbits.{name}": value for name, value in figures.items() if isinstance(value, str) and value}
        texts |= {f"fewbits.version.{name}": version for name, version in run.versions.items()}
        texts |= {"fewbits.stands_for": run.stands_for} if run.stands_for else {}
        metrics += [self._metric(name, float(value), now, 0) for name, value in numbers.items()]
        self._log(logged, metrics, texts)
        self._end(logged, "FINISHED")
        logged.is_finished = True

    def failed(self, run: FailedRun) -> None:
        """Why, as a tag."""
        point = point_of(run)
        logged = self._begun(run.key, point)
        self._log(logged, [], {"fewbits.error": run.error})
        self._end(logged, "FAILED")

    def close(self) -> None:
        """Runs that were cut off are marked so, until the study goes on."""
        for run in self._runs.values():
            if run.is_open:
                self._end(run, "KILLED")

    def _begun(self, key: str, point: Mapping[str, Any]) -> _Logged:
        """The run of that key, found or made."""
        if not self._experiment:
            self._find()
        if key not in self._runs:
            tags = {_KEY: key, "mlflow.source.name": "fewbits"}
            made = self._client.create_run(self._experiment, tags=tags, run_name=_name(point))
            parameters = [self._entities.Param(name, str(value)[:_TEXT]) for name, value in point.items()]
            self._client.log_batch(made.info.run_id, params=parameters)
            self._runs[key] = _Logged(made.info.run_id, is_open=True, last=0)
        run = self._runs[key]
        if not run.is_finished and not run.is_open:
            self._client.update_run(run.id, status="RUNNING")
            run.is_open = True
        return run

    def _find(self) -> None:
        """The experiment, made if it is not there, and its runs."""
        found = self._client.get_experiment_by_name(self._study)
        self._experiment = self._client.create_experiment(self._study) if found is None else found.experiment_id
        token: str | None = None
        while found is not None:
            page = self._client.search_runs([self._experiment], max_results=_PAGE, page_token=token)
            for run in page:
                self._note(run)
            token = page.token
            if not token:
                break

    def _note(self, run: Run) -> None:
        key = run.data.tags.get(_KEY)
        if key:
            self._runs[key] = _Logged(run.info.run_id, is_finished=run.info.status == "FINISHED")

    def _log_epochs(self, run: _Logged, epochs: Sequence[EpochRecord]) -> None:
        if run.last is None:
            steps = [metric.step for metric in self._client.get_metric_history(run.id, _CURVE[0])]
            run.last = max(steps, default=0)
        new = [epoch for epoch in epochs if epoch.epoch > run.last and epoch.epoch not in run.epochs]
        run.epochs.update(epoch.epoch for epoch in new)
        now = _now()
        self._log(run, [self._metric(name, getattr(epoch, name), now, epoch.epoch) for epoch in new for name in _CURVE])

    def _log(self, run: _Logged, metrics: Sequence[Metric], tags: Mapping[str, str] | None = None) -> None:
        labels = [self._entities.RunTag(name, value[:_TEXT]) for name, value in (tags or {}).items()]
        for start in range(0, max(len(metrics), bool(labels)), _BATCH):
            part = metrics[start : start + _BATCH]
            self._client.log_batch(run.id, metrics=part, tags=[] if start else labels)

    def _end(self, run: _Logged, status: str) -> None:
        self._client.set_terminated(run.id, status=status)
        run.is_open = False


def _name(point: Mapping[str, Any]) -> str:
    machine = f" on {point['accelerator']}" if "accelerator" in point else ""
    return "{model} {data} {precision} {recipe} seed {seed}".format_map(point) + machine


def _now() -> int:
    """Milliseconds, as MLflow counts."""
    return int(time.time() * 1000)


@contextmanager
def _files_allowed() -> Generator[None]:
    """MLflow takes a folder of files, which it will not develop further, only where a variable says so; a folder is
    what the user asked for.
    """
    name = "MLFLOW_ALLOW_FILE_STORE"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _refuse_address(uri: str) -> None:
    """Raise StudyError if nothing that is installed can use it."""
    kind = uri.partition(":")[0].partition("+")[0]
    if kind not in _NEEDS:
        raise StudyError(
            f"the sink 'mlflow' takes a folder, or an address that begins with {', '.join(_NEEDS)}, not {kind!r}"
        )
    if _NEEDS[kind] and importlib.util.find_spec(_NEEDS[kind]) is None:
        raise StudyError(
            f"the sink 'mlflow' cannot use {kind!r} addresses, since {_NEEDS[kind]} is not installed: pip install "
            "mlflow (fewbits[tracking] brings mlflow-skinny, which has no databases), or give a folder or a server"
        )
