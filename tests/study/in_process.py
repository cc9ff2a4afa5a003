"""Workers in this very process, for tests in which no process is lost: jobs are done one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from fewbits.executors import Executor, Job, JobProgress, JobStarted, Message
from fewbits.executors.base import perform


class InProcessExecutor(Executor):
    """As `fewbits.executors.ProcessExecutor`."""

    def __init__(self, size: int = 1, log: Path | None = None) -> None:
        self._queue: deque[Job] = deque()

    def start(self) -> None:
        pass

    def close(self) -> None:
        self._queue.clear()

    @property
    def workers(self) -> int:
        return 1

    @property
    def about(self) -> str:
        return ""

    def ask(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        return {}

    def submit(self, job: Job) -> None:
        self._queue.append(job)

    def messages(self) -> Sequence[Message]:
        job = self._queue.popleft()
        told: list[Message] = [JobStarted(job.key, "this process")]

        def report(value: Any) -> None:
            self.look(value)
            told.append(JobProgress(job.key, value))

        done = perform(job, report, "study.log")
        return [*told, done]

    def look(self, value: Any) -> None:
        """Called with each progress, inside the job."""

    def cancel(self, key: str) -> None:
        self._queue = deque(job for job in self._queue if job.key != key)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let studies of this test start no process."""
    monkeypatch.setattr("fewbits.study.engine.ProcessExecutor", InProcessExecutor)
