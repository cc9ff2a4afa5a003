"""A recipe: alpha-blending, which trains without a straight-through estimator.

Liu and Mattina, "Learning low-precision neural networks without straight-through estimator (STE)" (arXiv:1903.01061):
a layer computes with `(1 - alpha) w + alpha q(w)`, where `q(w)` counts as a constant in the backward pass and alpha
rises from 0 to 1 while training goes on. So gradients are true ones, and the network turns into the low-precision one
step by step.

A recipe takes a `RecipeRun`: the quantized `model`, not calibrated, with the float network's weights (`start="float"`)
or new ones (`"scratch"`), the data, the settings, and `run.train(...)`, which keeps checkpoints and the best epoch.
What a layer is to compute otherwise is a `TrainingMethod`; `settle` takes the methods out at the end, so that
`fewbits.lower` sees plain layers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewbits.quantization import QuantizedLayer, TrainingMethod, settle
from fewbits.train import Recipe, RecipeRun, TrainRecord


class Blend(TrainingMethod):
    """Weights between the shadow weights and what they are rounded to."""

    time: Tensor
    """Part of the training that is done, 0 to 1; a buffer, so that checkpoints keep it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("time", torch.zeros(()))

    def forward(self, layer: QuantizedLayer, x: Tensor) -> Tensor:
        """The layer's result: blended weights in training, rounded ones in evaluation."""
        weight = layer.quantized_weight()
        if layer.training:
            alpha = 1 - (1 - self.time) ** 3  # the paper's schedule
            weight = (1 - alpha) * layer.layer.weight + alpha * weight
        return layer.compute(layer.rounded_input(x), weight)


def blend(run: RecipeRun) -> TrainRecord:
    """Train from the float weights to the rounded ones."""
    run.calibrate()
    steps = run.settings.epochs * -(-len(run.data.train) // run.settings.batch_size)
    methods = [Blend().to(run.device) for _ in run.model.layers]
    for layer, method in zip(run.model.layers.values(), methods, strict=True):
        layer.method = method

    def go_on() -> None:
        for method in methods:
            method.time.add_(1 / steps).clamp_(max=1)

    record = run.train(before_epoch=run.calibrate_again, after_step=go_on)
    settle(run.model)
    return record


recipe = Recipe("blend float and rounded weights (Liu and Mattina, arXiv:1903.01061)", start="float", train=blend)
