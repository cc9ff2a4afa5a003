"""One run of a recipe: what it starts from, and how it trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from fewbits.data import Dataset
from fewbits.quantization import QuantizedModel, calibrate
from fewbits.train.computation import computation_sha256
from fewbits.train.evaluation import evaluate
from fewbits.train.identity import checkpoint_path, run_hash
from fewbits.train.loop import Loss, Plan, cross_entropy, do_nothing, epoch_seed, train
from fewbits.train.options import RecipeOptions
from fewbits.train.progress import ProgressCallback
from fewbits.train.record import TrainRecord
from fewbits.train.settings import TrainSettings


@dataclass(frozen=True, eq=False)
class RecipeRun:
    """A recipe at work on one network. Each recipe takes one, trains `model` in place and returns the record."""

    name: str
    float_model: nn.Module
    """The trained float network; not to be changed."""

    model: QuantizedModel
    """To be trained: on `device`, not calibrated, with weights from the float network, or new ones."""

    data: Dataset
    settings: TrainSettings
    seed: int
    options: RecipeOptions
    option_names: tuple[str, ...]
    """Those of the options that define the run."""

    keeps_start: bool
    """Whether the network it starts from competes with the epochs."""

    checkpoint_folder: str | Path | None
    progress: ProgressCallback | None
    device: str

    def calibrate(self, *, weights: bool = True) -> None:
        """Choose radix points from the same training images each time; weights: those of the weights too."""
        calibrate(
            self.model,
            self.calibration_inputs(),
            self.settings.calibration_method,
            percentile=self.settings.calibration_percentile,
            weights=weights,
        )

    def calibration_inputs(self) -> Tensor:
        """The training images from which radix points are chosen, normalized."""
        return self.data.inputs(self.data.train.images[self.calibration_images()])

    def calibration_images(self) -> Tensor:
        """Their numbers in the training split."""
        return calibration_choice(self.data, self.settings, self.seed)

    def calibrate_again(self) -> None:
        """Choose those radix points that training with the straight-through estimator may move."""
        self.calibrate(weights=not self.model.has_scaled_signs)

    def train(
        self,
        *,
        stage: str = "",
        settings: TrainSettings | None = None,
        loss: Loss = cross_entropy,
        before_epoch: Callable[[], None] = do_nothing,
        after_step: Callable[[], None] = do_nothing,
    ) -> TrainRecord:
        """Train the network, as it stands, and leave it with the weights of its best epoch, or as it stood.

        stage: tells the checkpoints of several trainings of one recipe apart. The hooks are those of `loop.Plan`.
        """
        settings = settings or self.settings
        options = {name: getattr(self.options, name) for name in self.option_names}
        options |= {"keeps_start": True} if self.keeps_start else {}
        options |= {"products": products} if (products := _products(self.model)) else {}
        name = f"{self.name}-{stage}" if stage else self.name
        precision = self.model.precision.name
        plan = Plan(
            phase=self.name,
            data=self.data,
            settings=settings,
            seed=self.seed,
            run=run_hash(name, self.model, precision, self.data, settings, self.seed, options),
            computes=computation_sha256(self.float_model) if self.checkpoint_folder is not None else "",
            checkpoint=checkpoint_path(self.checkpoint_folder, name, precision, self.seed),
            progress=self.progress,
            device=self.device,
            loss=loss,
            before_epoch=before_epoch,
            after_step=after_step,
            keep_start=self.keeps_start,
        )
        record = train(self.model, plan)
        if settings.epochs:
            return record
        notice = f"{self.name} with 0 epochs: radix points are chosen and nothing is trained, as by post-training"
        return replace(record, notices=(*record.notices, notice))

    def validation_accuracy_percent(self) -> float:
        """Accuracy of the network, as it stands, on the validation split."""
        return evaluate(self.model, self.data, self.data.validation, device=self.device).accuracy_percent

    def record_without_training(self, notices: tuple[str, ...] = ()) -> TrainRecord:
        """The record where nothing was trained."""
        return TrainRecord(
            phase=self.name,
            history=(),
            best_epoch=0,
            best_validation_accuracy_percent=self.validation_accuracy_percent(),
            stopped_early=False,
            resumed_epochs=0,
            notices=notices,
        )


def calibration_choice(data: Dataset, settings: TrainSettings, seed: int) -> Tensor:
    """Numbers of the training images from which a run's radix points are chosen."""
    generator = torch.Generator().manual_seed(epoch_seed(seed, 0))
    return torch.randperm(len(data.train), generator=generator)[: settings.calibration_images]


def clipper(model: QuantizedModel) -> Callable[[], None]:
    """Clip the shadow weights of layers whose scale is their magnitude (binary, ternary) to the quantized range."""
    layers = [layer for layer in model.layers.values() if layer.weight_format.is_scaled_sign]

    def clip() -> None:
        with torch.no_grad():
            for layer in layers:
                low, high = layer.weight_format.limits(layer.weight_fraction_bits)
                layer.layer.weight.clamp_(low, high)

    return clip


def _products(model: QuantizedModel) -> dict[str, str]:
    """The hash of each layer's product tables, by its name; of layers that have some."""
    return {name: layer.products.sha256 for name, layer in model.layers.items() if layer.products is not None}
