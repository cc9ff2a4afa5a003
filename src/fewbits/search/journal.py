"""What a search has evaluated, on disk: a line for each result, so that a stopped search goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from fewbits.errors import SearchError
from fewbits.output_folder import OutputFolder
from fewbits.search.evaluation import Outcome

JOURNAL_NAME = "search.journal"
"""Of the file in the search's folder: JSON lines, each with the hash of what defines it."""

LOCK_NAME = "search.lock"
NETWORKS, CHECKPOINTS = "networks", "checkpoints"

KEPT = (JOURNAL_NAME, LOCK_NAME, NETWORKS, CHECKPOINTS)
"""What a search keeps in its folder beside what it writes whole."""


def search_folder(folder: str | Path) -> OutputFolder:
    """The folder as a search may write into it."""
    return OutputFolder(Path(folder), error=SearchError)


def json_sha256(definition: Mapping[str, Any]) -> str:
    """Hash of a definition in canonical JSON."""
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _sealed(key: str, result: object) -> str:
    """The digest that a line carries of itself."""
    return json_sha256({"key": key, "result": result})


@dataclass(eq=False)
class Journal:
    """Results by key: of this process, and of those before that wrote into the same folder."""

    path: Path | None
    """None keeps nothing on disk."""

    _results: dict[str, Any] = field(default_factory=dict[str, Any])
    found: int = 0
    """Results that were there."""

    damaged: int = 0
    """Lines that were there and are not what was written."""

    def __post_init__(self) -> None:
        """Read what is there; a line that was half written when a process died is cut off."""
        if self.path is None or not self.path.exists():
            return
        try:
            content = self.path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if len(whole) < len(content):
                os.truncate(self.path, len(whole))
        except OSError as error:
            raise SearchError(
                f"cannot read {str(self.path)!r}: {error.strerror or error}; give another folder"
            ) from None
        for line in whole.splitlines():
            self._take(line)
        self.found = len(self._results)

    def outcome(self, definition: Mapping[str, Any], evaluate: Callable[[], Outcome]) -> Outcome:
        """The outcome of what is defined so: as it was found before, or evaluated now and written down."""
        record = self.result(definition, lambda: asdict(evaluate()))
        return Outcome(record["right"], record["loss"], record["evaluated"], tuple(record["notices"]))

    def result(self, definition: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        """Any result, as JSON takes it."""
        key = json_sha256(definition)
        if key not in self._results:
            made = make()
            record = {"key": key, "result": made, "sha256": _sealed(key, made)}
            self._write(json.dumps(record, allow_nan=False))
            self._results[key] = made
        return self._results[key]

    def _take(self, line: bytes) -> None:
        """A line that is not what was written counts for nothing: its result is made anew."""
        try:
            record = cast("dict[str, Any]", json.loads(line))
            if record["sha256"] != _sealed(record["key"], record["result"]):
                raise ValueError("not what was written")
            self._results[record["key"]] = record["result"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.damaged += 1

    def _write(self, line: str) -> None:
        """On disk before the search goes on: at most the last line is lost."""
        if self.path is None:
            return
        try:
            with self.path.open("ab") as file:
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SearchError(
                f"cannot write {str(self.path)!r}: {error.strerror or error}; make room, then give the same command "
                "again: finished work is kept"
            ) from None
