"""What a training run leaves beside the weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: a point of the training curve, which studies keep."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")

    epoch: Annotated[int, Field(ge=1, lt=2**63)]
    """From 1."""

    learning_rate: Annotated[float, Field(ge=0)]
    """At the epoch's first step."""

    loss: float
    """Mean over the images trained on, while training."""

    validation_loss: float
    validation_accuracy_percent: Annotated[float, Field(ge=0, le=100)]

    wall_time_s: Annotated[float, Field(ge=0)] = field(default=0.0, compare=False)
    """Seconds that the epoch took, validation included; 0 where a checkpoint does not tell."""


@dataclass(frozen=True)
class RoundRecord:
    """One round of a recipe that approximates more in each: a point of its front, accuracy against energy."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")

    number: Annotated[int, Field(ge=0, lt=2**63)]
    """0 is before the first, with exact products."""

    switched: Annotated[int, Field(ge=0, lt=2**63)]
    """Units that compute approximately."""

    units: Annotated[int, Field(ge=1, lt=2**63)]
    """All that could."""

    validation_accuracy_percent: Annotated[float, Field(ge=0, le=100)]

    layers: dict[str, str]
    """What is switched of each layer, by its name, as `SwitchedUnits.parse` takes it; layers with some."""

    is_taken_back: bool = False
    """Whether it lost more than the margin, so that the network went back to the round before."""


@dataclass(frozen=True)
class TrainRecord:
    """A finished run. The weights kept are those of `best_epoch`; 0 is the start."""

    phase: str
    """`float`, or the name of the recipe."""

    history: tuple[EpochRecord, ...]
    """One entry an epoch; empty for `post-training`."""

    best_epoch: int
    """Highest accuracy on the validation split, then lowest loss there. 0: no epoch was better than the start, which
    competes where a recipe begins with the float network; `post-training` has nothing else."""

    best_validation_accuracy_percent: float
    stopped_early: bool
    resumed_epochs: int
    """Epochs that came from a checkpoint instead of being run now."""

    start_validation_accuracy_percent: float | None = None
    """Of the quantized network before its first epoch, where that competes with the epochs."""

    notices: tuple[str, ...] = ()
    """What a reader should know, such as a damaged checkpoint that was not used."""

    rounds: tuple[RoundRecord, ...] = ()
    """Of a recipe that approximates round by round; empty for others."""

    @property
    def epochs_run(self) -> int:
        """Epochs in all, those from a checkpoint included."""
        return len(self.history)

    @property
    def wall_time_s(self) -> float:
        """Seconds of all epochs, those of earlier sittings included."""
        return sum(epoch.wall_time_s for epoch in self.history)
