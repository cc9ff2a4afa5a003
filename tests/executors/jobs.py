"""Jobs for executors to do, in a module that workers can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from fewbits import FewbitsError
from fewbits.executors import Report


def square(_: Report, number: int) -> int:
    return number * number


def refuse(_: Report) -> None:
    raise FewbitsError("cannot be done:\ngive another")


def fail(_: Report) -> None:
    raise ValueError("odd\nthings")


def count_up(report: Report, to: int) -> int:
    for number in range(to):
        report(number)
        time.sleep(0.3)  # longer than what is left out of progress
    return os.getpid()


def length(_: Report, content: bytes) -> int:
    return len(content)


def unsendable(_: Report) -> object:
    return lambda: None


def note(_: Report, path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(text)


def once_by(report: Report, path: str, signal_number: int) -> str:
    """Send this process a signal, at the first call; the next finds that it was sent."""
    if Path(path).exists():
        return "done after all"
    Path(path).touch()
    os.kill(os.getpid(), signal_number)
    time.sleep(60)
    return "the signal did nothing"


def always_killed(_: Report) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def until_unwanted(report: Report, path: str) -> None:
    try:
        while True:
            report(0)
            time.sleep(0.1)
    finally:
        Path(path).touch()
