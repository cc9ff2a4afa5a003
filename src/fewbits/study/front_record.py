"""What a run keeps of the rounds of a recipe that approximates more in each: its front. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from fewbits.study.declaration import STORED, Count, Percent, Positive, PositiveCount


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """A round, with what its network costs."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    round: Count
    """0 is before the first, with exact products."""

    switched: Count
    """Units that compute approximately."""

    units: PositiveCount
    """All that could."""

    validation_accuracy_percent: Percent
    """On the held-out images."""

    energy_uj: Positive
    """For one image, on the chip, at the technology table's assumed activity."""

    cycles: PositiveCount
    """For one image."""

    area_mm2: Positive
    """Of the machine that this round asks for."""

    is_taken_back: bool = False
    """Whether it lost more than the margin, so that the network went back to the round before."""
