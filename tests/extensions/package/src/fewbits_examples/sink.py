"""A sink: a line of JSON for each epoch and each run, for programs that follow a file.

`fewbits run STUDY --track json-lines` writes `lines.jsonl` into the study's folder, and `--track json-lines=FILE`
another file; so does a study's table `[track]` with `json-lines = true`. Finished runs are told of again at each start
of a study, and epochs after it was cut off: what stands in the file already is left out. Of very short epochs only the
finished run tells. Whatever a sink raises ends it with a notice, and the study goes on; a sink is called on a thread of
its own, so that it may wait for a disk or a server.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewbits import StudyError
from fewbits.study import FailedRun, RunResult, Sink, SinkWriter, TaskLabel, TrackedStudy
from fewbits.train import EpochRecord


@dataclass(frozen=True)
class Lines(SinkWriter):
    """Writes one study's lines."""

    path: Path

    def epochs(self, task: TaskLabel, epochs: Sequence[EpochRecord]) -> None:
        """One line an epoch."""
        self.add_curve(task.key, epochs)

    def finished(self, run: RunResult) -> None:
        """The epochs that were not told of, and a line with the run and its accuracy."""
        self.add_curve(run.key, run.history)
        self.add({"key": run.key, "run": f"{run.model} {run.precision}", "accuracy": run.accuracy_percent})

    def failed(self, run: FailedRun) -> None:
        """One line: why."""
        self.add({"key": run.key, "error": run.error})

    def close(self) -> None:
        """Every line is on disk already."""

    def add_curve(self, key: str, epochs: Sequence[EpochRecord]) -> None:
        """A line for each epoch."""
        for epoch in epochs:
            accuracy = epoch.validation_accuracy_percent
            self.add({"key": key, "epoch": epoch.epoch, "loss": epoch.loss, "validation": accuracy})

    def add(self, entry: dict[str, Any]) -> None:
        """A line, if it is not there yet."""
        line = json.dumps(entry)
        self.path.touch()
        if line not in self.path.read_text().splitlines():
            with self.path.open("a") as file:
                file.write(f"{line}\n")


def _open(place: str | None, study: TrackedStudy) -> SinkWriter:
    path = study.folder / "lines.jsonl" if place is None else Path(place)
    if path.is_dir():
        raise StudyError(f"the sink 'json-lines' writes a file, and {str(path)!r} is a folder: give another name")
    return Lines(path)


sink = Sink(summary="a line of JSON an epoch and a run", open=_open, folder="lines.jsonl")
