"""One call that measures what defects cost in accuracy, what retraining gives back, and what a repair costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fewbits.errors import HardwareError
from fewbits.hardware.defects.curve import DefectCurve
from fewbits.hardware.defects.plan import DefectPlan

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fewbits.bitexact import BitExactNetwork
    from fewbits.quantization.known_defects import KnownDefects

Progress = Callable[[int, int], None]
"""Told after each accuracy that was computed: how many are done, of how many."""

Retrain = Callable[["KnownDefects", int, int], "nn.Module"]
"""Train a network that knows its defects: (what is known, epochs, seed) to the quantized module, which is lowered here.
`fewbits.train.retraining_with_defects` gives such a function for a recipe, a model and data."""


def measure_defects(
    network: BitExactNetwork,
    images: Tensor,
    labels: Tensor,
    plan: DefectPlan,
    *,
    retrain: Retrain | None = None,
    progress: Progress | None = None,
) -> DefectCurve:
    """Accuracy with the defects of a plan; after retraining, and after a repair with its price, where it asks for them.

    network: as `lower` gives it. images, labels: as for `BitExactNetwork.run`, and their classes (int64). retrain:
    needed where the plan has `retrain_epochs`. Raises HardwareError for no images, labels of another number,
    a plan with retraining without `retrain`, and what the plan's place cannot be computed of.
    """
    del network, images, labels, plan, retrain, progress
    raise HardwareError("measure_defects is not built yet")
