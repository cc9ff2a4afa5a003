"""A radix point as a module keeps it: a buffer for the state dict, a plain integer for forward passes."""

from __future__ import annotations

import torch
from torch import Tensor

from fewbits.errors import ModelError
from fewbits.formats import Format

NOT_CHOSEN = torch.iinfo(torch.int64).min
"""What a radix point's buffer holds before calibration."""


def start(number_format: Format) -> int:
    """The radix point before calibration: 0 for a format that needs none."""
    return NOT_CHOSEN if number_format.needs_radix_point else 0


def as_buffer(point: int, device: torch.device | None = None) -> Tensor:
    """A buffer that holds a radix point."""
    return torch.tensor(point, dtype=torch.int64, device=device)


def fill(buffer: Tensor, fraction_bits: object) -> int:
    """Write a radix point to its buffer; the plain integer. Raises ModelError unless it is an integer."""
    if isinstance(fraction_bits, bool) or not isinstance(fraction_bits, int):
        raise ModelError(f"fraction_bits must be an integer, not {fraction_bits!r}")
    buffer.fill_(fraction_bits)
    return fraction_bits


def checked(point: int, name: str) -> int:
    """The radix point. Raises ModelError, naming the layer, if it was not chosen yet."""
    if point == NOT_CHOSEN:
        where = f"layer {name!r}" if name else "this layer"
        raise ModelError(f"{where} has no radix points yet: call fewbits.calibrate(model, images) first")
    return point
