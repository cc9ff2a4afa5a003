"""Workers that are processes of this machine, of one thread each: started as jobs come, heard, stopped."""

from __future__ import annotations

import heapq
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, cast

from fewbits.errors import ExecutorError
from fewbits.executors.base import (
    LOST_AFTER_SECONDS,
    Executor,
    Job,
    JobFailure,
    JobLost,
    JobProgress,
    JobResult,
    JobStarted,
    Message,
)
from fewbits.executors.worker_process import LOOK_SECONDS, Log, WorkerProcess

_PROGRAM = "import sys; from fewbits.executors.worker import main; main(*sys.argv[1:])"


class ProcessExecutor(Executor):
    """Up to a number of worker processes, each of which dies with this one, however this one ends."""

    def __init__(
        self, size: int | None = None, log: Path | None = None, lost_after_s: float = LOST_AFTER_SECONDS
    ) -> None:
        """size: how many; None takes one for each core that this process may use. log: file to which workers append
        what they print, and tracebacks; None is standard error. lost_after_s: a worker that is stopped (SIGSTOP) for so
        long is given up.
        """
        if size is not None and size < 1:
            raise ExecutorError(f"workers must be at least 1, not {size}")
        self._size = size or len(os.sched_getaffinity(0))
        self._log = Log(log)
        self._lost_after_s = lost_after_s
        self._workers: list[_Worker] = []
        self._queue: list[tuple[int, int, Job]] = []
        self._numbers = count()

    def start(self) -> None:
        """Raises ExecutorError if the log cannot be written."""
        self._log.open()

    def close(self) -> None:
        """Stop the workers: checkpoints stay whole, since files are renamed into place."""
        self._queue.clear()
        for worker in self._workers:
            worker.process.stop()
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        self._log.close()

    @property
    def workers(self) -> int:
        """The most that are started."""
        return self._size

    @property
    def about(self) -> str:
        """Nothing: they are this machine's."""
        return ""

    def ask(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Nobody: these workers are this machine's, and see what this process sees."""
        return {}

    def submit(self, job: Job) -> None:
        """Queue a job. Workers take it when messages are next waited for: what is submitted until then counts."""
        heapq.heappush(self._queue, (-job.priority, next(self._numbers), job))

    def cancel(self, key: str) -> None:
        """Take a job from the queue, or end its worker."""
        self._queue = [entry for entry in self._queue if entry[-1].key != key]
        heapq.heapify(self._queue)
        for worker in [one for one in self._workers if one.job is not None and one.job.key == key]:
            self._workers.remove(worker)
            worker.process.stop()
            worker.end()

    def messages(self) -> Sequence[Message]:
        """What workers say; first of all, which jobs they have taken."""
        told: list[Message] = list(self._give_out())
        while not told:
            ready: Sequence[object] = wait([worker.connection for worker in self._workers], LOOK_SECONDS)
            for worker in [one for one in self._workers if one.connection in ready]:
                told += self._heard(worker)
            for worker in self._workers:
                worker.process.kill_if_stopped(self._lost_after_s)  # its connection closes: the next round tells
        return told

    def _give_out(self) -> list[JobStarted]:
        """Give queued jobs to free workers, new ones if need be."""
        started: list[JobStarted] = []
        while self._queue:
            worker = next((one for one in self._workers if one.job is None), None)
            if worker is None:
                if len(self._workers) == self._size:
                    break
                worker = _Worker(self._log)
                self._workers.append(worker)
            *_, job = heapq.heappop(self._queue)
            worker.give(job)
            started.append(JobStarted(job.key, f"process {worker.process.number}"))
        return started

    def _heard(self, worker: _Worker) -> list[Message]:
        """A worker's next message, if it is about a job."""
        message, job = worker.receive(), worker.job
        if message is None:
            self._workers.remove(worker)
            worker.end()
            return [] if job is None else [JobLost(job.key, f"its worker process {worker.process.how_it_ended()}")]
        if not isinstance(message, JobProgress):
            worker.job = None
        return [message]


class _Worker:
    """One process, the job that it has, and the connection to it."""

    def __init__(self, log: Log) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), str(os.getpid()), log.name]
            self.process = WorkerProcess(_PROGRAM, arguments, log, [theirs.fileno()])
        self.connection = Connection(ours.detach())
        self.job: Job | None = None

    def give(self, job: Job) -> None:
        """Send a job; if the process is gone, `receive` tells. Raises what pickling the job raises."""
        with suppress(ConnectionError):
            self.connection.send(job)
        self.job = job

    def receive(self) -> JobProgress | JobResult | JobFailure | None:
        """The next message; None if the process has ended."""
        try:
            return cast("JobProgress | JobResult | JobFailure", self.connection.recv())
        except (EOFError, OSError):  # OSError: in the middle of a message
            return None

    def end(self) -> None:
        """Close the connection, and wait until the process has ended."""
        self.connection.close()
        self.process.wait()
