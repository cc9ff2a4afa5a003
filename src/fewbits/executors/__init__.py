"""Executors: who does the jobs of a study or a characterization, on this machine or on many."""

from __future__ import annotations

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

__all__ = [
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
    "WorkersNotice",
]
