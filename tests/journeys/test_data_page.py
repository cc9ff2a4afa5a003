"""docs/data.md: each section's blocks run as they stand, one after another, in an empty folder.

A block whose first line is a comment with a file's name is that file; Python blocks run; `$ fewbits ...` is a command.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
SECTIONS = {
    title: text for title, text in re.findall(r"^## [^\n]*<a id=\"([\w-]+)\"></a>\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
}
_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.S)


def run_blocks(section: str, folder: Path) -> list[str]:
    """Run a section's blocks in a folder; what its commands printed."""
    python: list[str] = []
    printed: list[str] = []
    blocks = _BLOCK.findall(SECTIONS[section])
    named = [re.match(r"# ([\w.]+\.\w+)\n", text) for _, text in blocks]
    for found, (_, text) in zip(named, blocks, strict=True):
        if found is not None:
            (folder / found[1]).write_text(text)
    for found, (language, text) in zip(named, blocks, strict=True):
        if language == "console":
            execute("\n".join(python), folder)
            python.clear()
            printed += [command(line, folder) for line in re.findall(r"^\$ fewbits (.*)$", text, re.M)]
        elif language == "python" and found is None:
            python.append(text)
    if python and not printed:
        execute("\n".join(python), folder)
    return printed


def execute(text: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def command(line: str, folder: Path) -> str:
    arguments = [sys.executable, "-m", "fewbits", *line.split(), "--workers", "1"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_every_section_is_found() -> None:
    assert list(SECTIONS) == ["arrays", "pictures", "torch", "functions", "hugging-face"]


def test_every_link_leads_to_a_section() -> None:
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) == set(SECTIONS)


@pytest.mark.slow
@pytest.mark.parametrize(("section", "named"), [("arrays", "photos.npz"), ("pictures", "photos")])
def test_a_study_runs_on_the_users_data(section: str, named: str, tmp_path: Path) -> None:
    printed = run_blocks(section, tmp_path)
    assert named in printed[0]
    assert "fixed8" in printed[0]
    assert f"data {named!r}: " in printed[0]
    assert SAID[section] in " ".join(printed[0].split())


SAID = {
    "arrays": "labels 1 to 2 taken as classes 0 to 1",
    "pictures": "classes are numbered in the order of their names: 'cat', 'dog'",
}
"""What a user must be told of his data."""


@pytest.mark.slow
@pytest.mark.parametrize("section", ["torch", "functions", "hugging-face"])
def test_the_library_takes_the_users_data(section: str, tmp_path: Path) -> None:
    if section == "hugging-face":
        pytest.importorskip("datasets", reason="Hugging Face's library is the extra 'datasets'")
    run_blocks(section, tmp_path)
