"""Studies: what to run (TOML), the engine that runs it on worker processes, and the store of its results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.lazy import lazily
from fewbits.study.declaration import Figure
from fewbits.study.engine import StudyInterrupted, StudyOutcome, run_study
from fewbits.study.events import (
    FloatNetworkTrained,
    Notice,
    RunFailed,
    RunFinished,
    StudyStarted,
    TaskLabel,
    TaskProgress,
    TaskStarted,
)
from fewbits.study.result import FLOAT_RECIPE, FailedRun, RunResult, StudyRecord
from fewbits.study.spec import (
    PRESETS,
    AcceleratorSection,
    CalibrationSection,
    FineTuneSection,
    FloatTrainingSection,
    MethodsSection,
    StudySpec,
    TrainingSection,
    load_study,
)
from fewbits.study.store import read_failures, read_results, read_study

if TYPE_CHECKING:
    from fewbits.study.stored import StoredNetwork, stored_network

__all__ = [
    "FLOAT_RECIPE",
    "PRESETS",
    "AcceleratorSection",
    "CalibrationSection",
    "FailedRun",
    "Figure",
    "FineTuneSection",
    "FloatNetworkTrained",
    "FloatTrainingSection",
    "MethodsSection",
    "Notice",
    "RunFailed",
    "RunFinished",
    "RunResult",
    "StoredNetwork",
    "StudyInterrupted",
    "StudyOutcome",
    "StudyRecord",
    "StudySpec",
    "StudyStarted",
    "TaskLabel",
    "TaskProgress",
    "TaskStarted",
    "TrainingSection",
    "load_study",
    "read_failures",
    "read_results",
    "read_study",
    "run_study",
    "stored_network",
]

if not TYPE_CHECKING:  # these load torch: a store is read without it
    __getattr__, __dir__ = lazily(__name__, dict.fromkeys(("StoredNetwork", "stored_network"), "fewbits.study.stored"))
