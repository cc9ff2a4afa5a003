"""The lock on an output folder: one process at a time runs a study into it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from fewbits.errors import StudyError
from fewbits.study.folder import study_folder

FILE_NAME = "study.lock"


@contextmanager
def folder_lock(folder: Path) -> Generator[None]:
    """Hold the folder, which is made if it is not there; the system lets go when the process ends, however it ends.

    Raises StudyError if another process holds it, it cannot be made or written, or a file of the lock's name is the
    user's.
    """
    study_folder(folder).keep([FILE_NAME])
    try:
        file = (folder / FILE_NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"cannot write into folder {str(folder)!r}: {error.strerror}; give a folder that can be written"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise StudyError(
                f"folder {str(folder)!r} is in use by process {file.read(20).strip() or 'unknown'}: "
                "wait for it, or give another folder"
            ) from None
        _write_process_id(file.fileno())
        yield


def _write_process_id(descriptor: int) -> None:
    """Say who holds the lock; on a full disk the lock holds all the same."""
    os.ftruncate(descriptor, 0)
    with suppress(OSError):
        os.write(descriptor, f"{os.getpid()}\n".encode())
