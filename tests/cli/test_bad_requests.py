"""Command lines that ask for what is not: one clear line, status 2, no traceback, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from refusal import Command, refused  # pyright: ignore


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["missing command", "run, report"]),
        (["rnu", "default"], ["no such command", "run"]),
        (["run"], ["missing argument", "study"]),
        (["run", "default", "--fast"], ["no such option", "--fast"]),
        (["run", "default", "--workers", "two"], ["--workers", "integer"]),
        (["run", "default", "--workers", "0"], ["workers", "at least 1"]),
        (["run", "nosuchstudy"], ["nosuchstudy", "default"]),
        (["run", "missing.toml"], ["missing.toml"]),
        (["formats", "fixed33"], ["fixed33", "fixed2 to fixed32"]),
        (["formats", "flaot16"], ["flaot16", "float16"]),
        (["cost", "lenet", "fixd8"], ["fixd8", "fixed8"]),
        (["cost", "lenet", "fixed8/fixed8/fixed8"], ["fixed8/fixed8/fixed8"]),
        (["cost", "lenet", "float32/fixed8"], ["float32/fixed8"]),
        (["cost", "lenet", "pow2-5/fixed8"], ["pow2-5/fixed8", "characterize"]),
        (["cost", "lenett", "fixed8"], ["lenett", "lenet"]),
        (["cost", "lenet*0", "fixed8"], ["widened", "positive"]),
        (["cost", "lenet", "fixed8", "--input", "threebythree"], ["threebythree", "3x32x32"]),
        (["cost", "lenet", "fixed8", "--technology", "unobtainium"], ["unobtainium"]),
        (["cost", "missing.py:net", "fixed8"], ["missing.py"]),
        (["cost", "json:nosuchfunction", "fixed8"], ["nosuchfunction"]),
        (["report", "nowhere"], ["nowhere"]),
        (["rtl", "fixed8/float32", "--out", "x"], ["fixed8/float32"]),
        (["rtl", "fixed8"], ["--out"]),
        (["characterize", "--liberty", "missing.lib", "--out", "t.json", "--precision", "fixed4"], ["missing.lib"]),
        (["characterize", "--liberty", "missing.lib", "--out", "t.json", "--precision", "fixed99"], ["fixed99"]),
    ],
    ids=lambda value: "_".join(value)[:60] if isinstance(value, list) and value else None,
)
def test_a_senseless_command_line_is_refused(fewbits: Command, arguments: list[str], words: list[str]):
    refused(fewbits(*arguments), *words)


USER_MODEL = """
def broken():
    raise RuntimeError("no weights here")

def number():
    return 7
"""


@pytest.mark.parametrize(
    ("function", "word"), [("broken", "no weights here"), ("number", "module"), ("absent", "absent")]
)
def test_a_bad_user_model_is_refused(fewbits: Command, tmp_path: Path, function: str, word: str):
    (tmp_path / "mine.py").write_text(USER_MODEL)
    refused(fewbits("cost", f"mine.py:{function}", "fixed8", "--input", "1x28x28"), word)


def test_a_folder_that_cannot_be_written_is_refused(fewbits: Command):
    refused(fewbits("rtl", "fixed4", "--out", "/proc/fewbits"), "/proc/fewbits")


@pytest.mark.parametrize("text", ["{", "[]", '{"name": 3}'])
def test_a_corrupt_technology_table_is_refused(fewbits: Command, tmp_path: Path, text: str):
    (tmp_path / "table.json").write_text(text)
    refused(fewbits("cost", "lenet", "fixed8", "--technology", tmp_path / "table.json"), "table.json")


@pytest.mark.parametrize("text", ["", "library (x) {", "not liberty at all", "\x00\x01\x02"])
def test_a_broken_liberty_file_is_refused(fewbits: Command, tmp_path: Path, text: str):
    (tmp_path / "cells.lib").write_text(text)
    arguments = ("characterize", "--liberty", "cells.lib", "--out", "table.json", "--precision", "fixed4")
    refused(fewbits(*arguments), "cells.lib")
    assert not (tmp_path / "table.json").exists()


def test_a_model_file_without_its_function_is_refused(fewbits: Command):
    refused(fewbits("cost", "net.py", "fixed8"), "'net.py' is a file: name its function too, as 'net.py:make_net'")


@pytest.mark.parametrize("name", ["", "."])
def test_a_folder_is_no_study(fewbits: Command, name: str):
    refused(fewbits("run", name), "is a folder, not a study: give a TOML file")
