"""Accuracy of a network on a split."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewbits.data import Dataset, Split
from fewbits.errors import DataError
from fewbits.train.full_precision import full_precision
from fewbits.train.memory_layout import layout_of


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well a network classifies a split."""

    right: int
    """Images whose highest output is that of their label."""

    count: int
    """Images."""

    loss: float
    """Mean cross entropy."""

    predictions: Tensor
    """Predicted classes, int64, N, on the CPU."""

    @property
    def accuracy_percent(self) -> float:
        """Share of right images, in percent."""
        return 100 * self.right / self.count


def evaluate(
    module: nn.Module, data: Dataset, split: Split, *, batch_size: int = 256, device: str | torch.device = "cpu"
) -> Evaluation:
    """Run a network over a split, in evaluation mode; its mode is put back afterwards.

    module: takes normalized float32 images and returns logits, N x classes; must be on `device`.
    Raises DataError if the split is empty.
    """
    if len(split) == 0:
        raise DataError(f"data {data.name!r}: cannot evaluate on an empty split")
    layout = layout_of(module)
    modes = {part: part.training for part in module.modules()}
    module.eval()
    predictions: list[Tensor] = []
    loss = 0.0
    try:
        with torch.no_grad(), full_precision(device):
            for start in range(0, len(split), batch_size):
                inputs = network_inputs(data, split.images[start : start + batch_size], device, layout)
                labels = split.labels[start : start + batch_size].to(device)
                logits: Tensor = module(inputs)
                loss += F.cross_entropy(logits, labels, reduction="sum").item()
                predictions.append(logits.argmax(dim=1).cpu())
    finally:
        for part, training in modes.items():
            part.training = training
    predicted = torch.cat(predictions)
    right = int((predicted == split.labels).sum().item())
    return Evaluation(right=right, count=len(split), loss=loss / len(split), predictions=predicted)


def network_inputs(data: Dataset, images: Tensor, device: str | torch.device, layout: torch.memory_format) -> Tensor:
    """Normalized inputs on a device, in a memory layout."""
    return data.inputs(images).to(device).contiguous(memory_format=layout)
