"""Processes as /proc shows them."""

from __future__ import annotations

import re
from pathlib import Path


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
