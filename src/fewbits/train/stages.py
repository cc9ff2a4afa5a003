"""Sharing a recipe's epochs among its stages."""

from __future__ import annotations

from dataclasses import replace

from fewbits.train.settings import TrainSettings


def share_epochs(settings: TrainSettings, stages: int) -> list[TrainSettings]:
    """Settings for each stage: equal parts of the epochs, at least one each; the last takes what is left."""
    part = max(1, settings.epochs // stages)
    last = max(1, settings.epochs - part * (stages - 1))
    return [replace(settings, epochs=part)] * (stages - 1) + [replace(settings, epochs=last)]
