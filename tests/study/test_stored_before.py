"""A study that the version before figures were declared has stored is read, and reported as that version did.

`stored/` holds its file as SQL text, and what `fewbits run --json` and `fewbits report` made of it then.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fewbits.report.energy import energy_csv
from fewbits.report.grouping import group_runs
from fewbits.report.rows import Group
from fewbits.report.table import csv_text, markdown
from fewbits.study import read_results, read_study
from fewbits.study.result import run_json
from fewbits.study.store import FILE_NAME, Store

STORED = Path(__file__).with_name("stored")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.executescript((STORED / "study.sql").read_text(encoding="utf-8"))
        connection.execute("PRAGMA user_version = 3")
        connection.execute(f"PRAGMA application_id = {int.from_bytes(b'fbit', 'big')}")
    connection.close()
    return tmp_path


def test_every_row_is_what_was_written(folder: Path):
    with Store(folder) as store:
        assert store.damaged_rows == 0
    assert read_study(folder).is_complete


def test_its_runs_print_the_same_json(folder: Path):
    printed = json.dumps({"runs": [run_json(run) for run in read_results(folder)]})
    assert printed == (STORED / "run.json").read_text(encoding="utf-8").strip()


@pytest.mark.parametrize(
    ("name", "write"), [("results.csv", csv_text), ("results.md", markdown), ("energy.csv", energy_csv)]
)
def test_its_tables_are_the_same(folder: Path, name: str, write: Callable[[Sequence[Group]], str]):
    assert write(group_runs(read_results(folder))) == (STORED / name).read_text(encoding="utf-8")
