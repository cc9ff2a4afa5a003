"""Studies: what to run (TOML), the engine that runs it on worker processes, and the store of its results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fewbits.study.engine import StudyInterrupted, StudyOutcome, run_study
from fewbits.study.result import FLOAT_RECIPE, FailedRun, RunResult, StudyRecord
from fewbits.study.spec import PRESETS, StudySpec, load_study
from fewbits.study.store import read_failures, read_results, read_study

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """The names that load torch, at their first use: a store is read without it."""
    if name in ("StoredNetwork", "stored_network"):
        from fewbits.study import stored

        return getattr(stored, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
