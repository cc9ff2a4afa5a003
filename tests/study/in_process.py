"""Workers in this very process, for tests in which no process is lost: tasks are done one after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from fewbits.study.point import Workshop
from fewbits.study.worker import Message, Task, perform


class InProcessPool:
    """As `fewbits.study.pool.Pool`."""

    def __init__(self, folder: Path, size: int) -> None:
        self._workshop = Workshop(folder)
        self._task: Task | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def give(self, task: Task) -> bool:
        if self._task is not None:
            return False
        self._task = task
        return True

    def messages(self) -> Iterator[tuple[Task, Message]]:
        assert self._task is not None
        yield self._task, perform(self._workshop, self._task)

    def release(self, task: Task) -> None:
        self._task = None


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let studies of this test start no process."""
    monkeypatch.setattr("fewbits.study.engine.Pool", InProcessPool)
