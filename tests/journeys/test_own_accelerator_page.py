"""docs/own_accelerator.md: its files, commands and Python run as they stand, and its tables name every key."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from fewbits.cli import main
from fewbits.hardware import Axis, LoopAccelerator, LoopMemory, StatedEnergy

PAGE = (Path(__file__).parents[2] / "docs" / "own_accelerator.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.S)
COMMANDS = [
    (line[2:].split()[1:], answer)
    for language, text in BLOCKS
    if language == "console"
    for line, answer in re.findall(r"^(\$ .*)\n((?:(?!\$ ).*\n)*)", text, re.M)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With the page's files."""
    for language, text in BLOCKS:
        if language == "toml":
            (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("arguments", "answer"), COMMANDS, ids=[" ".join(command) for command, _ in COMMANDS])
@pytest.mark.usefixtures("folder")
def test_every_command_of_the_page_runs(capsys: pytest.CaptureFixture[str], arguments: list[str], answer: str):
    assert main(arguments) == (2 if answer else 0)
    said = capsys.readouterr()
    if answer:
        assert said.err == answer


@pytest.mark.usefixtures("folder")
def test_the_python_of_the_page_runs():
    (python,) = [text for language, text in BLOCKS if language == "python"]
    exec(compile(python, "own_accelerator.md", "exec"), {})


@pytest.mark.parametrize("kind", [LoopAccelerator, Axis, LoopMemory, StatedEnergy])
def test_every_key_is_on_the_page(kind: type):
    tables = {"space": "[[space]]", "memories": "[[memory]]", "stated": "[stated]"}
    for one in fields(kind):
        assert f"`{tables.get(one.name, one.name)}`" in PAGE, one.name
