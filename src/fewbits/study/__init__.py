"""Studies: what to run (TOML), the engine that runs it on worker processes, and the store of its results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.study.declaration import Figure, Tested
    from fewbits.study.defect_record import DefectRecord, DefectRowRecord, DrawnAccuracies, RepairRecord
    from fewbits.study.engine import StudyInterrupted, StudyOutcome, run_study
    from fewbits.study.events import (
        FloatNetworkTrained,
        Measured,
        Notice,
        RunFailed,
        RunFinished,
        StudyStarted,
        TaskLabel,
        TaskMeasuring,
        TaskProgress,
        TaskStarted,
    )
    from fewbits.study.front_record import FrontPoint
    from fewbits.study.layer_record import LayerRecord, MemoryRecord
    from fewbits.study.networks import TrainingOutcome
    from fewbits.study.result import FLOAT_RECIPE, FailedRun, RunResult, StudyRecord
    from fewbits.study.sections import (
        AcceleratorSection,
        CalibrationSection,
        DataSection,
        DefectsSection,
        ErrorRatesSection,
        FineTuneSection,
        FloatTrainingSection,
        MachineSection,
        MethodsSection,
        PrecisionSection,
        TrainingSection,
    )
    from fewbits.study.spec import PRESETS, StudySpec, load_study
    from fewbits.study.store import read_failures, read_results, read_study
    from fewbits.study.stored import StoredNetwork, stored_network
    from fewbits.study.tracking import SINKS, Sink, SinkWriter, TrackedStudy

__all__ = [
    "FLOAT_RECIPE",
    "PRESETS",
    "SINKS",
    "AcceleratorSection",
    "CalibrationSection",
    "DataSection",
    "DefectRecord",
    "DefectRowRecord",
    "DefectsSection",
    "DrawnAccuracies",
    "ErrorRatesSection",
    "FailedRun",
    "Figure",
    "FineTuneSection",
    "FloatNetworkTrained",
    "FloatTrainingSection",
    "FrontPoint",
    "LayerRecord",
    "MachineSection",
    "Measured",
    "MemoryRecord",
    "MethodsSection",
    "Notice",
    "PrecisionSection",
    "RepairRecord",
    "RunFailed",
    "RunFinished",
    "RunResult",
    "Sink",
    "SinkWriter",
    "StoredNetwork",
    "StudyInterrupted",
    "StudyOutcome",
    "StudyRecord",
    "StudySpec",
    "StudyStarted",
    "TaskLabel",
    "TaskMeasuring",
    "TaskProgress",
    "TaskStarted",
    "Tested",
    "TrackedStudy",
    "TrainingOutcome",
    "TrainingSection",
    "load_study",
    "read_failures",
    "read_results",
    "read_study",
    "run_study",
    "stored_network",
]

_NAMES = {
    "engine": (
        "StudyInterrupted",
        "StudyOutcome",
        "run_study",
    ),
    "declaration": ("Figure", "Tested"),
    "defect_record": ("DefectRecord", "DefectRowRecord", "DrawnAccuracies", "RepairRecord"),
    "front_record": ("FrontPoint",),
    "layer_record": ("LayerRecord", "MemoryRecord"),
    "networks": ("TrainingOutcome",),
    "events": (
        "FloatNetworkTrained",
        "Measured",
        "Notice",
        "RunFailed",
        "RunFinished",
        "StudyStarted",
        "TaskLabel",
        "TaskMeasuring",
        "TaskProgress",
        "TaskStarted",
    ),
    "result": (
        "FLOAT_RECIPE",
        "FailedRun",
        "RunResult",
        "StudyRecord",
    ),
    "sections": (
        "AcceleratorSection",
        "CalibrationSection",
        "DataSection",
        "DefectsSection",
        "ErrorRatesSection",
        "FineTuneSection",
        "FloatTrainingSection",
        "MachineSection",
        "PrecisionSection",
        "MethodsSection",
        "TrainingSection",
    ),
    "spec": ("PRESETS", "StudySpec", "load_study"),
    "store": (
        "read_failures",
        "read_results",
        "read_study",
    ),
    "tracking": ("SINKS", "Sink", "SinkWriter", "TrackedStudy"),
    "stored": (
        "StoredNetwork",
        "stored_network",
    ),
}
"""Public names by the module that holds them."""

if not TYPE_CHECKING:  # at first use: a store is read without torch, costs are printed without a store
    __getattr__, __dir__ = lazily(
        __name__, {name: f"fewbits.study.{module}" for module, names in _NAMES.items() for name in names}
    )
