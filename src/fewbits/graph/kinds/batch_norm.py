"""Batch normalization: it has a bit-exact form where it is folded into the layer before it (`graph/foldings.py`)."""

from __future__ import annotations

from torch import Tensor, nn

from fewbits.errors import ModelError
from fewbits.graph.kind import KindOfOperation

FOLDABLE = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


class FoldedNorm(nn.Identity):
    """Where the normalization of a linear layer's results was, folded for one vector an image: passes vectors alone."""

    def forward(self, input: Tensor) -> Tensor:
        """The input. Raises ModelError for more dimensions, whose normalization was over another than the layer's."""
        if input.ndim != 2:
            raise ModelError(
                f"a normalization was folded into the linear layer before it, which holds for vectors (N, features), "
                f"not for a tensor of {input.ndim} dimensions: fold it after giving the linear layer vectors"
            )
        return input


class BatchNorm(KindOfOperation):
    """A normalization that is not folded yet, and stays float so."""

    name = "batch normalization"
    meanings = FOLDABLE
    has_form = False
    keeps_dims = True
