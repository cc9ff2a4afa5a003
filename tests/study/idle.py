"""Tasks that do nothing, for what a study costs beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from fewbits.executors import Executor, Job, Message, Report
from fewbits.study import RunResult, TrainingOutcome
from fewbits.study.tasks import Run
from fewbits.study.worker import TaskDone


def nothing(_: Report, done: TaskDone) -> TaskDone:
    """Give back what was given."""
    return done


class IdleExecutor(Executor):
    """Another executor, whose workers are given results in place of tasks."""

    def __init__(self, inner: Executor, result: RunResult) -> None:
        self._inner = inner
        self._result = result

    def start(self) -> None:
        self._inner.start()

    def close(self) -> None:
        self._inner.close()

    @property
    def workers(self) -> int:
        return self._inner.workers

    @property
    def about(self) -> str:
        return self._inner.about

    def ask(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        return self._inner.ask(function, *arguments)

    def submit(self, job: Job) -> None:
        _, task, *_ = job.arguments
        result = replace(self._result, key=task.key) if isinstance(task, Run) else TrainingOutcome(task.key, 1, 1, 9, 9)
        self._inner.submit(Job(job.key, nothing, (TaskDone(result),), job.priority))

    def messages(self) -> Sequence[Message]:
        return self._inner.messages()

    def cancel(self, key: str) -> None:
        self._inner.cancel(key)
