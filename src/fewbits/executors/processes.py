"""Workers that are processes of this machine, of one thread each: started as jobs come, heard, stopped."""

from __future__ import annotations

import heapq
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, cast

from fewbits.errors import ExecutorError
from fewbits.executors.base import (
    ENVIRONMENT,
    LOST_AFTER_SECONDS,
    Executor,
    Job,
    JobFailure,
    JobLost,
    JobProgress,
    JobResult,
    JobStarted,
    Message,
    one_line,
)

_PROGRAM = "import sys; from fewbits.executors.worker import main; main(*sys.argv[1:])"
"""Not `-m`: run as `__main__`, the worker would pickle its messages under a name that this process does not know."""

_GRACE_SECONDS = 5.0
"""From asking a worker to end until it is killed."""

_LOOK_SECONDS = 1.0
"""Between two looks at whether a worker is stopped."""


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
        self._log_path = log
        self._log: IO[bytes] | None = None
        self._lost_after_s = lost_after_s
        self._workers: list[_Worker] = []
        self._queue: list[tuple[int, int, Job]] = []
        self._numbers = count()

    def start(self) -> None:
        """Raises ExecutorError if the log cannot be written."""
        if self._log_path is None:
            return
        try:
            self._log = self._log_path.open("ab")
        except OSError as error:
            raise ExecutorError(
                f"cannot write {str(self._log_path)!r}: {error.strerror}; give a folder that can be written"
            ) from None

    def close(self) -> None:
        """Stop the workers: checkpoints stay whole, since files are renamed into place."""
        self._queue.clear()
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.wait()
        self._workers.clear()
        if self._log is not None:
            self._log.close()
            self._log = None

    @property
    def workers(self) -> int:
        """The most that are started."""
        return self._size

    @property
    def about(self) -> str:
        """Nothing: they are this machine's."""
        return ""

    def shares(self, folder: Path) -> bool:
        """True: a process of this machine sees its folders."""
        return True

    def submit(self, job: Job) -> None:
        """Queue a job. Workers take it when messages are next waited for: what is submitted until then counts."""
        heapq.heappush(self._queue, (-job.priority, next(self._numbers), job))

    def cancel(self, key: str) -> None:
        """Take a job from the queue, or end its worker."""
        self._queue = [entry for entry in self._queue if entry[-1].key != key]
        heapq.heapify(self._queue)
        for worker in [one for one in self._workers if one.job is not None and one.job.key == key]:
            self._workers.remove(worker)
            worker.stop()
            worker.wait()

    def messages(self) -> Sequence[Message]:
        """What workers say; first of all, which jobs they have taken."""
        told: list[Message] = list(self._give_out())
        while not told:
            ready = self._ready(_LOOK_SECONDS)
            for worker in ready:
                told += self._heard(worker)
            for worker in self._stopped_too_long():
                worker.kill()  # its connection closes: the next round tells
        return told

    def _give_out(self) -> list[JobStarted]:
        """Give queued jobs to free workers, new ones if need be."""
        started: list[JobStarted] = []
        while self._queue:
            worker = next((one for one in self._workers if one.job is None), None)
            if worker is None:
                if len(self._workers) == self._size:
                    break
                worker = _Worker(self._log, self._log_path)
                self._workers.append(worker)
            *_, job = heapq.heappop(self._queue)
            failure = worker.give(job)
            if failure is not None:
                raise failure
            started.append(JobStarted(job.key, f"process {worker.process_id}"))
        return started

    def _ready(self, seconds: float) -> list[_Worker]:
        connections: Sequence[object] = wait([worker.connection for worker in self._workers], seconds)
        return [worker for worker in self._workers if worker.connection in connections]

    def _heard(self, worker: _Worker) -> list[Message]:
        """A worker's next message, if it is about a job."""
        message, job = worker.receive(), worker.job
        if message is None:
            self._workers.remove(worker)
            end = worker.end()
            return [] if job is None else [JobLost(job.key, end)]
        if not isinstance(message, JobProgress):
            worker.job = None
        return [message]

    def _stopped_too_long(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.stopped_seconds() > self._lost_after_s]


class _Worker:
    """One process and the job that it has."""

    def __init__(self, log: IO[bytes] | None, log_path: Path | None) -> None:
        self._log_name = "standard error" if log_path is None else log_path.name
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-c", _PROGRAM]
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                [*command, str(theirs.fileno()), str(os.getpid()), self._log_name],
                stdin=subprocess.DEVNULL,
                stdout=log if log is not None else 2,  # standard error
                stderr=log,
                env=os.environ | ENVIRONMENT,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C on the terminal is this process's to handle
            )
        self.connection = Connection(ours.detach())
        self.job: Job | None = None
        self._stopped_at: float | None = None
        self._given_up = ""

    @property
    def process_id(self) -> int:
        """Of the process."""
        return self._process.pid

    def give(self, job: Job) -> Exception | None:
        """Send a job; if the process is gone, `receive` tells. Returns what a job that cannot be pickled raises."""
        self.job = job
        try:
            self.connection.send(job)
        except ConnectionError:
            return None
        except Exception as error:
            return error
        return None

    def receive(self) -> JobProgress | JobResult | JobFailure | None:
        """The next message; None if the process has ended."""
        try:
            return cast("JobProgress | JobResult | JobFailure", self.connection.recv())
        except (EOFError, OSError):  # OSError: in the middle of a message
            return None

    def end(self) -> str:
        """Wait for a process that has closed its connection; how it ended, in words."""
        self.wait()
        status = self._process.returncode
        if self._given_up:
            return self._given_up
        if status >= 0:
            return f"its worker process ended with status {status} (see {self._log_name})"
        name = signal.Signals(-status).name
        reason = "out of memory, or killed by hand" if name == "SIGKILL" else f"see {self._log_name}"
        return f"its worker process was ended by {name} ({reason})"

    def stopped_seconds(self) -> float:
        """For how long the process has been stopped by a signal, as far as it was looked at; 0 if it runs or has ended.

        A worker that computes says nothing for as long as it takes, so that silence alone tells nothing.
        """
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, self.process_id, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None:
                now = time.monotonic()
                self._stopped_at = now if self._stopped_at is None else self._stopped_at
                return now - self._stopped_at
        self._stopped_at = None
        return 0.0

    def kill(self) -> None:
        """End a process that has been stopped for too long."""
        self._given_up = one_line(
            f"its worker process {self.process_id} was stopped for {self.stopped_seconds():.0f} s and was given up"
        )
        self._process.kill()

    def stop(self) -> None:
        """Ask the process to end now."""
        self._process.terminate()

    def wait(self) -> None:
        """Wait until the process has ended, and see to it that it does."""
        self.connection.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
