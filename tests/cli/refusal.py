"""What a command leaves behind, and the claim that it refused a request as it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str


Command = Callable[..., Outcome]


def refused(outcome: Outcome, *words: str, status: int = 2) -> None:
    """One line that holds these words, and the status."""
    lines = [line for line in outcome.err.splitlines() if line.startswith("fewbits:")]
    assert outcome.status == status, outcome
    assert len(lines) == 1, outcome.err
    assert status == 1 or len(outcome.err.splitlines()) == 1, outcome.err
    assert "Traceback" not in outcome.err + outcome.out
    assert "unexpected" not in lines[0]
    for word in words:
        assert word.lower() in lines[0].lower(), lines[0]
