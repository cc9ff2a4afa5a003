"""`TrainingHooks`: what fewbits's recipes do between epochs and steps, for a training loop of the user's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fewbits.errors import ModelError
from fewbits.quantization import QuantizedModel, calibrate
from fewbits.quantization.layers.radix_point import Method
from fewbits.train.recipe_run import clipper


class TrainingHooks:
    """Choose radix points before each epoch, and clip shadow weights after each step, as the recipe `fine-tune` does.

    For a loop in plain PyTorch, Lightning or Accelerate: call `before_epoch` at each epoch's start, and `attach` once
    the optimizer is made; docs/own_training.md has each. The network is calibrated when this is made.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor | Iterable[Any],
        method: Method = "squared-error",
        *,
        percentile: float = 99.9,
        clip_shadow_weights: bool = True,
    ) -> None:
        """Find the quantized network in a module and calibrate it.

        model: what `fewbits.quantize` returned, or a module that holds it, such as DistributedDataParallel or a
        LightningModule. images, method, percentile: as `fewbits.calibrate` takes them; where several processes train,
        give each the same images. clip_shadow_weights: see `TrainSettings`.
        Raises ModelError for a module that holds no quantized network, or several; what `calibrate` raises.
        """
        self.model = _quantized_in(model)
        self._images = images if isinstance(images, Tensor) else list(images)  # an iterator is read once
        self._method: Method = method
        self._percentile = percentile
        self._clips = clip_shadow_weights
        self._calibrate(weights=True)
        self._clip = clipper(self.model)

    def before_epoch(self) -> None:
        """Choose radix points anew; the weights' scale of binary and ternary layers stays.

        What weights and inputs have become by training may need another range.
        """
        self._calibrate(weights=not self.model.has_scaled_signs)

    def after_step(self) -> None:
        """Clip the shadow weights of binary and ternary layers to the quantized range, behind an optimizer's step."""
        if self._clips:
            self._clip()

    def attach(self, optimizer: torch.optim.Optimizer) -> RemovableHandle:
        """Let an optimizer call `after_step` behind each of its steps, whoever makes them.

        Steps that a gradient scaler leaves out are none. Returns a handle whose `remove()` ends that. Raises ModelError
        for an optimizer that has none of the network's weights.
        """
        mine = {id(parameter) for parameter in self.model.parameters()}
        if not any(id(parameter) in mine for group in optimizer.param_groups for parameter in group["params"]):
            raise ModelError(
                "the optimizer has none of the quantized network's weights: make it from this network's parameters()"
            )

        def clip(*_: object) -> None:
            self.after_step()

        return optimizer.register_step_post_hook(clip)

    def _calibrate(self, *, weights: bool) -> None:
        calibrate(self.model, self._images, self._method, percentile=self._percentile, weights=weights)


def _quantized_in(model: nn.Module) -> QuantizedModel:
    """The one quantized network that a module is or holds."""
    found = [module for module in model.modules() if isinstance(module, QuantizedModel)]
    if len(found) == 1:
        return found[0]
    what = "no quantized network" if not found else f"{len(found)} quantized networks"
    raise ModelError(f"{type(model).__name__} holds {what}: give what fewbits.quantize returns, or what holds it")
