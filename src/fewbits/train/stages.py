"""Sharing a recipe's epochs among its stages."""

from __future__ import annotations

from dataclasses import replace

from fewbits.train.settings import TrainSettings


def share_epochs(settings: TrainSettings, stages: int) -> list[TrainSettings]:
    """Settings for each stage: equal parts of the epochs, at least one each of any; the last takes what is left."""
    least = min(1, settings.epochs)
    part = max(least, settings.epochs // stages)
    last = max(least, settings.epochs - part * (stages - 1))
    return [replace(settings, epochs=part)] * (stages - 1) + [replace(settings, epochs=last)]
