"""Which executor computes a network on a device."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from fewbits.bitexact.floating import FloatExecutor
from fewbits.bitexact.fused import FusedExecutor
from fewbits.bitexact.integer import IntegerExecutor
from fewbits.bitexact.mixed import MixedExecutor
from fewbits.bitexact.sum_order import SumOrder
from fewbits.graph.operations import Operation, arithmetics, layers_of


class Executor(Protocol):
    """Computes a network's operations on batches of images of one device."""

    batch_size: int
    """Images at a time that suit it, if their memory allows."""

    def values(self, images: Tensor) -> dict[str, Any]:
        """Every operation's result by name."""
        ...

    def logits(self, images: Tensor) -> Any:
        """The last operation's result."""
        ...


def choose_executor(operations: tuple[Operation, ...], device: torch.device, order: SumOrder) -> Executor:
    """The fastest executor that is exact. order: of the sums of a float precision."""
    computed_in = set(arithmetics(operations).values())
    if len(computed_in) > 1:
        return MixedExecutor(operations, order)
    if "float32" in computed_in:
        return FloatExecutor(operations, order)
    is_cut = any(layer.dropped_product_bits for layer in layers_of(operations))
    return FusedExecutor(operations) if device.type == "cpu" and not is_cut else IntegerExecutor(operations)
