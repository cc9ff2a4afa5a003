"""The store of a study: one SQLite file in the output folder, written by one process, readable by any. No torch."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, Self

from fewbits.errors import StudyError
from fewbits.study.result import FailedRun, RunResult, StudyRecord

FILE_NAME = "study.sqlite"

SCHEMA_VERSION = 2
"""Kept in the file's user_version; goes up with each change of the tables or of RunResult's fields."""

_APPLICATION_ID = int.from_bytes(b"fbit", "big")
"""Tells a study's file from other SQLite files."""

_SCHEMA = """
CREATE TABLE study (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    definition TEXT NOT NULL,  -- JSON, as the TOML file had it
    rests_on TEXT NOT NULL     -- JSON: data, technology, versions
) STRICT;
CREATE TABLE runs (
    key TEXT PRIMARY KEY,      -- hash of the definition
    position INTEGER,          -- order in the study; NULL for a run of an earlier form of the study
    definition TEXT NOT NULL,  -- JSON
    state TEXT NOT NULL CHECK (state IN ('planned', 'running', 'finished', 'failed')),
    result TEXT,               -- JSON of RunResult, if finished
    error TEXT                 -- one line, if failed
) STRICT;
"""

_POINT = ("model", "data", "precision", "recipe", "seed")
"""What of a run's definition names it for people."""


