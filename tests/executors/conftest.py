"""Batch systems that are none, and a way to describe each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import queues

from fewbits.executors.description import SYSTEMS, ClusterSection

JOB: dict[str, Any] = {"workers": 2, "memory": "2 GiB", "walltime": "01:00:00", "disk": "1 GiB"}


def batch(system: Any, **change: Any) -> ClusterSection:
    """Two workers by jobs of a batch system."""
    return ClusterSection(system=system, **{key: JOB[key] for key in SYSTEMS[system].needs} | change)


@pytest.fixture
def queue(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[queues.Queue]:
    """The commands of the parameter's system on PATH; no job outlives the test."""
    made = queues.fake_queue(getattr(request, "param", "slurm"), tmp_path)
    monkeypatch.setenv("PATH", queues.on_path(made))
    yield made
    queues.kill_all(made)
