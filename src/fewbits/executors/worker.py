"""A worker process: does one job after another for the process that started it. Started by `processes`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from fewbits.executors.base import Job, JobCancelled, JobFailure, JobProgress, one_line, perform

PROGRESS_SECONDS = 0.2
"""Between two messages on a job's progress; a display changes no faster."""

_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2)."""


def main(descriptor: str, parent: str, log: str) -> None:
    """Do jobs until the other end closes.

    descriptor: of the connection's socket. parent: process id of the other end; the worker dies with it. log: where
    people find what this process prints. All as the command line gives them.
    """
    die_with_parent(int(parent))
    with Connection(int(descriptor)) as connection, suppress(EOFError, ConnectionError, JobCancelled):
        while True:
            job: Job = connection.recv()
            done = perform(job, reporter(lambda value, key=job.key: _send(connection, JobProgress(key, value))), log)
            try:
                connection.send(done)
            except ConnectionError:
                raise
            except Exception as error:  # whatever pickling the result raises
                connection.send(JobFailure(job.key, one_line(f"its result cannot be sent: {error}")))


def reporter(send: Callable[[Any], None]) -> Callable[[Any], None]:
    """Pass a job's progress on, now and then; the first at once: it tells that a job trains, and from which epoch."""
    due = 0.0

    def report(value: Any) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due:
            due = now + PROGRESS_SECONDS
            send(value)

    return report


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends, even by kill -9; elsewhere than on Linux, the next message finds it gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def _send(connection: Connection, message: JobProgress) -> None:
    try:
        connection.send(message)
    except ConnectionError:
        raise JobCancelled from None