class Store:
    """A study's file, open for writing. One process at a time (see `lock`)."""

    def __init__(self, folder: Path) -> None:
        """Open or make the file. Raises StudyError if it is damaged, another program's, or cannot be written."""
        self.path = folder / FILE_NAME
        is_new = not self.path.exists() or self.path.stat().st_size == 0
        with _explained(self.path):
            self._connection = sqlite3.connect(self.path, isolation_level=None)
            try:
                if is_new:
                    self._make()
                _check(self._connection, self.path)
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.execute("BEGIN IMMEDIATE")  # a file that cannot be written shows now, not after hours
                self._connection.execute("UPDATE runs SET state = 'planned' WHERE state = 'running'")
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.close()
                raise

    def _make(self) -> None:
        self._connection.executescript(
            f"BEGIN; PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
            f"{_SCHEMA} COMMIT;"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; SQLite folds its log into it."""
        with _explained(self.path):
            self._connection.close()

    def plan(
        self,
        name: str,
        definition: Mapping[str, Any],
        rests_on: Mapping[str, Any],
        runs: Sequence[tuple[str, Mapping[str, Any]]],
    ) -> None:
        """Set what the study consists of: keys and definitions of its runs, in order. Finished ones stay finished.

        Raises StudyError if the folder holds a study of another name.
        """
        with _explained(self.path), self._transaction() as connection:
            other = connection.execute("SELECT name FROM study WHERE name <> ?", (name,)).fetchone()
            if other is not None:
                raise StudyError(
                    f"folder {str(self.path.parent)!r} holds the study {other[0]!r}, not {name!r}: give another folder"
                )
            connection.execute(
                "INSERT OR REPLACE INTO study VALUES (1, ?, ?, ?)", (name, *map(_dump, (definition, rests_on)))
            )
            connection.execute("UPDATE runs SET position = NULL")
            connection.executemany(
                "INSERT INTO runs (key, position, definition, state) VALUES (?, ?, ?, 'planned') "
                "ON CONFLICT (key) DO UPDATE SET position = excluded.position",
                [(key, position, _dump(run)) for position, (key, run) in enumerate(runs)],
            )

    def finished_keys(self) -> frozenset[str]:
        """Keys of the runs that need not be repeated."""
        with _explained(self.path):
            return frozenset(
                key for (key,) in self._connection.execute("SELECT key FROM runs WHERE state = 'finished'")
            )

    def set_running(self, key: str) -> None:
        """Note that a run has begun."""
        self._update("UPDATE runs SET state = 'running', error = NULL WHERE key = ?", key)

    def set_finished(self, result: RunResult) -> None:
        """Keep a run's figures."""
        values = _dump(asdict(result))
        self._update("UPDATE runs SET state = 'finished', error = NULL, result = ? WHERE key = ?", values, result.key)

    def set_failed(self, key: str, error: str) -> None:
        """Keep why a run failed."""
        self._update("UPDATE runs SET state = 'failed', error = ? WHERE key = ?", error, key)

    def results(self) -> tuple[RunResult, ...]:
        """The finished runs of the study, in its order."""
        with _explained(self.path):
            return _results(self._connection, self.path)

    def failures(self) -> tuple[FailedRun, ...]:
        """The failed runs of the study, in its order."""
        with _explained(self.path):
            return _failures(self._connection, self.path)

    def _update(self, statement: str, *values: str) -> None:
        with _explained(self.path):
            self._connection.execute(statement, values)

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def read_results(folder: str | Path) -> tuple[RunResult, ...]:
    """The finished runs of a study, in its order; also while the study goes on.

    Raises StudyError if the folder holds no study, or its file is damaged or another program's.
    """
    with _opened(Path(folder)) as (connection, path):
        return _results(connection, path)


def read_failures(folder: str | Path) -> tuple[FailedRun, ...]:
    """The failed runs of a study, in its order. Raises StudyError like `read_results`."""
    with _opened(Path(folder)) as (connection, path):
        return _failures(connection, path)


def read_study(folder: str | Path) -> StudyRecord:
    """What a study consists of, on what it rests and how far it is. Raises StudyError like `read_results`."""
    with _opened(Path(folder)) as (connection, path):
        row = connection.execute("SELECT name, definition, rests_on FROM study").fetchone()
        if row is None:
            raise StudyError(f"{str(path)!r} holds no study yet: run one into this folder")
        states = [state for (state,) in connection.execute("SELECT state FROM runs WHERE position IS NOT NULL")]
        rests_on = _load(row[2], path)
        try:
            return StudyRecord(
                name=row[0],
                definition=_load(row[1], path),
                data=rests_on["data"],
                technology=rests_on["technology"],
                versions=rests_on["versions"],
                runs=len(states),
                finished=states.count("finished"),
                failed=states.count("failed"),
            )
        except KeyError:
            raise _damaged(path) from None


def _results(connection: sqlite3.Connection, path: Path) -> tuple[RunResult, ...]:
    rows = connection.execute(
        "SELECT result FROM runs WHERE position IS NOT NULL AND state = 'finished' ORDER BY position"
    )
    return tuple(_result(_load(text, path), path) for (text,) in rows)


def _failures(connection: sqlite3.Connection, path: Path) -> tuple[FailedRun, ...]:
    rows = connection.execute(
        "SELECT key, definition, error FROM runs WHERE position IS NOT NULL AND state = 'failed' ORDER BY position"
    )
    try:
        return tuple(
            FailedRun(key=key, error=error, **{name: definition[name] for name in _POINT})
            for key, definition, error in ((key, _load(text, path), error) for key, text, error in rows)
        )
    except KeyError:
        raise _damaged(path) from None


def _result(values: dict[str, Any], path: Path) -> RunResult:
    """The result from its JSON object, whose lists were tuples; older runs lack fields that came later."""
    required = {one.name for one in fields(RunResult) if one.default is MISSING and one.default_factory is MISSING}
    if not required <= set(values) <= {one.name for one in fields(RunResult)}:
        raise _damaged(path)
    values.update({name: tuple(values[name]) for name in ("skipped", "notices", "off_chip_uj") if name in values})
    by_layer = values.get("off_chip_uj_by_layer", {})
    values["off_chip_uj_by_layer"] = {layer: tuple(both) for layer, both in by_layer.items()}
    return RunResult(**values)


@contextmanager
def _opened(folder: Path) -> Generator[tuple[sqlite3.Connection, Path]]:
    """A study's file, open for reading."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise StudyError(
            f"folder {str(folder)!r} holds no study ({FILE_NAME} is not there): give a folder of fewbits run"
        )
    with _explained(path):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{_read_mode(path)}", uri=True, isolation_level=None)
        try:
            _check(connection, path)
            connection.execute("BEGIN")  # all that is read is of one moment
            yield connection, path
        finally:
            connection.close()


def _read_mode(path: Path) -> str:
    """How to open for reading: SQLite makes a log beside the file even then, which a read-only folder refuses."""
    if os.access(path.parent, os.W_OK) or path.with_name(f"{FILE_NAME}-wal").exists():
        return "mode=ro"
    return "mode=ro&immutable=1"


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is damaged, not a study's, or of another version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID:
        raise StudyError(f"{str(path)!r} is not a study's file but another program's: give another folder")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise StudyError(
            f"{str(path)!r} has schema version {version}, this fewbits reads {SCHEMA_VERSION}: "
            "use the fewbits that made it, or give another folder"
        )
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _damaged(path)


@contextmanager
def _explained(path: Path) -> Generator[None]:
    """SQLite's errors as StudyError, in one line that names the file; the file is left as it is."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise _damaged(path) from None
        if code == sqlite3.SQLITE_FULL:
            raise StudyError(
                f"no room to write {str(path)!r}: free some space, then give the same command; what is stored is safe"
            ) from None
        raise StudyError(
            f"cannot use {str(path)!r}: {error}; give a folder that can be written, or free disk space"
        ) from None


def _damaged(path: Path) -> StudyError:
    return StudyError(
        f"{str(path)!r} is damaged or no study's file, and was left as it is: move it away, or give another folder"
    )


def _dump(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def _load(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        raise _damaged(path) from None
    if not isinstance(value, dict):
        raise _damaged(path)
    return value  # pyright: ignore[reportUnknownVariableType]
