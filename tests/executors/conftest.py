"""Batch systems that are none, on PATH."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import queues


@pytest.fixture
def queue(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[queues.Queue]:
    """The commands of the parameter's system on PATH; no job outlives the test."""
    made = queues.fake_queue(getattr(request, "param", "slurm"), tmp_path)
    monkeypatch.setenv("PATH", queues.on_path(made))
    yield made
    queues.kill_all(made)
