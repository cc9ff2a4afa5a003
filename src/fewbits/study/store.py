"""The store of a study: one SQLite file in the output folder, written by one process, readable by any. No torch.

Each row carries a digest of what it says. A row that is not what was written is made anew by whoever writes the file,
and refused by whoever reads it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from fewbits.errors import StudyError
from fewbits.study.result import FailedRun, RunResult, StudyRecord
from fewbits.study.sealed_rows import TABLES, add_digests, damaged_rows, remove_rows, seal

FILE_NAME = "study.sqlite"

SCHEMA_VERSION = 3
"""Kept in the file's user_version; goes up with a change of the tables or of the fields that results have (3: digests).
A field that is new and has a default changes nothing."""

_WITHOUT_DIGESTS = 2
"""The version before, whose files are read, and given digests by the first who writes them."""

_APPLICATION_ID = int.from_bytes(b"fbit", "big")
"""Tells a study's file from other SQLite files."""

_SCHEMA = """
CREATE TABLE study (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    definition TEXT NOT NULL,  -- JSON, as the TOML file had it
    rests_on TEXT NOT NULL,    -- JSON: data, technology, versions
    digest TEXT                -- SHA-256 of the columns before it
) STRICT;
CREATE TABLE runs (
    key TEXT PRIMARY KEY,      -- hash of the definition
    position INTEGER,          -- order in the study; NULL for a run of an earlier form of the study
    definition TEXT NOT NULL,  -- JSON
    state TEXT NOT NULL CHECK (state IN ('planned', 'running', 'finished', 'failed')),
    result TEXT,               -- JSON of RunResult, if finished
    error TEXT,                -- one line, if failed
    digest TEXT                -- SHA-256 of the columns before it
) STRICT;
"""

_RESULT = TypeAdapter(RunResult)
_FAILURE = TypeAdapter(FailedRun)
_RECORD = TypeAdapter(StudyRecord)

_T = TypeVar("_T")

_POINT = ("model", "data", "precision", "recipe", "seed")
"""What of a run's definition names it for people."""


def is_study_file(path: Path) -> bool:
    """Whether a file says in its first bytes that it is a study's (https://sqlite.org/fileformat.html, 1.3)."""
    try:
        with path.open("rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return head.startswith(b"SQLite format 3\0") and int.from_bytes(head[68:72], "big") == _APPLICATION_ID


class Store:
    """A study's file, open for writing. One process at a time (see `lock`)."""

    damaged_rows: int
    """How many rows were not what was written, and are made anew."""

    def __init__(self, folder: Path) -> None:
        """Open or make the file. Raises StudyError if it is damaged, another program's, or cannot be written."""
        self.path = folder / FILE_NAME
        is_new = not self.path.exists() or self.path.stat().st_size == 0
        with _explained(self.path):
            self._connection = sqlite3.connect(self.path, isolation_level=None)
            try:
                if is_new:
                    self._make()
                version = _check(self._connection, self.path)
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
                with self._transaction():  # a file that cannot be written shows now, not after hours
                    if version == _WITHOUT_DIGESTS:
                        add_digests(self._connection)
                        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                    self.damaged_rows = self._remove_damaged()
                    self._update("UPDATE runs SET state = 'planned' WHERE state = 'running'")
            except BaseException:
                self._connection.close()
                raise

    def _make(self) -> None:
        self._connection.executescript(
            f"BEGIN; PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
            f"{_SCHEMA} COMMIT;"
        )

    def _remove_damaged(self) -> int:
        """Remove the rows that are not what was written, and count them."""
        damaged = {table: set(damaged_rows(self._connection, table)) for table in TABLES}
        damaged["runs"].update(_senseless_rows(self._connection, self.path))
        for table, numbers in damaged.items():
            remove_rows(self._connection, table, numbers)
        return sum(map(len, damaged.values()))

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
    ) -> tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...]:
        """Set what the study consists of: keys and definitions of its runs, in order. Finished ones stay finished.

        Returns the former and the new definition of each run that had finished and is now to be computed anew.
        Raises StudyError if the folder holds a study of another name.
        """
        with _explained(self.path), self._transaction() as connection:
            other = connection.execute("SELECT name FROM study WHERE name <> ?", (name,)).fetchone()
            if other is not None:
                raise StudyError(
                    f"folder {str(self.path.parent)!r} holds the study {other[0]!r}, not {name!r}: give another folder"
                )
            outdated = _outdated(connection, runs, self.path)
            connection.execute(
                "INSERT OR REPLACE INTO study (id, name, definition, rests_on) VALUES (1, ?, ?, ?)",
                (name, *map(_dump, (definition, rests_on))),
            )
            connection.execute("UPDATE runs SET position = NULL")
            connection.executemany(
                "INSERT INTO runs (key, position, definition, state) VALUES (?, ?, ?, 'planned') "
                "ON CONFLICT (key) DO UPDATE SET position = excluded.position, definition = excluded.definition",
                [(key, position, _dump(run)) for position, (key, run) in enumerate(runs)],
            )
            for table in TABLES:
                seal(connection, table)
        return outdated

    def finished_keys(self) -> frozenset[str]:
        """Keys of the runs that need not be repeated."""
        with _explained(self.path):
            return frozenset(
                key for (key,) in self._connection.execute("SELECT key FROM runs WHERE state = 'finished'")
            )

    def set_planned(self, keys: Iterable[str]) -> None:
        """Note that runs are to be computed anew."""
        with _explained(self.path), self._transaction():
            for key in keys:
                self._update("UPDATE runs SET state = 'planned', result = NULL, error = NULL WHERE key = ?", key)

    def set_running(self, key: str) -> None:
        """Note that a run has begun."""
        self._write("UPDATE runs SET state = 'running', error = NULL WHERE key = ?", key)

    def set_finished(self, result: RunResult) -> None:
        """Keep a run's figures."""
        values = _dump(asdict(result))
        self._write("UPDATE runs SET state = 'finished', error = NULL, result = ? WHERE key = ?", values, result.key)

    def set_failed(self, key: str, error: str) -> None:
        """Keep why a run failed."""
        self._write("UPDATE runs SET state = 'failed', error = ? WHERE key = ?", error, key)

    def results(self) -> tuple[RunResult, ...]:
        """The finished runs of the study, in its order."""
        with _explained(self.path):
            return _results(self._connection, self.path)

    def failures(self) -> tuple[FailedRun, ...]:
        """The failed runs of the study, in its order."""
        with _explained(self.path):
            return _failures(self._connection, self.path)

    def _write(self, statement: str, *values: str) -> None:
        with _explained(self.path), self._transaction():
            self._update(statement, *values)

    def _update(self, statement: str, *values: str) -> None:
        """Change runs, and seal those that changed."""
        changed = self._connection.execute(f"{statement} RETURNING rowid", values).fetchall()
        seal(self._connection, "runs", [number for (number,) in changed])

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
        counts = {"runs": len(states), "finished": states.count("finished"), "failed": states.count("failed")}
        named = {"name": row[0], "definition": _load(row[1], path), **_load(row[2], path)}
        return _valid(_RECORD, json.dumps(named | counts), path)


