"""Studies: what to run (TOML), the engine that runs it on worker processes, and the store of its results."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_PLACES = {
    **dict.fromkeys(("StudyInterrupted", "StudyOutcome", "run_study"), "engine"),
    **dict.fromkeys(("FLOAT_RECIPE", "FailedRun", "RunResult", "StudyRecord"), "result"),
    **dict.fromkeys(("PRESETS", "StudySpec", "load_study"), "spec"),
    **dict.fromkeys(("read_failures", "read_results", "read_study"), "store"),
    **dict.fromkeys(("StoredNetwork", "stored_network"), "stored"),
}
"""Modules of the public names, loaded at first use: a store is read without torch, costs printed without a store."""


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"fewbits.study.{_PLACES[name]}"), name)
