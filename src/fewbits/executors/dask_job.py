"""What runs on a Dask worker: a job, and the answer to what the worker is."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fewbits.executors.base import Job, JobCancelled, JobFailure, JobResult, perform
from fewbits.executors.software import Software, software
from fewbits.executors.worker import reporter


@dataclass(frozen=True)
class Header:
    """A job without its arguments."""

    number: int
    """Of this giving: a job that is given again has another."""

    key: str
    function: Callable[..., Any]
    topic: str
    """Of Dask's events, under which the parent hears of it."""

    log: str
    """Where people find what the worker prints; empty on workers of others, which messages name."""


@dataclass(frozen=True)
class Introduction:
    """What a worker is."""

    software: Software
    threads: int


def introduce(dask_worker: Any) -> Introduction:
    """Of the worker that this is called on; Dask fills the argument in."""
    return Introduction(software(), dask_worker.state.nthreads)


def do_job(header: Header, *arguments: Any) -> JobResult | JobFailure | None:
    """Do a job on this worker. None if it was taken back, which nobody reads."""
    from distributed import get_worker

    worker = get_worker()
    task = worker.get_current_task()

    def tell(kind: str, value: Any = None) -> None:
        told = {"number": header.number, "kind": kind, "worker": worker.address, "value": pickle.dumps(value)}
        worker.log_event(header.topic, told)

    passing_on = reporter(lambda value: tell("progress", value))

    def report(value: Any) -> None:
        state = worker.state.tasks.get(task)
        if state is None or state.state == "cancelled":
            raise JobCancelled
        passing_on(value)

    tell("started")
    log = header.log or f"the log of worker {worker.address}"
    try:
        done = perform(Job(header.key, header.function, arguments), report, log)
    except JobCancelled:
        return None
    if isinstance(done, JobFailure) and not header.log:
        return replace(done, error=f"{done.error} (on worker {worker.address})")
    return done
