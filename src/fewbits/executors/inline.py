"""Jobs in this process, one after another: where nothing is gained by workers."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from fewbits.errors import FewbitsError
from fewbits.executors.base import Executor, Job, JobFailure, JobResult, Message, Payload, Report, one_line


class InlineExecutor(Executor):
    """Does each job when messages are waited for."""

    def __init__(self, report: Report) -> None:
        """report: gets all that jobs report, at once; no message tells it."""
        self._report = report
        self._queue: list[tuple[int, int, Job]] = []
        self._numbers = count()

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Forget what was not done."""
        self._queue.clear()

    @property
    def workers(self) -> int:
        """One: this process."""
        return 1

    @property
    def about(self) -> str:
        """Nothing: there is no worker."""
        return ""

    def ask(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Nothing: there is no worker elsewhere."""
        return {}

    def submit(self, job: Job) -> None:
        """Queue a job."""
        heapq.heappush(self._queue, (-job.priority, next(self._numbers), job))

    def cancel(self, key: str) -> None:
        """Take a job from the queue."""
        self._queue = [entry for entry in self._queue if entry[-1].key != key]
        heapq.heapify(self._queue)

    def messages(self) -> Sequence[Message]:
        """Do the next job. What it raises beyond FewbitsError is the caller's, traceback and all."""
        *_, job = heapq.heappop(self._queue)
        arguments = [each.content if isinstance(each, Payload) else each for each in job.arguments]
        try:
            return [JobResult(job.key, job.function(self._report, *arguments))]
        except FewbitsError as error:
            return [JobFailure(job.key, one_line(str(error)))]
