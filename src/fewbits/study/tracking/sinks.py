"""What a sink is: told of epochs and runs as they come, it writes them for another program. Loads no torch.

A new sink is an entry of the registry: what opens a writer, and a writer with four methods. They are called on a thread
of the sink's own, so that they may take their time; what they raise ends the sink, with a notice, and not the study.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.extensions import Registry
from fewbits.study.figures import FIGURES

if TYPE_CHECKING:
    from fewbits.study.events import TaskLabel
    from fewbits.study.result import FailedRun, RunResult
    from fewbits.train import EpochRecord


@dataclass(frozen=True)
class TrackedStudy:
    """Whose curves and figures a sink writes."""

    name: str
    folder: Path
    """The study's own folder; a sink that is told no place writes below it, into `Sink.folder`."""


class SinkWriter(ABC):
    """One sink at work for one study. All may come again after a study was resumed: nothing is to be written twice."""

    @abstractmethod
    def epochs(self, task: TaskLabel, epochs: Sequence[EpochRecord]) -> None:
        """The last epochs of a training that goes on; those told before among them, very short ones not."""

    @abstractmethod
    def finished(self, run: RunResult) -> None:
        """A run's figures and its whole curve."""

    def failed(self, run: FailedRun) -> None:  # noqa: B027 (a sink may leave it out)
        """A run without figures."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more comes: write what is still held."""


@dataclass(frozen=True)
class Sink:
    """A program that shows curves and figures."""

    summary: str
    """What is written, and where if nobody says."""

    open: Callable[[str | None, TrackedStudy], SinkWriter]
    """Called before anything runs, with the place that was asked for: a path or an address. It looks whether all that
    it needs is installed, and waits for no other machine. Raises StudyError."""

    folder: str = ""
    """What it writes into the study's folder, if it is told no other place; empty if it needs to be told one."""


def _tensorboard(place: str | None, study: TrackedStudy) -> SinkWriter:
    from fewbits.study.tracking.tensorboard import TensorBoardWriter  # at use: it loads torch

    return TensorBoardWriter(Path(place) if place else study.folder / "tensorboard", study.name)


def _mlflow(place: str | None, study: TrackedStudy) -> SinkWriter:
    from fewbits.study.tracking.mlflow import MlflowWriter, tracking_uri

    return MlflowWriter(tracking_uri(place, study.folder / "mlruns"), study.name)


_OWN: dict[str, Sink] = {
    "tensorboard": Sink("event files in a folder, DIR/tensorboard if none is given", _tensorboard, "tensorboard"),
    "mlflow": Sink(
        "an experiment on a server or in a folder: MLFLOW_TRACKING_URI or DIR/mlruns if none is given",
        _mlflow,
        "mlruns",
    ),
}

SINKS: Mapping[str, Sink] = Registry("sinks", _OWN, Sink)
"""By name: fewbits' own, and those of installed extensions."""


def plain_figures(run: RunResult) -> Iterator[tuple[str, Any]]:
    """The figures of a run that are one value, as declared; a range gives two, `off_chip_uj_low` and `_high`."""
    for figure in FIGURES:
        if not figure.by and (figure.is_kept or figure.of_run is not None):
            value = figure.value(run)
            if figure.ends:
                yield from ((f"{figure.name}_{end}", value[place]) for place, end in enumerate(figure.ends))
            elif value is not None:
                yield figure.name, value
