"""Processes as /proc shows them, and the file of a study for one to read."""

from __future__ import annotations

import re
from pathlib import Path

from fewbits.study import StudySpec


def children(parent: int) -> list[int]:
    """Process ids of a process's children."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:  # it has just ended
            continue
        if re.search(rf"^PPid:\t{parent}$", text, re.MULTILINE) and not re.search(r"^State:\tZ", text, re.MULTILINE):
            found.append(int(status.parent.name))
    return found


def is_alive(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


def written(spec: StudySpec, path: Path) -> Path:
    """A study's TOML file."""
    definition = spec.definition()
    lists = "".join(f"{name} = {value!r}\n" for name, value in definition.items() if isinstance(value, (str, list)))
    tables = "".join(
        f"[{name}]\n" + "".join(f"{key} = {entry}\n" for key, entry in value.items())
        for name, value in definition.items()
        if isinstance(value, dict)
    )
    path.write_text(lists + tables)
    return path
