"""What every executor holds: results, failures in one line, progress, order, losses; of processes and of Dask alike."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import jobs
import pytest

from fewbits import ExecutorError
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
)

KINDS = ["processes", pytest.param("dask", marks=pytest.mark.slow)]


def make(kind: str, size: int, log: Path, lost_after_s: float = 300.0) -> Executor:
    if kind == "processes":
        return ProcessExecutor(size, log, lost_after_s)
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    from fewbits.executors.dask import DaskExecutor

    return DaskExecutor(workers=size, log=log, lost_after_s=lost_after_s)


def ended(message: Message) -> bool:
    return isinstance(message, (JobResult, JobFailure, JobLost))


def run(executor: Executor, *given: Job) -> list[Message]:
    """All messages until all jobs have ended."""
    for job in given:
        executor.submit(job)
    told: list[Message] = []
    while sum(map(ended, told)) < len(given):
        told += executor.messages()
    return told


def end(told: list[Message]) -> Message:
    return next(message for message in told if ended(message))


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers import `jobs`."""
    monkeypatch.setenv("PYTHONPATH", f"{Path(jobs.__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


@pytest.fixture(scope="module", params=KINDS)
def executor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """One worker, which many jobs share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{Path(jobs.__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        with make(request.param, 1, tmp_path_factory.mktemp("logs") / "study.log") as started:
            yield started


def test_a_job_is_started_then_gives_its_result(executor: Executor):
    told = [message for message in run(executor, Job("a", jobs.square, (7,))) if getattr(message, "key", "") == "a"]
    assert [type(message) for message in told] == [JobStarted, JobResult]
    assert told[1] == JobResult("a", 49)


def test_a_refusal_is_its_own_line(executor: Executor):
    assert end(run(executor, Job("a", jobs.refuse))) == JobFailure("a", "cannot be done: give another")


def test_what_was_not_foreseen_is_one_line_and_a_traceback_in_the_log(executor: Executor):
    assert end(run(executor, Job("a", jobs.fail))) == JobFailure("a", "ValueError: odd things (traceback in study.log)")


def test_progress_comes_in_order_before_the_result(executor: Executor):
    told = run(executor, Job("a", jobs.count_up, (3,)))
    assert [message.value for message in told if isinstance(message, JobProgress)] == [0, 1, 2]
    assert ended(told[-1])


def test_a_payload_reaches_several_jobs_as_its_content(executor: Executor):
    payload = Payload(b"x" * 1_000_000)
    told = run(executor, Job("a", jobs.length, (payload,)), Job("b", jobs.length, (payload,)))
    assert [message.value for message in told if isinstance(message, JobResult)] == [1_000_000, 1_000_000]


def test_higher_priorities_start_first_and_equal_ones_in_order(executor: Executor, tmp_path: Path):
    path = str(tmp_path / "order")
    given = [Job(text, jobs.note, (path, text), priority) for text, priority in (("a", 0), ("b", 0), ("c", 5))]
    run(executor, *given)
    assert Path(path).read_text() == "cab"


def test_a_result_that_cannot_be_sent_fails_its_job_in_one_line(executor: Executor):
    failure = end(run(executor, Job("a", jobs.unsendable)))
    if isinstance(failure, JobResult):  # Dask's pickle takes functions without a name
        assert callable(failure.value)
    else:
        assert "cannot be sent" in failure.error


def test_a_cancelled_job_gives_no_message_and_stops(executor: Executor, tmp_path: Path):
    executor.submit(Job("a", jobs.until_unwanted, (str(tmp_path / "stopped"),)))
    while not any(isinstance(message, JobProgress) for message in executor.messages()):
        pass
    executor.cancel("a")
    told = run(executor, Job("b", jobs.square, (2,)))
    assert end(told) == JobResult("b", 4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_whose_worker_is_always_killed_is_lost_in_one_line(kind: str, tmp_path: Path):
    with make(kind, 1, tmp_path / "study.log") as executor:
        lost = end(run(executor, Job("a", jobs.always_killed)))
        assert isinstance(lost, JobLost)
        assert "out of memory" in lost.error
        assert end(run(executor, Job("b", jobs.square, (2,)))) == JobResult("b", 4)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_dask_gives_a_lost_workers_job_to_another(number: int, tmp_path: Path):
    with make("dask", 1, tmp_path / "study.log", lost_after_s=2) as executor:
        told = run(executor, Job("a", jobs.once_by, (str(tmp_path / "sent"), int(number))))
    assert end(told) == JobResult("a", "done after all")  # which says that it was begun before
    assert any(isinstance(message, JobStarted) for message in told)  # the first start may be lost with its worker


def test_a_process_that_is_stopped_for_too_long_is_lost(tmp_path: Path):
    with make("processes", 1, tmp_path / "study.log", lost_after_s=0.5) as executor:
        lost = end(run(executor, Job("a", jobs.once_by, (str(tmp_path / "sent"), int(signal.SIGSTOP)))))
    assert isinstance(lost, JobLost)
    assert "was stopped for" in lost.error


def test_an_executor_can_be_started_again(tmp_path: Path):
    executor = ProcessExecutor(1, tmp_path / "study.log")
    for _ in range(2):
        with executor:
            assert end(run(executor, Job("a", jobs.square, (3,)))) == JobResult("a", 9)


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path):
    with pytest.raises(ExecutorError, match="cannot write"):
        ProcessExecutor(1, tmp_path / "no" / "study.log").start()


def test_no_workers_are_refused():
    with pytest.raises(ExecutorError, match="at least 1, not 0"):
        ProcessExecutor(0)
