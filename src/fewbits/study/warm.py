"""What tasks load when they first need it, loaded at once: a worker does so while there is no task for it yet."""

from __future__ import annotations

import torch

from fewbits.formats import parse_format
from fewbits.study import worker

__all__ = ["worker"]

torch.optim.Adam([torch.zeros(1)])  # torch loads its compiler, 800 modules, with the first optimizer
parse_format("fixed8").quantize(torch.zeros(1), 0)  # numba loads what all its functions need with the first one
