"""The training loop: epochs, validation, early stop, checkpoints that resume exactly."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewbits.data import Dataset
from fewbits.errors import DataError, FormatError, ModelError
from fewbits.train.batches import Batches
from fewbits.train.checkpoint import UNFIT, Checkpoint, damaged, load_checkpoint, one_line, save_checkpoint
from fewbits.train.evaluation import Evaluation, evaluate
from fewbits.train.full_precision import full_precision
from fewbits.train.memory_layout import choose_layout, layout_of
from fewbits.train.one_class import one_class_notice
from fewbits.train.progress import EPOCHS_TOLD, Progress, ProgressCallback
from fewbits.train.record import EpochRecord, TrainRecord
from fewbits.train.settings import TrainSettings

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From normalized inputs, logits and labels to what is minimized: one value."""


def do_nothing() -> None:
    """Do nothing, where a recipe has nothing to do."""


def cross_entropy(inputs: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of the batch."""
    return F.cross_entropy(logits, labels)


@dataclass(frozen=True)
class Plan:
    """What to train, apart from the network."""

    phase: str
    """`float`, or the name of the recipe."""

    data: Dataset
    settings: TrainSettings
    seed: int
    run: str
    """Hash of what defines the run."""

    computes: str = ""
    """Hash of what the network that the run starts from computes; empty where no checkpoint is written."""

    checkpoint: Path | None = None
    progress: ProgressCallback | None = None
    device: str = "cpu"
    loss: Loss = cross_entropy
    before_epoch: Callable[[], None] = do_nothing
    """Called at each epoch's start (calibration)."""

    after_step: Callable[[], None] = do_nothing
    """Called after each optimizer step (clipping)."""

    keep_start: bool = False
    """Whether the network as it is given competes with the epochs: if none is better, it is kept."""


def train(module: nn.Module, plan: Plan) -> TrainRecord:
    """Train a network in place and leave it with the weights of its best epoch, or of its start where that competes.

    Equal seeds give equal weights, bit for bit, on the same machine, torch version and thread count, whether or not
    training was interrupted; on a GPU only as far as torch's operations there add in one order. Randomness (the order
    of images, augmentation, dropout) comes from generators that are seeded anew for each epoch; torch's global
    generator is put back after each.
    Raises DataError for an empty split, ModelError if the loss is no longer finite, StudyError if a checkpoint cannot
    be written or read; whatever `progress` raises.
    """
    for name in ("train", "validation"):
        if len(getattr(plan.data, name)) == 0:
            raise DataError(f"data {plan.data.name!r} has an empty {name} split: training needs one")
    training = _Training(module, plan)
    training.resume()
    if (plan.keep_start or not plan.settings.epochs) and not training.history:
        training.remember_start()
    with full_precision(plan.device):
        while not training.is_over:
            training.run_epoch()
    training.keep_best()
    return training.record()


def epoch_seed(seed: int, *stream: int) -> int:
    """A seed for one purpose of a run, independent of the others (numpy's SeedSequence, whose result is frozen)."""
    return int(np.random.SeedSequence([seed, *stream]).generate_state(1, np.uint64)[0] >> np.uint64(1))


class _Validated(NamedTuple):
    """How well the start does on the held-out split."""

    accuracy_percent: float
    loss: float


class _Training:
    """A training run between two epochs."""

    def __init__(self, module: nn.Module, plan: Plan) -> None:
        self.module = module.to(plan.device)
        self.plan = plan
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        if not self.parameters:
            raise ModelError(f"{type(module).__name__} has no parameters to train")
        choose_layout(module, plan.data.inputs(plan.data.train.images[:1]).to(plan.device))
        self.inputs = Batches(plan.data, plan.settings, layout_of(module))
        self.optimizer = _optimizer(self.parameters, plan.settings)
        self.batches = math.ceil(len(plan.data.train) / plan.settings.batch_size)
        self.history: list[EpochRecord] = []
        self.start: _Validated | None = None
        self.best: dict[str, Tensor] = {}
        self.best_epoch = 0
        self.resumed_epochs = 0
        one_class = one_class_notice(plan.data, plan.data.validation, "validation images")
        self.notices = [] if one_class is None else [one_class]

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done or patience is at its end."""
        return len(self.history) >= self.plan.settings.epochs or self.lost_patience

    @property
    def lost_patience(self) -> bool:
        """Whether the last epochs brought no better validation accuracy."""
        patience = self.plan.settings.patience
        if patience is None or len(self.history) <= patience:
            return False
        accuracies = [epoch.validation_accuracy_percent for epoch in self.history]
        return max(accuracies[-patience:]) <= max(accuracies[:-patience])

    def remember_start(self) -> None:
        """Validate the network as it is given: the best so far."""
        self.plan.before_epoch()
        result = self._validate(0)
        self.start = _Validated(result.accuracy_percent, result.loss)
        self._remember(0)

    def run_epoch(self) -> None:
        """Train one epoch, validate, remember the best, write the checkpoint."""
        epoch, start = len(self.history) + 1, time.perf_counter()
        self.plan.before_epoch()
        rate = self.plan.settings.learning_rate_at((epoch - 1) * self.batches, self.batches)
        device = torch.device(self.plan.device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(epoch_seed(self.plan.seed, epoch, 0))  # for dropout
            loss = self._train_epoch(epoch)
        validation = self._validate(epoch)
        seconds = time.perf_counter() - start
        self.history.append(EpochRecord(epoch, rate, loss, validation.loss, validation.accuracy_percent, seconds))
        if self._is_best():
            self._remember(epoch)
        self._save()
        self._report(epoch, self.batches, loss)

    def _train_epoch(self, epoch: int) -> float:
        """All batches of one epoch, in an order of their own; the mean loss."""
        self.module.train()
        split = self.plan.data.train
        shuffle = torch.Generator().manual_seed(epoch_seed(self.plan.seed, epoch, 1))
        order = torch.randperm(len(split), generator=shuffle)
        augmentation = torch.Generator().manual_seed(epoch_seed(self.plan.seed, epoch, 2))
        total, images = 0.0, 0
        for batch, (chosen, inputs) in enumerate(self.inputs.epoch(order, self.batches, augmentation)):
            rate = self.plan.settings.learning_rate_at((epoch - 1) * self.batches + batch, self.batches)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            total += self._step(inputs, split.labels[chosen], epoch, rate) * len(chosen)
            images += len(chosen)
            self._report(epoch, batch + 1, total / images)
        return total / images

    def _step(self, inputs: Tensor, labels: Tensor, epoch: int, rate: float) -> float:
        """One optimizer step; the loss before it."""
        self.optimizer.zero_grad()
        try:
            loss = self._loss(inputs.to(self.plan.device), labels.to(self.plan.device))
        except FormatError:  # a NaN on its way through the network
            raise self._diverged(epoch, rate) from None
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(epoch, rate)
        loss.backward()
        self.optimizer.step()
        self.plan.after_step()
        return value

    def _loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """What the batch is to minimize, in float32 also where the network multiplies in bfloat16."""
        if not self.plan.settings.mixed_precision:
            return self.plan.loss(inputs, self.module(inputs), labels)
        with torch.autocast(torch.device(self.plan.device).type, torch.bfloat16):
            return self.plan.loss(inputs, self.module(inputs).float(), labels)

    def _validate(self, epoch: int) -> Evaluation:
        """Loss and accuracy on the held-out split. epoch: 0 before the first."""
        try:
            result = evaluate(self.module, self.plan.data, self.plan.data.validation, device=self.plan.device)
        except FormatError:
            result = None
        if result is None or not math.isfinite(result.loss):
            if not epoch:
                raise ModelError(
                    f"training ({self.plan.phase}) cannot start: the loss of the network that it was given is not "
                    "finite on the validation images; check its weights, and how the data's inputs are normalized"
                )
            rate = self.plan.settings.learning_rate_at(epoch * self.batches - 1, self.batches)
            raise self._diverged(epoch, rate)
        return result

    def _diverged(self, epoch: int, rate: float) -> ModelError:
        return ModelError(
            f"training ({self.plan.phase}) diverged in epoch {epoch}: the loss is not finite at learning rate "
            f"{rate:g}; give a smaller learning_rate than {self.plan.settings.learning_rate:g}"
        )

    def _remember(self, epoch: int) -> None:
        """Take the weights as they stand for the best."""
        self.best_epoch = epoch
        self.best = {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}

    def _is_best(self) -> bool:
        """Whether the last epoch has the highest validation accuracy so far, then the lowest loss."""
        ranks = [(-self.start.accuracy_percent, self.start.loss)] if self.start else []
        ranks += [(-epoch.validation_accuracy_percent, epoch.validation_loss) for epoch in self.history]
        return len(ranks) == 1 or ranks[-1] < min(ranks[:-1])

    def keep_best(self) -> None:
        """Put the best epoch's weights back."""
        self.module.load_state_dict(self.best)

    def record(self) -> TrainRecord:
        """What the run leaves."""
        start = self.start.accuracy_percent if self.start else None
        accuracies = [start, *(epoch.validation_accuracy_percent for epoch in self.history)]
        best = accuracies[self.best_epoch]
        assert best is not None
        return TrainRecord(
            phase=self.plan.phase,
            history=tuple(self.history),
            best_epoch=self.best_epoch,
            best_validation_accuracy_percent=best,
            start_validation_accuracy_percent=start,
            stopped_early=len(self.history) < self.plan.settings.epochs,
            resumed_epochs=self.resumed_epochs,
            notices=tuple(self.notices),
        )

    def _report(self, epoch: int, batch: int, loss: float) -> None:
        if self.plan.progress is not None:
            start = self.start.accuracy_percent if self.start else None
            accuracy = self.history[-1].validation_accuracy_percent if self.history else start
            epochs = self.plan.settings.epochs
            ended = tuple(self.history[-EPOCHS_TOLD:])
            self.plan.progress(Progress(self.plan.phase, epoch, epochs, batch, self.batches, loss, accuracy, ended))

    def _save(self) -> None:
        """Write the state after this epoch."""
        if self.plan.checkpoint is None:
            return
        tensors = {f"module.{name}": tensor for name, tensor in self.module.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for index, parameter in enumerate(self.parameters):
            for name, value in self.optimizer.state[parameter].items():
                if isinstance(value, Tensor):  # torch's optimizers keep None where a term is unused
                    tensors[f"optimizer.{index}.{name}"] = value
        values = {
            "start": self.start,
            "history": [asdict(epoch) for epoch in self.history],
            "best_epoch": self.best_epoch,
        }
        save_checkpoint(self.plan.checkpoint, Checkpoint(self.plan.run, tensors, values, self.plan.computes))

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one of this run; start anew, with a notice, if it does not fit."""
        if self.plan.checkpoint is None:
            return
        checkpoint, notice = load_checkpoint(self.plan.checkpoint, self.plan.run, self.plan.computes)
        self.notices += [notice] if notice else []
        if checkpoint is None:
            return
        try:
            resumed = _Resumed(checkpoint, self.module, self.parameters)
        except (*UNFIT, IndexError) as error:
            self.notices.append(damaged(self.plan.checkpoint, f"it does not fit: {one_line(error)}"))
            return
        self.module.load_state_dict(resumed.module)
        self.best = {name: tensor.to(self.plan.device) for name, tensor in resumed.best.items()}
        for parameter, state in zip(self.parameters, resumed.optimizer, strict=True):
            for key, tensor in state.items():
                is_like = tensor.shape == parameter.shape  # else a count, which fused optimizers keep on the device
                like = torch.empty_like(parameter) if is_like else torch.empty_like(tensor, device=parameter.device)
                self.optimizer.state[parameter][key] = like.copy_(tensor)
        self.start, self.history, self.best_epoch = resumed.start, resumed.history, resumed.best_epoch
        self.resumed_epochs = len(self.history)


class _Resumed:
    """A checkpoint's parts, each checked against the network, before any is taken."""

    def __init__(self, checkpoint: Checkpoint, module: nn.Module, parameters: list[nn.Parameter]) -> None:
        """Raises one of UNFIT, or IndexError, for what does not fit."""
        self.module: dict[str, Tensor] = {}
        self.best: dict[str, Tensor] = {}
        self.optimizer: list[dict[str, Tensor]] = [{} for _ in parameters]
        for name, tensor in checkpoint.tensors.items():
            part, _, rest = name.partition(".")
            if part == "optimizer":
                index, _, key = rest.partition(".")
                if tensor.shape not in (parameters[int(index)].shape, torch.Size(())):
                    raise ValueError(f"{name!r} is of shape {tuple(tensor.shape)}")
                self.optimizer[int(index)][key] = tensor
            else:
                {"module": self.module, "best": self.best}[part][rest] = tensor
        tried = copy.deepcopy(module)  # for loading puts some values into a module before it refuses others
        for part in (self.module, self.best):
            tried.load_state_dict(part)
        start = checkpoint.values.get("start")
        self.start = _Validated(*map(float, start)) if start else None
        self.history = [EpochRecord(**epoch) for epoch in checkpoint.values["history"]]
        figures = [figure for epoch in self.history for figure in astuple(epoch)]
        if not all(type(figure) in (int, float) and abs(figure) < math.inf for figure in figures):
            raise ValueError("a figure of an epoch is no finite number")
        self.best_epoch: int = checkpoint.values["best_epoch"]
        if not self.history or type(self.best_epoch) is not int or not 0 <= self.best_epoch <= len(self.history):
            raise ValueError(f"best epoch {self.best_epoch!r} of {len(self.history)}")


def _optimizer(parameters: list[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    """The optimizer that the settings name, in its fused form: one pass over the parameters."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    return torch.optim.SGD(
        parameters,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        fused=True,
    )
