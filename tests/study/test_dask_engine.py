"""A study on Dask's workers: the figures of the local engine, whatever happens to workers, folders and the parent."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from processes import children

from fewbits.executors.dask import DaskExecutor
from fewbits.study import RunResult, StudySpec, run_study
from fewbits.study.events import Event, Notice, StudyStarted

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

Figures = Callable[[object], list[RunResult]]


@pytest.fixture(scope="module")
def undisturbed(tiny: Callable[..., StudySpec], tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, ...]:
    """What the local engine gives."""
    return run_study(tiny(), tmp_path_factory.mktemp("local"), workers=1).results


def texts(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Notice))


@pytest.mark.slow
def test_two_dask_workers_give_the_figures_of_the_local_engine(tiny, tmp_path, undisturbed, figures):
    events: list[Event] = []
    executor = DaskExecutor(workers=2, log=tmp_path / "study.log")
    outcome = run_study(tiny(), tmp_path, observer=events.append, executor=executor)
    assert outcome.failed == ()
    assert figures(outcome.results) == figures(undisturbed)
    started = next(event for event in events if isinstance(event, StudyStarted))
    assert started.workers == 2
    assert "Dask scheduler tcp://127.0.0.1:" in started.where
    assert "dashboard http://" in started.where
    assert "all workers share the study's folder" in texts(events)
    assert children(os.getpid()) == []
