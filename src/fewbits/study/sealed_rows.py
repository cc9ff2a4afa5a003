"""Rows of a study's store with a digest each, by which a row that is not what was written is found. No torch."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence

TABLES = ("study", "runs")

_ROWS = {
    "study": "SELECT rowid, digest, id, name, definition, rests_on FROM study",
    "runs": "SELECT rowid, digest, key, position, definition, state, result, error FROM runs",
}
"""Of each table: the number, the digest, and all that the digest is of."""

_SEAL = {
    "study": "UPDATE study SET digest = ? WHERE rowid = ?",
    "runs": "UPDATE runs SET digest = ? WHERE rowid = ?",
}
_ADD_DIGEST = {
    "study": "ALTER TABLE study ADD COLUMN digest TEXT",
    "runs": "ALTER TABLE runs ADD COLUMN digest TEXT",
}
_DELETE = {"study": "DELETE FROM study WHERE rowid = ?", "runs": "DELETE FROM runs WHERE rowid = ?"}


def add_digests(connection: sqlite3.Connection) -> None:
    """Give the tables of a version without digests their column, and each row its digest."""
    for table in TABLES:
        if "digest" not in [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]:
            connection.execute(_ADD_DIGEST[table])
        seal(connection, table)


def seal(connection: sqlite3.Connection, table: str, numbers: Iterable[int] | None = None) -> None:
    """Give rows the digest of what they say now; None is all of them."""
    rows = (
        connection.execute(_ROWS[table]).fetchall()
        if numbers is None
        else [connection.execute(f"{_ROWS[table]} WHERE rowid = ?", (number,)).fetchone() for number in numbers]
    )
    connection.executemany(_SEAL[table], [(_digest(row), number) for number, _, *row in rows])


def damaged_rows(connection: sqlite3.Connection, table: str) -> list[int]:
    """Numbers of the rows that are not what was written."""
    return [number for number, digest, *row in connection.execute(_ROWS[table]) if digest != _digest(row)]


def remove_rows(connection: sqlite3.Connection, table: str, numbers: Iterable[int]) -> None:
    """Remove rows by their numbers."""
    connection.executemany(_DELETE[table], [(number,) for number in numbers])


def _digest(row: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(row).encode()).hexdigest()