def _results(connection: sqlite3.Connection, path: Path) -> tuple[RunResult, ...]:
    rows = connection.execute(
        "SELECT result FROM runs WHERE position IS NOT NULL AND state = 'finished' ORDER BY position"
    )
    return tuple(_valid(_RESULT, text, path) for (text,) in rows)


def _failures(connection: sqlite3.Connection, path: Path) -> tuple[FailedRun, ...]:
    rows = connection.execute(
        "SELECT key, definition, error FROM runs WHERE position IS NOT NULL AND state = 'failed' ORDER BY position"
    )
    read = [(key, _load(text, path), error) for key, text, error in rows]
    made = [
        {
            **{"key": key, "error": error, "accelerator": run.get("accelerator_name", "")},
            **{name: run.get(name) for name in _POINT},
        }
        for key, run, error in read
    ]
    return tuple(_valid(_FAILURE, json.dumps(values), path) for values in made)


def _outdated(
    connection: sqlite3.Connection, runs: Sequence[tuple[str, Mapping[str, Any]]], path: Path
) -> tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...]:
    """The former and the new definition of each run that had finished in the last plan, but not under its new key."""
    rows = connection.execute("SELECT key, position, definition FROM runs WHERE state = 'finished'").fetchall()
    finished = {key for key, _, _ in rows}
    former = [_load(text, path) for _, position, text in rows if position is not None]
    by_point = {_point(run): run for run in former}
    new = [run for key, run in runs if key not in finished]
    return tuple((by_point[_point(run)], run) for run in new if _point(run) in by_point)


def _point(run: Mapping[str, Any]) -> str:
    """What of a run's definition names it, as one text."""
    return json.dumps([run.get(name) for name in (*_POINT, "accelerator_name")])


def _valid(kind: TypeAdapter[_T], text: object, path: Path) -> _T:
    """A value from its JSON text, all its fields of their types and within their ranges."""
    try:
        return kind.validate_json(text if isinstance(text, str) else "")
    except ValidationError:
        raise _damaged_rows_in(path, 1) from None


def _senseless_rows(connection: sqlite3.Connection, path: Path) -> list[int]:
    """Row numbers of runs whose definition or figures make no sense: only files without digests can hold such."""
    numbers: list[int] = []
    for number, definition, state, result in connection.execute("SELECT rowid, definition, state, result FROM runs"):
        try:
            _load(definition, path)
            if state == "finished":
                _valid(_RESULT, result, path)
        except StudyError:
            numbers.append(number)
    return numbers


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
            connection.execute("BEGIN")  # all that is read is of one moment
            if _check(connection, path) == SCHEMA_VERSION:
                _refuse_damaged(connection, path)
            yield connection, path
        finally:
            connection.close()


def _read_mode(path: Path) -> str:
    """How to open for reading: SQLite makes a log beside the file even then, which a read-only folder refuses."""
    if os.access(path.parent, os.W_OK) or path.with_name(f"{FILE_NAME}-wal").exists():
        return "mode=ro"
    return "mode=ro&immutable=1"


def _refuse_damaged(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file with a row that is not what was written."""
    for table in TABLES:
        if count := len(damaged_rows(connection, table)):
            raise _damaged_rows_in(path, count)


def _check(connection: sqlite3.Connection, path: Path) -> int:
    """Refuse a file that is damaged, not a study's, or of another version; returns the version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID:
        raise StudyError(f"{str(path)!r} is not a study's file but another program's: give another folder")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (SCHEMA_VERSION, _WITHOUT_DIGESTS):
        raise StudyError(
            f"{str(path)!r} has schema version {version}, this fewbits reads {SCHEMA_VERSION}: "
            "use the fewbits that made it, or give another folder"
        )
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise _damaged(path)
    return version


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


def _damaged_rows_in(path: Path, count: int) -> StudyError:
    return StudyError(
        f"{str(path)!r} is damaged in {count} row{'s' * (count > 1)}, not what fewbits wrote: give the study's "
        "fewbits run again, which makes them anew"
    )


def _dump(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def _load(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise _damaged(path) from None
    if not isinstance(value, dict):
        raise _damaged(path)
    return value  # pyright: ignore[reportUnknownVariableType]
