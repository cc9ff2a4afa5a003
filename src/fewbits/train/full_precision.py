"""Sums on a GPU as wide as a CPU's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision(device: str | torch.device) -> Generator[None]:
    """Let a GPU convolve float32 in float32, always by the same algorithm; nothing elsewhere.

    cuDNN rounds operands of convolutions to TF32, 10 fraction bits, unless it is told not to, so that networks of wider
    formats compute something else than their bit-exact ones.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
