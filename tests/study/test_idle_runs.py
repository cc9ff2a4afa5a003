"""What a study costs beside its runs: a thousand that do nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import idle
import pytest

from fewbits.executors import ProcessExecutor
from fewbits.study import run_study
from fewbits.study.events import RunFinished, StudyStarted

RUNS, SECONDS = 1000, 60.0


@pytest.mark.nightly
@pytest.mark.parametrize("engine", ["local", "dask"])
def test_a_thousand_runs_that_do_nothing_take_less_than_a_minute(engine: str, tiny, tmp_path, make_result, monkeypatch):
    """From the start of the workers to the last run; planning a thousand networks comes before."""
    monkeypatch.setenv("PYTHONPATH", f"{Path(idle.__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    spec = tiny(seeds=list(range(RUNS // 2)), precisions=["float32", "fixed8"], recipes=["post-training"])
    times: dict[type, float] = {}
    if engine == "local":
        executor = ProcessExecutor(2, tmp_path / "log")
    else:
        from fewbits.executors.dask import DaskExecutor

        executor = DaskExecutor(workers=2, log=tmp_path / "log")
    before = time.monotonic()
    outcome = run_study(
        spec,
        tmp_path / "out",
        executor=idle.IdleExecutor(executor, make_result()),
        observer=lambda event: times.update({type(event): time.monotonic()}),
    )
    assert len(outcome.results) == RUNS
    seconds = times[RunFinished] - times[StudyStarted]
    print(f"{engine}: {RUNS} runs in {seconds:.1f} s, planned and started in {times[StudyStarted] - before:.1f} s")
    assert seconds < SECONDS
