"""What a training run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fewbits.train.record import EpochRecord

EPOCHS_TOLD = 20
"""Ended epochs in a message. Studies pass on five messages a second: epochs of 10 ms are told of as they end."""


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

    epochs_ended: tuple[EpochRecord, ...] = ()
    """The last ones of those that have ended: of a message that is left out, a later one tells too."""


ProgressCallback = Callable[[Progress], None]
"""Called after each batch and each validation, on the training thread. An exception that it raises ends the training;
the checkpoint of the last whole epoch stays."""
