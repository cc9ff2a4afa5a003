"""The lock on a study's output folder: one process at a time runs a study into it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from fewbits.folder_lock import locked
from fewbits.study.folder import study_folder

FILE_NAME = "study.lock"


def folder_lock(folder: Path) -> AbstractContextManager[None]:
    """Hold the folder; see `locked`. Raises StudyError."""
    return locked(study_folder(folder), FILE_NAME)
