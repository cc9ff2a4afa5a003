"""Checks of numbers that a caller gives, and how a refused value is shown; loads nothing."""

from __future__ import annotations

import math

_SHOWN = 60
"""Characters of a refused value that are shown."""


def is_integer(value: object, low: int = 1, high: int | None = None) -> bool:
    """Whether a value is an integer, no truth value, from `low` to `high` (without end if None)."""
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return value >= low and (high is None or value <= high)


def is_real(value: object, low: float, high: float = math.inf, *, open_low: bool = False) -> bool:
    """Whether a value is a finite number, no truth value, from `low` to `high`; above `low` if `open_low`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    within = low < value if open_low else low <= value
    return within and value <= high and value < math.inf and _is_float(value)


def _is_float(value: float) -> bool:
    """Whether a float can hold a number: 10**400 is finite, and too large all the same."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def shown(value: object) -> str:
    """A refused value on one line, cut short."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer of more digits than Python prints
        return "an integer of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
