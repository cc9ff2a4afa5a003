"""Where a Dask scheduler is that somebody else started: its address, or the file into which it wrote that."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from fewbits.errors import ExecutorError

_ADDRESS = re.compile(r"(?:(?P<protocol>tcp|tls|ws|wss|ucx)://)?(?P<place>(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d{1,5})/?")

_LONGEST_FILE = 2**20
"""Bytes of a scheduler file that are read: of one without workers, as a scheduler writes it at its start, 600."""


class Address:
    """A scheduler and workers that others start and end."""

    wanted = 0

    def __init__(self, text: str) -> None:
        """text: `tcp://host:8786`, `host:8786`, or the path of a file of `dask scheduler --scheduler-file`.

        Raises ExecutorError if it is neither.
        """
        match = _ADDRESS.fullmatch(text.strip())
        self.dask = _complete(match) if match else _from_file(text)

    def start(self) -> None:
        """Nothing: it was started."""

    def renew(self) -> None:
        """Nothing: others see to their workers."""

    def troubles(self) -> Sequence[str]:
        """None that are known."""
        return ()

    def close(self) -> None:
        """Nothing: it goes on."""


def _complete(match: re.Match[str]) -> str:
    return f"{match['protocol'] or 'tcp'}://{match['place']}"


def _from_file(text: str) -> str:
    """The address in a scheduler file."""
    wanted = "give an address such as tcp://host:8786, or the path of a file of 'dask scheduler --scheduler-file'"
    try:
        with Path(text).open("rb") as file:
            content = file.read(_LONGEST_FILE)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise ExecutorError(f"{text!r} is no address, and no file that can be read ({reason}): {wanted}") from None
    try:
        found = json.loads(content)["address"]
        match = _ADDRESS.fullmatch(found)
    except (ValueError, TypeError, KeyError, RecursionError):
        match = None
    if match is None:
        raise ExecutorError(f"file {text!r} names no Dask scheduler: {wanted}")
    return _complete(match)
