"""What a training run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """State of a training run after a batch, or after an epoch's validation."""

    phase: str
    """`float`, or the name of the recipe."""

    epoch: int
    """The epoch under way, from 1."""

    epochs: int
    """Planned; an early stop may end sooner."""

    batch: int
    """Batches of this epoch done."""

    batches: int
    """Batches an epoch."""

    loss: float
    """Mean training loss of this epoch's images so far."""

    validation_accuracy_percent: float | None
    """Of the last epoch that was validated; None before the first."""


ProgressCallback = Callable[[Progress], None]
"""Called after each batch and each validation, on the training thread. An exception that it raises ends the training;
the checkpoint of the last whole epoch stays."""
