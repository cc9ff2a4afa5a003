"""Which executor computes a network on a device."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from fewbits.bitexact.cut_products import CutArithmetic
from fewbits.bitexact.floating import FloatExecutor
from fewbits.bitexact.fused import FusedExecutor
from fewbits.bitexact.integer import IntegerExecutor, LayerArithmetic
from fewbits.graph.operations import Layer, Operation


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


def _arithmetic(layer: Layer) -> LayerArithmetic | CutArithmetic:
    return CutArithmetic(layer) if layer.dropped_product_bits else LayerArithmetic(layer)


def choose_executor(operations: tuple[Operation, ...], device: torch.device) -> Executor:
    """The fastest executor that is exact."""
    if any(isinstance(operation, Layer) and operation.dropped_product_bits for operation in operations):
        return IntegerExecutor(operations, _arithmetic)
    if any(isinstance(operation, Layer) and operation.input_format.family == "float" for operation in operations):
        return FloatExecutor(operations)
    return FusedExecutor(operations) if device.type == "cpu" else IntegerExecutor(operations)
