"""Workers of a new study load what they need while the study is planned."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from in_process import InProcessExecutor
from processes import children, is_alive

from fewbits import StudyError
from fewbits.executors import Job, JobFailure, JobResult, ProcessExecutor
from fewbits.study import StudySpec, plan, run_study


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job with something for the log, of a module that workers find."""
    text = "def work(report):\n    print('this is for the log', flush=True)\n    raise RuntimeError('and this')\n"
    (tmp_path / "printing_job.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))))
    return Job("one", importlib.import_module("printing_job").work)


def workers_of_this_process(before: list[int]) -> list[int]:
    """Children that have come since; other tests leave helpers of multiprocessing's behind."""
    return sorted(set(children(os.getpid())) - set(before))


@pytest.fixture
def while_planning(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The worker processes that there are when a study's data is loaded."""
    seen: list[list[int]] = []
    before = children(os.getpid())
    real = plan.data.load

    def load(*given: object, **named: object) -> object:
        seen.append(workers_of_this_process(before))
        return real(*given, **named)  # pyright: ignore

    monkeypatch.setattr(plan.data, "load", load)
    return seen


@pytest.mark.parametrize(("workers", "started"), [(1, 1), (2, 2), (9, 2)])
def test_no_more_workers_than_can_start_at_once_start_before_the_plan(
    tiny: Callable[..., StudySpec], tmp_path: Path, while_planning: list[list[int]], workers: int, started: int
):
    spec = tiny(precisions=["fixed8", "float32"], models=["mlp"], seeds=[0, 1])
    with pytest.raises(StudyError, match="models"):
        run_study(spec, tmp_path / "out", workers=workers)
    assert len(while_planning[0]) == started


def test_a_refused_study_leaves_neither_workers_nor_a_folder(
    tiny: Callable[..., StudySpec], tmp_path: Path, while_planning: list[list[int]]
):
    with pytest.raises(StudyError, match="models"):
        run_study(tiny(models=["mlp"]), tmp_path / "out", workers=2)
    assert not any(is_alive(worker) for worker in while_planning[0])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_study_in_it_starts_workers_for_what_is_left_alone(
    tiny: Callable[..., StudySpec], tmp_path: Path, while_planning: list[list[int]]
):
    spec = tiny(precisions=["float32"], float_training={"epochs": 1})
    first = run_study(spec, tmp_path, executor=InProcessExecutor())
    while_planning.clear()
    assert run_study(spec, tmp_path, workers=2) == first
    assert while_planning == [[]]


def test_what_a_warm_worker_prints_in_a_job_goes_to_the_log(job: Job, tmp_path: Path):
    log = tmp_path / "later" / "study.log"
    before = children(os.getpid())
    executor = ProcessExecutor(1, log)
    executor.warm("fewbits.errors", 2)
    assert len(workers_of_this_process(before)) == 1
    log.parent.mkdir()
    with executor:
        executor.submit(job)
        told = [message for _ in range(2) for message in executor.messages()]
    assert isinstance(told[-1], JobFailure)
    assert told[-1].error == "RuntimeError: and this (traceback in study.log)"
    assert "this is for the log" in log.read_text()
    assert "Traceback" in log.read_text()


def test_a_worker_whose_module_cannot_be_loaded_is_lost_with_the_job_that_it_gets(job: Job, tmp_path: Path, capfd):
    before = children(os.getpid())
    executor = ProcessExecutor(1, tmp_path / "log")
    executor.warm("fewbits.no_such_module", 1)
    (worker,) = workers_of_this_process(before)
    deadline = time.monotonic() + 60
    while is_alive(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "no_such_module" in capfd.readouterr().err
    with executor:
        executor.submit(job)
        told = [message for _ in range(2) for message in executor.messages()]
    assert not isinstance(told[-1], JobResult)
    assert "ended with status 1" in told[-1].error  # pyright: ignore


_FIRST_TRAINING = """
import sys
import fewbits.study.warm
from fewbits import data, models
from fewbits.train import TrainSettings, train_float

def stop(progress):
    print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
    sys.exit()

before = set(sys.modules)
train_float(models.build("lenet", 0), data.load("digits"), TrainSettings(epochs=1), progress=stop)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("loaded", "is_late"), [("fewbits.study.warm", False), ("fewbits.study.worker", True)])
def test_a_warm_worker_has_torchs_compiler_before_its_first_training(loaded: str, is_late: bool):
    program = _FIRST_TRAINING.replace("fewbits.study.warm", loaded)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ("mpmath" in done.stdout.split()) == is_late  # a package of the compiler's
