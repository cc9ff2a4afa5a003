"""What tools counted, kept in the user's cache folder: fewbits/fpga in $XDG_CACHE_HOME, or in ~/.cache.

A file holds the numbers of one run of a tool. Its name is a hash of all that they depend on: the circuit, the script
and the tool's version. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from fewbits.arguments import is_real
from fewbits.hardware.mapping.synthesis import Progress

Numbers = Mapping[str, float]

_LARGEST_FILE = 1 << 16
"""Bytes: a file that is larger was not written here."""


def folder() -> Path:
    """Where they are."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fewbits" / "fpga"


def kept(key: tuple[str, ...], made: Callable[[], Numbers], progress: Progress | None = None) -> Numbers:
    """Numbers by name, from an earlier time or made now.

    key: all that they depend on. A file that is damaged is made anew; a folder that cannot be written is told to
    `progress`, and nothing is kept.
    """
    name = hashlib.sha256("\0".join(key).encode()).hexdigest()
    path = folder() / f"{name[:32]}.json"
    found = _read(path)
    if found is None:
        found = made()
        try:
            _write(path, found)
        except OSError as error:
            if progress is not None:
                progress(f"counts are not kept: {path.parent} cannot be written ({error.strerror})")
    return found


def _read(path: Path) -> dict[str, float] | None:
    """What a file holds; None if there is none, or it is no table of finite numbers."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            return None
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    table = cast(dict[str, Any], content)
    return table if all(is_real(value, 0) for value in table.values()) else None


def _write(path: Path, numbers: Numbers) -> None:
    """Whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(dict(numbers), file)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
