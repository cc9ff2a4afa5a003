"""Studies: what to run (TOML), the engine that runs it on worker processes, and the store of its results."""

from __future__ import annotations

from fewbits.study.engine import StudyInterrupted, StudyOutcome, run_study
from fewbits.study.result import FLOAT_RECIPE, FailedRun, RunResult, StudyRecord
from fewbits.study.spec import PRESETS, StudySpec, load_study
from fewbits.study.store import read_failures, read_results, read_study
from fewbits.study.stored import StoredNetwork, stored_network

__all__ = [
    "FLOAT_RECIPE",
    "PRESETS",
    "FailedRun",
    "RunResult",
    "StoredNetwork",
    "StudyInterrupted",
    "StudyOutcome",
    "StudyRecord",
    "StudySpec",
    "load_study",
    "read_failures",
    "read_results",
    "read_study",
    "run_study",
    "stored_network",
]
