"""The engine: whatever happens to a study or its workers, the same command ends with the same figures."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import children, is_alive, written

from fewbits import StudyError
from fewbits.executors import processes as worker_processes
from fewbits.study import StudyInterrupted, StudyOutcome, read_results, read_study, run_study
from fewbits.study.events import (
    FLOAT_TRAINING,
    Event,
    FloatNetworkTrained,
    Notice,
    RunFailed,
    RunFinished,
    StudyStarted,
    TaskProgress,
    TaskStarted,
)
from fewbits.study.lock import folder_lock


@dataclass(frozen=True)
class Finished:
    """A study that nothing disturbed."""

    folder: Path
    outcome: StudyOutcome
    events: list[Event]


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory) -> Finished:
    """A study run by one worker from start to end."""
    folder, events = tmp_path_factory.mktemp("undisturbed"), []
    return Finished(folder, run_study(tiny(), folder, workers=1, observer=events.append), events)


@pytest.fixture
def finished(undisturbed, tmp_path) -> Path:
    """A folder of its own with the finished study."""
    return Path(shutil.copytree(undisturbed.folder, tmp_path / "finished"))


def test_results_come_in_the_order_of_the_study(undisturbed):
    assert undisturbed.outcome.failed == ()
    assert [run.precision for run in undisturbed.outcome.results] == ["float32", "fixed8", "binary/fixed16"]


def test_events_tell_each_step(undisturbed):
    events = undisturbed.events
    kinds = [type(event) for event in events]
    assert isinstance(events[0], Notice)  # of the user's own data
    started = events[1]
    assert isinstance(started, StudyStarted)
    assert (started.runs, started.finished, started.epochs, started.workers) == (3, 0, 36, 1)
    counts = {kind: kinds.count(kind) for kind in (TaskStarted, FloatNetworkTrained, RunFinished, RunFailed)}
    assert counts == {TaskStarted: 4, FloatNetworkTrained: 1, RunFinished: 3, RunFailed: 0}
    assert TaskProgress in kinds


@pytest.mark.slow
def test_the_number_of_workers_changes_no_figure(tiny, tmp_path, undisturbed, figures):
    outcome = run_study(tiny(), tmp_path, workers=2)
    assert figures(outcome.results) == figures(undisturbed.outcome.results)


def test_a_finished_study_is_not_repeated(tiny, finished, undisturbed):
    events = []
    assert run_study(tiny(), finished, observer=events.append) == undisturbed.outcome
    assert [type(event) for event in events] == [Notice, StudyStarted]


@pytest.mark.slow
def test_a_study_that_grew_runs_what_is_new(tiny, tmp_path, undisturbed, figures):
    run_study(tiny(precisions=["float32"]), tmp_path, workers=1)
    events = []
    outcome = run_study(tiny(), tmp_path, workers=1, observer=events.append)
    finished = [event.result.precision for event in events if isinstance(event, RunFinished)]
    assert sorted(finished) == ["binary/fixed16", "fixed8"]
    assert figures(outcome.results) == figures(undisturbed.outcome.results)


def test_a_failed_run_leaves_the_others(tiny, tmp_path):
    spec = tiny(fine_tune={"learning_rate": 1e30, "clip_shadow_weights": False}, precisions=["float32", "fixed8"])
    outcome = run_study(spec, tmp_path, workers=1)
    assert [result.precision for result in outcome.results] == ["float32"]
    assert "diverged" in outcome.failed[0].error
    assert (read_study(tmp_path).failed, read_study(tmp_path).is_complete) == (1, False)


def test_without_a_float_network_its_runs_fail(tiny, tmp_path):
    outcome = run_study(tiny(float_training={"learning_rate": 1e30}), tmp_path, workers=1)
    assert outcome.results == ()
    assert len(outcome.failed) == 3
    assert all("float network was not trained: training (float) diverged" in run.error for run in outcome.failed)


@pytest.mark.slow
def test_a_killed_worker_fails_its_run_and_the_same_command_repairs_it(tiny, tmp_path, undisturbed, figures):
    def kill_worker(event):
        if isinstance(event, TaskProgress) and event.label.precision == "fixed8":
            for process in children(os.getpid()):
                os.kill(process, signal.SIGKILL)

    broken = run_study(tiny(), tmp_path, workers=1, observer=kill_worker)
    assert [run.precision for run in broken.failed] == ["fixed8"]
    assert "ended by SIGKILL (out of memory, or killed by hand)" in broken.failed[0].error
    assert len(broken.results) == 2
    assert figures(run_study(tiny(), tmp_path, workers=1).results) == figures(undisturbed.outcome.results)


PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts this may ignore it
from fewbits import StudyError
from fewbits.study import StudyInterrupted, load_study, run_study

def tell(event):
    print(type(event).__name__, "in epoch", getattr(event, "epoch", 0), flush=True)

try:
    run_study(load_study(sys.argv[1]), sys.argv[2], workers=1, observer=tell)
except (StudyInterrupted, StudyError) as error:
    print(error, flush=True)
    sys.exit(130)
"""


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_float_network_whose_worker_is_lost_has_one_more_try(tiny, tmp_path, times):
    lost = []

    def kill_worker(event):
        if isinstance(event, TaskStarted) and event.label.recipe == FLOAT_TRAINING and len(lost) < times:
            lost.append(event)
            for process in children(os.getpid()):
                os.kill(process, signal.SIGKILL)

    outcome = run_study(tiny(precisions=["float32"]), tmp_path, workers=1, observer=kill_worker)
    assert (len(outcome.results), len(outcome.failed)) == ((1, 0) if times == 1 else (0, 1))


