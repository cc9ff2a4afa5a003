"""The lock on an output folder: one process at a time works in it. Loads no torch."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress

from fewbits.output_folder import OutputFolder


@contextmanager
def locked(folder: OutputFolder, name: str) -> Generator[None]:
    """Hold a folder, which is made if it is not there; the system lets go when the process ends, however it ends.

    name: of the file in it. Raises the folder's error if another process holds it, it cannot be made or written, or a
    file of the lock's name is the user's.
    """
    folder.keep([name])
    try:
        file = (folder.path / name).open("a+", encoding="utf-8")
    except OSError as error:
        raise folder.error(
            f"cannot write into folder {str(folder.path)!r}: {error.strerror}; give a folder that can be written"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise folder.error(
                f"folder {str(folder.path)!r} is in use by process {file.read(20).strip() or 'unknown'}: "
                "wait for it, or give another folder"
            ) from None
        _write_process_id(file.fileno())
        yield


def _write_process_id(descriptor: int) -> None:
    """Say who holds the lock; on a full disk the lock holds all the same."""
    os.ftruncate(descriptor, 0)
    with suppress(OSError):
        os.write(descriptor, f"{os.getpid()}\n".encode())
