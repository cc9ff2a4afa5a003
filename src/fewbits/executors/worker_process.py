"""A process of one thread on this machine, for whatever a worker runs: started, looked after, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO

from fewbits.errors import ExecutorError
from fewbits.executors.base import ENVIRONMENT

LOOK_SECONDS = 1.0
"""Between two looks at whether a worker is stopped, or has ended."""

_GRACE_SECONDS = 5.0
"""From asking a worker to end until it is killed."""


class Log:
    """The file to which workers append what they print, and tracebacks; standard error if there is none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return "standard error" if self._path is None else self._path.name

    @property
    def descriptor(self) -> int:
        """For a process to write to."""
        return 2 if self._file is None else self._file.fileno()

    def open(self) -> None:
        """Raises ExecutorError if the file cannot be written."""
        if self._path is None:
            return
        try:
            self._file = self._path.open("ab")
        except OSError as error:
            raise ExecutorError(
                f"cannot write {str(self._path)!r}: {error.strerror}; give a folder that can be written"
            ) from None

    def close(self) -> None:
        """Of this process; workers have their own."""
        if self._file is not None:
            self._file.close()
            self._file = None


class WorkerProcess:
    """One process, in a group of its own: Ctrl-C on the terminal is the parent's to handle."""

    def __init__(self, program: str, arguments: Collection[str], log: Log, descriptors: Collection[int] = ()) -> None:
        """program: of Python, not run by `-m`: as `__main__` it would pickle under a name that the parent does not
        know. descriptors: of the parent, which the process keeps.
        """
        self._log_name = log.name
        self._stopped_at: float | None = None
        self._given_up = ""
        self._process = subprocess.Popen(  # noqa: S603 (our own program)
            [sys.executable, "-P", "-c", program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log.descriptor,
            stderr=log.descriptor,
            env=os.environ | ENVIRONMENT,
            pass_fds=descriptors,
            process_group=0,
        )

    @property
    def number(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def how_it_ended(self) -> str:
        """How a process that has ended did so, in words."""
        if self._given_up:
            return self._given_up
        status = self._process.returncode
        if status >= 0:
            return f"ended with status {status} (see {self._log_name})"
        name = signal.Signals(-status).name
        reason = "out of memory, or killed by hand" if name == "SIGKILL" else f"see {self._log_name}"
        return f"was ended by {name} ({reason})"

    def kill_if_stopped(self, seconds: float) -> None:
        """Kill a process that a signal (SIGSTOP) has stopped for so long, as far as it was looked at.

        A worker that computes says nothing for as long as it takes, so that silence alone tells nothing.
        """
        now = time.monotonic()
        if not self._is_stopped():
            self._stopped_at = None
        elif self._stopped_at is None:
            self._stopped_at = now
        elif now - self._stopped_at > seconds:
            self._given_up = f"was stopped for {now - self._stopped_at:.0f} s and given up"
            self._process.kill()

    def _is_stopped(self) -> bool:
        with suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.number, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        return False

    def stop(self) -> None:
        """Ask the process to end now."""
        self._process.terminate()

    def wait(self) -> None:
        """Wait until the process has ended, and see to it that it does."""
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
