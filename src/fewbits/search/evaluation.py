"""How well a network classifies the validation images at an assignment: the bit-exact network, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewbits.bitexact import BitExactNetwork, SumOrder, lower
from fewbits.data import Dataset, Images, Inputs, Split
from fewbits.errors import ModelError, SearchError
from fewbits.quantization import QuantizedModel, calibrate, quantize
from fewbits.search.result import Evaluated
from fewbits.search.space import Choice, Space
from fewbits.train import TrainSettings
from fewbits.train.recipe_run import calibration_choice


@dataclass(frozen=True)
class Outcome:
    """Of one network on the validation images."""

    right: int
    loss: float
    """Mean cross entropy; infinite or NaN logits are an error before."""

    evaluated: Evaluated = "bit-exact"
    notices: tuple[str, ...] = ()


def validation_split(dataset: Dataset, images: int | None, seed: int) -> Split:
    """The validation images that a search looks at: all, or so many drawn by the seed, in their order.

    Raises SearchError if the data has none, or fewer than asked for.
    """
    split = dataset.validation
    if len(split) == 0:
        raise SearchError(
            f"data {dataset.name!r} has no validation images to search on: hold some out of its training images"
        )
    if images is None or images == len(split):
        return split
    if images > len(split):
        raise SearchError(
            f"data {dataset.name!r} has {len(split)} validation images, not {images}: give at most that many"
        )
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(split), generator=generator)[:images].sort().values
    return Split(Images(split.images, rows.numpy()), split.labels[rows])


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Evaluates assignments of one float network; what it gives depends on its fields and the assignment alone."""

    network: nn.Module
    """Trained, its normalization folded, in evaluation mode, on the CPU."""

    space: Space
    dataset: Dataset
    split: Split
    """Of the validation images."""

    seed: int
    device: str = "cpu"
    sum_order: SumOrder | None = None
    """Of float sums on the accelerator; None where its dataflow has none of its own."""

    settings: TrainSettings = field(default_factory=TrainSettings)
    """Of calibration."""

    def float_outcome(self) -> Outcome:
        """The float network's own."""
        return self.of_module(self.network)

    def outcome(self, choice: Choice) -> Outcome:
        """The network at an assignment as post-training quantization leaves it."""
        return self.of_quantized(self.quantized(choice))

    def quantized(self, choice: Choice) -> QuantizedModel:
        """The network at an assignment, its radix points chosen from training images."""
        model = quantize(self.network, self.space.main(choice), layers=self.space.layer_precisions(choice)).eval()
        return calibrate(model, self.calibration_images[0], self.settings.calibration_method)

    @cached_property
    def calibration_images(self) -> tuple[Tensor, Tensor]:
        """Those training images, normalized, and their labels: the same for every assignment, and for the recipe
        `post-training`.
        """
        chosen = calibration_choice(self.dataset, self.settings, self.seed)
        return self.dataset.inputs(self.dataset.train.images[chosen]), self.dataset.train.labels[chosen]

    def of_quantized(self, model: QuantizedModel) -> Outcome:
        """The bit-exact network's, or, where the network has none, that of the network in torch."""
        example = self.dataset.inputs(self.split.images[:1])
        order = self.sum_order
        try:
            network = lower(model, example) if order is None else lower(model, example, sum_order=order)
        except ModelError as refusal:
            return self.of_module(model, (f"fake-quantized, since there is no bit-exact network: {refusal}",))
        return self._outcome(self._bit_exact_logits(network), "bit-exact", ())

    def of_module(self, module: nn.Module, notices: tuple[str, ...] = ()) -> Outcome:
        """That of a network in torch."""
        try:
            return self._outcome(self._logits(module.to(self.device)), "fake-quantized", notices)
        finally:
            module.cpu()

    def _logits(self, module: nn.Module) -> Iterator[Tensor]:
        with torch.no_grad():
            for images in Inputs(self.dataset, self.split).chunks():
                yield module(images.to(self.device)).cpu()

    def _bit_exact_logits(self, network: BitExactNetwork) -> Iterator[Tensor]:
        for images in Inputs(self.dataset, self.split).chunks():
            yield network.run(images.to(self.device)).cpu()

    def _outcome(self, logits: Iterator[Tensor], evaluated: Evaluated, notices: tuple[str, ...]) -> Outcome:
        right, loss, start = 0, 0.0, 0
        for chunk in logits:
            labels = self.split.labels[start : start + len(chunk)]
            right += int((chunk.argmax(dim=1) == labels).sum())
            loss += F.cross_entropy(chunk.double(), labels, reduction="sum").item()
            start += len(chunk)
        return Outcome(right, loss / len(self.split), evaluated, notices)