IN_TRAINING = "TaskProgress in epoch ([2-9]|1.)"
"""After the first checkpoint of the float network."""


@pytest.fixture
def start(tiny, tmp_path):
    """A function that starts the study in a process of its own and reads its lines until one matches a pattern."""
    toml = written(tiny(), tmp_path / "tiny.toml")

    def begin(until: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, str(toml), str(tmp_path / "out")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0)
        assert process.stdout is not None
        for line in process.stdout:
            if re.search(until, line):
                return process
        raise AssertionError(f"no line like {until!r}")

    return begin


@pytest.mark.slow
def test_ctrl_c_stops_the_workers_and_the_same_command_goes_on(start, tiny, tmp_path, undisturbed, figures):
    process = start(IN_TRAINING)
    workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert "the same command goes on" in text
    assert process.returncode == 130
    assert not any(is_alive(worker) for worker in workers)
    events = []
    outcome = run_study(tiny(), tmp_path / "out", workers=1, observer=events.append)
    assert next(event for event in events if isinstance(event, TaskProgress)).epoch > 1
    assert figures(outcome.results) == figures(undisturbed.outcome.results)


@pytest.mark.slow
def test_kill_9_at_any_moment_changes_no_figure(start, tiny, tmp_path, undisturbed, figures):
    for moment in (IN_TRAINING, "RunFinished"):
        process = start(moment)
        workers = children(process.pid)
        assert workers
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 60
        while any(is_alive(worker) for worker in workers):
            assert time.monotonic() < deadline, "workers outlive their parent"
            time.sleep(0.05)
    assert len(read_results(tmp_path / "out")) >= 1
    repeated = []
    outcome = run_study(tiny(), tmp_path / "out", workers=1, observer=repeated.append)
    assert len([event for event in repeated if isinstance(event, RunFinished)]) < 3
    assert figures(outcome.results) == figures(undisturbed.outcome.results)


def test_a_folder_in_use_is_refused_with_the_process_that_has_it(tiny, tmp_path):
    with folder_lock(tmp_path), pytest.raises(StudyError, match=f"in use by process {os.getpid()}"):
        run_study(tiny(), tmp_path)


def test_another_study_in_the_folder_is_refused_and_nothing_lost(tiny, finished, undisturbed):
    with pytest.raises(StudyError, match="holds the study 'tiny', not 'other'"):
        run_study(tiny(name="other"), finished)
    assert read_results(finished) == undisturbed.outcome.results


def test_a_file_in_place_of_the_folder_is_refused(tiny, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(StudyError, match="is a file: give a folder"):
        run_study(tiny(), tmp_path / "out", workers=1)


def test_a_folder_that_cannot_be_made_is_refused(tiny):
    with pytest.raises(StudyError, match="cannot write into folder '/proc/out'"):
        run_study(tiny(), "/proc/out")


def test_no_workers_are_refused(tiny, tmp_path):
    with pytest.raises(StudyError, match="workers must be at least 1, not 0"):
        run_study(tiny(), tmp_path, workers=0)


def test_a_mistake_in_the_study_leaves_the_results_that_are_there(tiny, finished, undisturbed):
    with pytest.raises(StudyError, match="'precisions'"):
        run_study(tiny(precisions=["fixed99"]), finished)
    assert read_results(finished) == undisturbed.outcome.results


def test_a_damaged_store_is_refused_and_left_alone(tiny, finished):
    store = finished / "study.sqlite"
    store.write_bytes(damage := store.read_bytes()[:5000])
    with pytest.raises(StudyError, match="damaged"):
        run_study(tiny(), finished)
    assert store.read_bytes() == damage


def test_a_run_that_has_no_room_fails_in_one_line_and_loses_nothing(tiny, finished, undisturbed, monkeypatch):
    """A limit on the size of files stands in for a full disk."""
    program = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (99, 99)); {worker_processes._PROGRAM}"
    monkeypatch.setattr(worker_processes, "_PROGRAM", program)
    outcome = run_study(tiny(seeds=[0, 1], precisions=["float32"]), finished, workers=1)
    assert outcome.results == undisturbed.outcome.results[:1]
    assert re.search("cannot write .*: File too large; make room", outcome.failed[0].error)


def test_an_observer_that_presses_ctrl_c_interrupts(tiny, tmp_path):
    def press(event):
        if isinstance(event, TaskStarted):
            raise KeyboardInterrupt

    with pytest.raises(StudyInterrupted, match="0 finished runs are kept"):
        run_study(tiny(), tmp_path, observer=press)
    assert children(os.getpid()) == []
