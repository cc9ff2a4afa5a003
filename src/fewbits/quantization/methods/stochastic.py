"""Stochastic rounding: up or down by chance, so that the expected result is the value itself."""

from __future__ import annotations

import torch
from torch import Tensor


def round_stochastically(x: Tensor, unit: float) -> Tensor:
    """Multiples of a unit, each the one below with the probability of its distance from the one above, else that.

    Gupta et al., "Deep learning with limited numerical precision" (arXiv:1502.02551, section 3.1). Randomness comes
    from torch's global generator. x: any shape, float; a new tensor is returned. Nothing saturates.
    """
    scaled = x / unit
    return torch.floor(scaled.add_(torch.rand_like(scaled))).mul_(unit)


def sample_signs(probability: Tensor) -> Tensor:
    """1 with the given probability, else -1. probability: any shape, float; a new tensor of its dtype is returned."""
    return torch.rand_like(probability).lt_(probability).mul_(2).sub_(1)
