"""The studies of a report: read from their folders, told apart by name, runs that two of them share counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.errors import StudyError

if TYPE_CHECKING:
    from fewbits.study import FailedRun, RunResult, StudyRecord


@dataclass(frozen=True)
class ReadStudy:
    """A stored study."""

    name: str
    """In the report: its own, or with its folder where two are called alike."""

    folder: Path
    record: StudyRecord
    results: tuple[RunResult, ...]
    failures: tuple[FailedRun, ...]

    shared: tuple[tuple[str, RunResult], ...] = ()
    """Runs that an earlier study of the report has too, each with that study's name: they are shown as its."""

    @property
    def own(self) -> tuple[RunResult, ...]:
        """The runs that no earlier study has."""
        keys = {run.key for _, run in self.shared}
        return tuple(run for run in self.results if run.key not in keys)


def read_studies(folders: Sequence[str | Path]) -> tuple[tuple[ReadStudy, ...], tuple[str, ...]]:
    """The studies in these folders that can be read, and a line for each folder that cannot.

    A folder that is given twice is read once. Raises StudyError if none can be read.
    """
    from fewbits.study import read_failures, read_results, read_study

    found: list[ReadStudy] = []
    lines: list[str] = []
    for folder in dict.fromkeys(Path(folder).resolve() for folder in folders):
        given = next(Path(one) for one in folders if Path(one).resolve() == folder)
        try:
            record, results = read_study(given), read_results(given)
            if not results:
                raise StudyError(f"no run of the study in {str(given)!r} has finished: give its command again first")
            found.append(ReadStudy(record.name, given, record, results, read_failures(given)))
        except StudyError as error:
            lines.append(str(error))
    if not found:
        raise StudyError("; ".join(lines) or "a report is of at least one study: give a folder of fewbits run")
    return _without_repeats(_told_apart(found)), tuple(lines)


def _told_apart(studies: Sequence[ReadStudy]) -> list[ReadStudy]:
    counts = Counter(one.name for one in studies)
    return [replace(one, name=f"{one.name} ({one.folder})") if counts[one.name] > 1 else one for one in studies]


def _without_repeats(studies: Sequence[ReadStudy]) -> tuple[ReadStudy, ...]:
    first: dict[str, str] = {}
    made: list[ReadStudy] = []
    for study in studies:
        shared = tuple((first[run.key], run) for run in study.results if run.key in first)
        first |= {run.key: study.name for run in study.results if run.key not in first}
        made.append(replace(study, shared=shared))
    return tuple(made)
