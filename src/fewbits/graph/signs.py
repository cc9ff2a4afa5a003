"""What is known of the sign of a network's values before any data are seen."""

from __future__ import annotations

from enum import IntEnum


class Sign(IntEnum):
    """From the most that is known to the least: of several values the worst holds."""

    NONNEGATIVE = 0
    """None is below zero, whatever the images are."""

    IMAGES = 1
    """None is below zero if no pixel is."""

    ANY = 2
    """Values of both signs may come."""
