"""The command line, run in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from refusal import Command, Outcome  # pyright: ignore

from fewbits.cli import main


@pytest.fixture
def fewbits(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs a command line in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEWBITS_DATA", raising=False)
    monkeypatch.delenv("FEWBITS_DEBUG", raising=False)

    def run(*arguments: str | Path) -> Outcome:
        status = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run
