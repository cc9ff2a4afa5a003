"""The README's example runs as it stands, and its study file is a valid one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fewbits.study import load_study

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first code block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def test_example_runs(capsys: pytest.CaptureFixture[str]):
    names: dict[str, object] = {}
    exec(compile(block("python"), "README.md", "exec"), names)  # the project's own text
    printed = capsys.readouterr().out
    assert printed.startswith("()")
    assert "multipliers" in printed


def test_example_is_about_ten_lines():
    lines = [line for line in block("python").splitlines() if line and not line.startswith(("import", "from"))]
    assert len(lines) <= 11


def test_study_file_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("from fewbits.models import build\ndef make_net():\n    return build('lenet')\n")
    (tmp_path / "mine.toml").write_text(block("toml"))
    assert load_study(tmp_path / "mine.toml").name == "mine"
