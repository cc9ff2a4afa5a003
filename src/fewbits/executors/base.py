"""What an executor is: jobs go to workers, messages come back to the one parent. Loads no torch.

A job is a function that can be imported, and its arguments. It knows no store, and its result depends on its arguments
alone, so that it may be done on any worker, and done again where a worker was lost. To be an executor: subclass
`Executor`, and say what is under "to be provided".
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from fewbits.errors import FewbitsError

LOST_AFTER_SECONDS = 300.0
"""A worker that is stopped or silent for so long counts as lost: what Dask's `distributed.scheduler.worker-ttl` is."""

ENVIRONMENT = {
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
"""Of each worker process. Threads count for more than speed: they change the order in which floats are added."""

Report = Callable[[Any], None]
"""What a job passes its progress to; most of what comes within a fifth of a second is left out. It raises if the job is
no longer wanted: let that through."""


class JobCancelled(BaseException):
    """Raised inside a job that nobody waits for any more; not an Exception, so that no job takes it for its own."""


@dataclass(frozen=True)
class Payload:
    """Bytes that several jobs take as an argument: carried to the workers once, where workers are far."""

    content: bytes = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        """Hash of the content, by which equal payloads are one."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Job:
    """What one worker does in one go."""

    key: str
    """Tells it from all other jobs under way; free again once the job has ended."""

    function: Callable[..., Any]
    """Called with a `Report`, then the arguments. Of a module that workers can import; what it raises fails the job."""

    arguments: tuple[Any, ...] = ()
    """Can be pickled. Of a `Payload` the function gets the content."""

    priority: int = 0
    """Higher ones start first, equal ones in the order in which they were submitted."""


@dataclass(frozen=True)
class JobStarted:
    """A worker has taken a job; again, if its first worker was lost."""

    key: str
    worker: str
    """Which, for people."""


@dataclass(frozen=True)
class JobProgress:
    """A job goes on."""

    key: str
    value: Any
    """What it reported."""


@dataclass(frozen=True)
class JobResult:
    """A job is done."""

    key: str
    value: Any
    """What its function returned."""


@dataclass(frozen=True)
class JobFailure:
    """A job has no result, and would have none elsewhere."""

    key: str
    error: str
    """One line."""


@dataclass(frozen=True)
class JobLost:
    """A job has no result since its worker was lost; another try may have one."""

    key: str
    error: str
    """One line."""


@dataclass(frozen=True)
class WorkersNotice:
    """What a person should know of the workers: one refused, one lost, processors of different kinds."""

    text: str
    """One line."""


Message = JobStarted | JobProgress | JobResult | JobFailure | JobLost | WorkersNotice
"""Of each job any number of JobStarted and JobProgress, then one of the next three."""


class Executor(ABC):
    """Workers, from the `with` that starts them to its end, which leaves none. It may be entered again after that."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # To be provided:

    @abstractmethod
    def start(self) -> None:
        """Make ready. Raises ExecutorError in one line if that fails, with nothing left behind."""

    @abstractmethod
    def close(self) -> None:
        """Stop all jobs and what was started for them; also after an error or Ctrl-C in any other method."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many jobs are done at the same time now."""

    @property
    @abstractmethod
    def about(self) -> str:
        """One line for people: which workers these are; empty for those of this machine alone. Once started."""

    @abstractmethod
    def ask(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """What a function that answers at once returns on each worker that is on another machine, or may be, by the
        worker's name; workers that give no answer are left out. Once started.
        """

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Queue a job; its messages come with those of the others."""

    @abstractmethod
    def messages(self) -> Sequence[Message]:
        """Wait until there is something to tell, and tell all that there is, in order. A job must be under way.

        Ctrl-C interrupts the wait (KeyboardInterrupt).
        """

    @abstractmethod
    def cancel(self, key: str) -> None:
        """Give up a job that was submitted: no more messages come of it."""


def perform(job: Job, report: Report, log: str) -> JobResult | JobFailure:
    """Do a job in this process; whatever it raises becomes one line, with the traceback of what was not foreseen on
    standard error. log: where people find that.
    """
    arguments = (each.content if isinstance(each, Payload) else each for each in job.arguments)
    try:
        return JobResult(job.key, job.function(report, *arguments))
    except FewbitsError as error:
        return JobFailure(job.key, one_line(str(error)))
    except (Exception, SystemExit) as error:
        with suppress(OSError):
            traceback.print_exc()
            sys.stderr.flush()
        return JobFailure(job.key, f"{one_line(f'{type(error).__name__}: {error}')} (traceback in {log})")


def one_line(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())
