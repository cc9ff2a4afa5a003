"""Settings of a training run: how long, how fast, when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from fewbits.arguments import is_integer, is_real, shown
from fewbits.errors import ModelError
from fewbits.quantization.layers.radix_point import Method, check_method


@dataclass(frozen=True)
class TrainSettings:
    """How to train. Raises ModelError for a value outside its range."""

    epochs: int = 10
    """Passes over the training split; 0 trains nothing: a float network is taken as it is given, and a recipe that
    starts from it chooses radix points alone, as `post-training`."""

    batch_size: int = 64
    """Images a step; batches of one epoch differ by one image at most."""

    learning_rate: float = 0.002
    """Step size at the start of the schedule; the default suits `adam`, for `sgd` take some 0.05."""

    optimizer: Literal["sgd", "adam"] = "adam"
    """`adam` (Kingma and Ba, arXiv:1412.6980) needs no other rate for binary weights than for float ones; `sgd`, at a
    rate that suits float weights, moves too few binary ones across zero."""

    momentum: float = 0.9
    """Of `sgd`; unused by `adam`, whose moments keep torch's defaults."""

    weight_decay: float = 0.0
    """Added to the gradient, times the weight."""

    schedule: Literal["cosine", "step"] = "cosine"
    """`cosine`: falls to zero over all steps (Loshchilov and Hutter, arXiv:1608.03983, without restarts).
    `step`: multiplied by `step_factor` after every `step_epochs` epochs."""

    step_epochs: int = 5
    step_factor: float = 0.1

    patience: int | None = None
    """Stop after this many epochs without a better validation accuracy; None never stops early."""

    random_flip: bool = False
    """Mirror each training image left to right with probability 1/2, anew each epoch."""

    crop_padding: int = 0
    """Crop each training image at random, anew each epoch, from the image in a border of so many pixels."""

    batch_normalization: bool = False
    """Normalize the sums of each convolution in float training, and fold that into its weights and bias at the end; see
    `fewbits.train.temporary_batch_norm`. Recipes train the folded network, and refuse it."""

    equalize_channels: bool = False
    """Start a recipe from the float network with the weights of neighboring layers on one scale; see
    `fewbits.equalize_channels`. Float training, and recipes that draw new weights, refuse it."""

    mixed_precision: bool = False
    """Multiply in bfloat16 in training steps, forward and backward; weights, their updates and all evaluation stay
    float32 (Kalamkar et al., "A study of bfloat16 for deep learning training", arXiv:1905.12322). Rounded operands of
    at most eight significant bits are bfloat16 numbers, so that their products stay exact. Faster where the processor
    has instructions for it, slower elsewhere."""

    clip_shadow_weights: bool = True
    """Keep the shadow weights of binary and ternary layers within the quantized range after each step, as in
    Courbariaux et al., "BinaryConnect" (NIPS 2015, section 2.4). Beyond it their gradient is masked, so that they
    would never come back."""

    calibration_images: int = 256
    """Training images from which radix points are chosen."""

    calibration_method: Method = "squared-error"
    calibration_percentile: float = 99.9

    def __post_init__(self) -> None:
        """Check every value."""
        _require("epochs", self.epochs, "an integer of at least 0, below 2**31", _is_count(self.epochs, 0))
        for name in ("batch_size", "step_epochs", "calibration_images"):
            _require(name, getattr(self, name), "an integer of at least 1, below 2**31", _is_count(getattr(self, name)))
        padding, patience = self.crop_padding, self.patience
        _require("crop_padding", padding, "0 or a positive integer, below 2**31", _is_count(padding, 0))
        _require("patience", patience, "None or at least 1", patience is None or _is_count(patience))
        rate, decay, factor = self.learning_rate, self.weight_decay, self.step_factor
        _require("learning_rate", rate, "above 0", is_real(rate, 0, open_low=True))
        _require("momentum", self.momentum, "from 0 to below 1", is_real(self.momentum, 0, 1) and self.momentum != 1)
        _require("weight_decay", decay, "at least 0", is_real(decay, 0))
        _require("step_factor", factor, "above 0, up to 1", is_real(factor, 0, 1, open_low=True))
        _require("optimizer", self.optimizer, "'sgd' or 'adam'", self.optimizer in ("sgd", "adam"))
        _require("schedule", self.schedule, "'cosine' or 'step'", self.schedule in ("cosine", "step"))
        if self.batch_normalization and not self.epochs:
            raise ModelError("batch_normalization takes at least 1 epoch: untrained, it has no statistics to fold")
        check_method(self.calibration_method, self.calibration_percentile)

    def definition(self) -> dict[str, Any]:
        """What is set otherwise than by default: what the hash of a training run takes.

        So a new setting whose default changes nothing leaves the networks trained before it valid.
        """
        changed = ((one.name, getattr(self, one.name), one.default) for one in fields(self))
        return {name: value for name, value, default in changed if value != default}

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step, counted from 0 over all epochs."""
        if self.schedule == "step":
            return self.learning_rate * self.step_factor ** (step // steps_per_epoch // self.step_epochs)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * step / (self.epochs * steps_per_epoch)))


def _is_count(value: object, low: int = 1) -> bool:
    return is_integer(value, low, 2**31 - 1)


def _require(name: str, value: object, allowed: str, holds: bool) -> None:
    if not holds:
        raise ModelError(f"{name} must be {allowed}, not {shown(value)}")
