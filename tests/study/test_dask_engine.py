"""A study on Dask's workers: the figures of the local engine, whatever happens to workers, folders and the parent."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import children, is_alive, written

from fewbits.executors import dask_local
from fewbits.executors.dask import DaskExecutor
from fewbits.study import RunResult, StudySpec, load_study, run_study
from fewbits.study.events import Event, Notice, StudyStarted
from fewbits.study.worker import Place

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")


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


@pytest.mark.slow
@pytest.mark.parametrize("told", ["at the start", "by a worker"])
def test_without_a_shared_folder_networks_travel_and_figures_are_the_same(
    told: str, tiny, tmp_path, undisturbed, figures, monkeypatch
):
    """Workers do not find the token of this sitting, as if their machine had another folder of this name."""
    monkeypatch.setattr(Place, "mark", lambda self: None)
    if told == "by a worker":  # that comes when the study has begun
        monkeypatch.setattr(DaskExecutor, "ask", lambda *_: {})
    events: list[Event] = []
    executor = DaskExecutor(workers=2, log=tmp_path / "study.log")
    outcome = run_study(tiny(), tmp_path, observer=events.append, executor=executor)
    assert "do not see folder" in texts(events) or "does not see folder" in texts(events)
    assert figures(outcome.results) == figures(undisturbed)
    assert len(list((tmp_path / "networks").iterdir())) == 3
    assert not list((tmp_path / "checkpoints").glob("*/*")) if (tmp_path / "checkpoints").exists() else True


@pytest.mark.slow
def test_a_dask_worker_that_has_no_room_fails_its_runs_in_one_line(tiny, tmp_path, monkeypatch):
    """A limit on the size of files stands in for a full disk."""
    program = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (99, 99)); {dask_local._PROGRAM}"
    monkeypatch.setattr(dask_local, "_PROGRAM", program)
    outcome = run_study(tiny(precisions=["float32"]), tmp_path, executor=DaskExecutor(workers=1))
    assert outcome.results == ()
    assert re.search("cannot write .*: File too large; make room", outcome.failed[0].error)


@pytest.mark.slow
def test_a_parent_whose_disk_is_full_keeps_what_is_there(tiny, tmp_path, monkeypatch):
    """Networks come from workers that do not share the folder; the parent cannot write them."""
    monkeypatch.setattr(Place, "mark", lambda self: None)
    monkeypatch.setattr(os, "fsync", _no_space_for_networks(os.fsync))
    outcome = run_study(tiny(precisions=["float32"]), tmp_path, executor=DaskExecutor(workers=1))
    assert "No space left on device; make room" in outcome.failed[0].error
    assert not list((tmp_path / "networks").iterdir())


def _no_space_for_networks(fsync: Callable[[int], None]) -> Callable[[int], None]:
    def failing(descriptor: int) -> None:
        if "safetensors" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    return failing


@pytest.mark.slow
def test_data_that_a_worker_does_not_have_is_refused_with_path_and_worker(tiny, tmp_path, workplace):
    data = tmp_path / "here.npz"
    data.write_bytes((workplace / "quadrants.npz").read_bytes())
    workers = dask_local.LocalWorkers(1, tmp_path / "log")
    workers.start()
    try:
        executor = DaskExecutor(workers.dask.scheduler_address)

        def move_away(event: Event) -> None:
            if isinstance(event, StudyStarted):
                data.rename(tmp_path / "gone.npz")

        spec = tiny(data=[str(data)], precisions=["float32"])
        outcome = run_study(spec, tmp_path / "out", observer=move_away, executor=executor)
    finally:
        workers.close()
    assert str(data) in outcome.failed[0].error
    assert "(on worker tcp://127.0.0.1:" in outcome.failed[0].error


PROGRAM = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts this may ignore it
from fewbits.executors.dask import DaskExecutor
from fewbits.study import StudyInterrupted, load_study, run_study

def tell(event):
    print(type(event).__name__, flush=True)

out = Path(sys.argv[2])
try:
    run_study(load_study(sys.argv[1]), out, observer=tell, executor=DaskExecutor(workers=2, log=out / "study.log"))
except StudyInterrupted as error:
    print(error, flush=True)
    sys.exit(130)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_no_dask_worker_outlives_its_parent_and_the_study_goes_on(number: int, tiny, tmp_path, undisturbed, figures):
    toml = written(tiny(), tmp_path / "tiny.toml")
    command = [sys.executable, "-c", PROGRAM, str(toml), str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0)
    assert process.stdout is not None
    while "TaskProgress" not in process.stdout.readline():
        assert process.poll() is None
    workers = children(process.pid)
    assert len(workers) == 2
    os.killpg(process.pid, number)
    text, _ = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert "the same command goes on" in text
        assert process.returncode == 130
    end = time.monotonic() + 30
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < end, "workers outlive their parent"
        time.sleep(0.1)
    assert figures(run_study(tiny(), tmp_path / "out", workers=1).results) == figures(undisturbed)


@pytest.mark.nightly
def test_the_default_study_has_the_same_table_on_dask(tmp_path, figures):
    spec = load_study("default")
    there = run_study(spec, tmp_path / "dask", executor=DaskExecutor(workers=2, log=tmp_path / "log"))
    here = run_study(spec, tmp_path / "local", workers=2)
    assert figures(there.results) == figures(here.results)
