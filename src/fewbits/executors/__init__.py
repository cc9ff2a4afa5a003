"""Executors: who does the jobs of a study or a characterization, on this machine or on many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.executors.base import (
    Executor,
    Job,
    JobCancelled,
    JobFailure,
    JobLost,
    JobProgress,
    JobResult,
    JobStarted,
    Message,
    Payload,
    Report,
    WorkersNotice,
)
from fewbits.executors.processes import ProcessExecutor
from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.executors.dask import DaskExecutor
    from fewbits.executors.description import ClusterSection
    from fewbits.executors.engines import executor_of
    from fewbits.executors.worker_source import WorkerSource

__all__ = [
    "ClusterSection",
    "DaskExecutor",
    "Executor",
    "Job",
    "JobCancelled",
    "JobFailure",
    "JobLost",
    "JobProgress",
    "JobResult",
    "JobStarted",
    "Message",
    "Payload",
    "ProcessExecutor",
    "Report",
    "WorkerSource",
    "WorkersNotice",
    "executor_of",
]

if not TYPE_CHECKING:  # Dask at first use
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "ClusterSection": "fewbits.executors.description",
            "DaskExecutor": "fewbits.executors.dask",
            "WorkerSource": "fewbits.executors.worker_source",
            "executor_of": "fewbits.executors.engines",
        },
    )
