"""The worker processes, seen from the process that runs the study: started, given tasks, heard, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from fewbits.errors import StudyError

if TYPE_CHECKING:
    from fewbits.study.worker import Message, Task

LOG_NAME = "study.log"
"""What workers print, and tracebacks; in the study's output folder."""

_PROGRAM = "import sys; from fewbits.study.worker import main; main(*sys.argv[1:])"
"""Not `-m`: run as `__main__`, the worker would pickle its messages under a name that this process does not know."""

_ENVIRONMENT = {
    # One thread each: two such workers beat one with two threads on networks of this size.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    # Keep freed memory instead of giving it back to the system and faulting it in again at each training step: a
    # LeNet epoch takes 10 % less processor time (mallopt(3): M_MMAP_MAX, M_TRIM_THRESHOLD).
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
}

_GRACE_SECONDS = 5.0
"""From asking a worker to end until it is killed."""


class Worker:
    """One process and the task that it has."""

    def __init__(self, folder: Path, log: IO[bytes]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-c", _PROGRAM]
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                [*command, str(theirs.fileno()), str(os.getpid()), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | _ENVIRONMENT,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C on the terminal is this process's to handle
            )
        self.connection = Connection(ours.detach())
        self.task: Task | None = None

    def give(self, task: Task) -> None:
        """Send a task; if the process is gone, `receive` tells."""
        self.task = task
        with suppress(ConnectionError):
            self.connection.send(task)

    def receive(self) -> Message | None:
        """The next message; None if the process has ended."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):  # OSError: in the middle of a message
            return None

    def end(self) -> str:
        """Wait for a process that has closed its connection; how it ended, in words."""
        self.wait()
        status = self._process.returncode
        if status >= 0:
            return f"its worker process ended with status {status} (see {LOG_NAME})"
        name = signal.Signals(-status).name
        reason = "out of memory, or killed by hand" if name == "SIGKILL" else f"see {LOG_NAME}"
        return f"its worker process was ended by {name} ({reason})"

    def stop(self) -> None:
        """Ask the process to end now: the last checkpoint stays whole, since files are renamed into place."""
        self._process.terminate()

    def wait(self) -> None:
        """Wait until the process has ended, and see to it that it does."""
        self.connection.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Pool:
    """Up to a number of workers, started as tasks come."""

    def __init__(self, folder: Path, size: int) -> None:
        """Raises StudyError if the log cannot be written."""
        self._folder = folder
        self._size = size
        self._workers: list[Worker] = []
        try:
            self._log = (folder / LOG_NAME).open("ab")
        except OSError as error:
            raise StudyError(
                f"cannot write {str(folder / LOG_NAME)!r}: {error.strerror}; give a folder that can be written"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.wait()
        self._log.close()

    def give(self, task: Task) -> bool:
        """Give a task to a free worker, a new one if need be; False if all are busy."""
        worker = next((one for one in self._workers if one.task is None), None)
        if worker is None:
            if len(self._workers) == self._size:
                return False
            worker = Worker(self._folder, self._log)
            self._workers.append(worker)
        worker.give(task)
        return True

    def messages(self) -> Iterator[tuple[Task, Message | str]]:
        """Wait for messages; each with the task that it is about. A text tells how the task's worker ended."""
        ready: Sequence[object] = wait([worker.connection for worker in self._workers])
        for worker in [one for one in self._workers if one.connection in ready]:
            message, task = worker.receive(), worker.task
            if message is None:
                self._workers.remove(worker)
                if task is not None:
                    yield task, worker.end()
            elif task is not None:
                yield task, message

    def release(self, task: Task) -> None:
        """Note that a task is over, so that its worker can take another."""
        for worker in self._workers:
            if worker.task is task:
                worker.task = None
