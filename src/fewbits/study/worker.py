"""A worker process: takes one task after another from the process that runs the study. Started by `pool`."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from fewbits.errors import FewbitsError
from fewbits.study.networks import TrainingOutcome
from fewbits.study.point import Workshop
from fewbits.study.pool import LOG_NAME
from fewbits.study.result import RunResult
from fewbits.study.tasks import Run, Training
from fewbits.train import Progress

Task = Training | Run

_PROGRESS_SECONDS = 0.2
"""Between two messages on a training's progress; a display changes no faster."""

_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2)."""


@dataclass(frozen=True)
class TaskFailed:
    """Why a task has no result, in one line."""

    error: str


Message = Progress | TrainingOutcome | RunResult | TaskFailed
"""What a worker sends: any number of Progress, then one of the others."""


def main(descriptor: str, parent: str, folder: str) -> None:
    """Do tasks until the other end closes.

    descriptor: of the connection's socket. parent: process id of the other end; the worker dies with it. folder: the
    study's output. All as the command line gives them.
    """
    _die_with(int(parent))
    torch.set_num_threads(1)
    with Connection(int(descriptor)) as connection:
        reporter = _Reporter(connection)
        workshop = Workshop(Path(folder), reporter)
        with suppress(EOFError, ConnectionError):
            while True:
                task = connection.recv()
                reporter.begin()
                connection.send(perform(workshop, task))


def perform(workshop: Workshop, task: Task) -> TrainingOutcome | RunResult | TaskFailed:
    """Do one task; whatever it raises becomes one line, with the traceback of what was not foreseen in the log."""
    try:
        return workshop.run(task) if isinstance(task, Run) else workshop.train_float(task)
    except FewbitsError as error:
        return TaskFailed(_one_line(str(error)))
    except ConnectionError:
        raise  # of the other end, which is gone
    except (Exception, SystemExit) as error:
        with suppress(OSError):
            traceback.print_exc()
            sys.stderr.flush()
        return TaskFailed(f"{_one_line(f'{type(error).__name__}: {error}')} (traceback in {LOG_NAME})")


class _Reporter:
    """Passes a training's progress on, now and then."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._next = 0.0

    def begin(self) -> None:
        """Pass the next message on at once: a task's first tells that it trains, and from which epoch."""
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PROGRESS_SECONDS
            self._connection.send(progress)


def _die_with(parent: int) -> None:
    """Be killed when the parent ends, even by kill -9; elsewhere than on Linux, the next message finds it gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def _one_line(text: str) -> str:
    return " ".join(text.split())
