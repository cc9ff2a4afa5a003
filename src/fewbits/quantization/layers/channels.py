"""Per-channel radix points: each output's weights at a radix point of their own, some places finer than the layer's."""

from __future__ import annotations

import torch
from torch import Tensor

from fewbits.formats import Format
from fewbits.quantization.layers.radix_point import Method, choose_fraction_bits

CHANNEL_SHIFT_BITS = 4
"""Bits that the hardware stores for each output: by how many places more its accumulator moves right before it is
rounded. Four bits span 15 places; a channel whose weights are smaller still loses its last bits instead."""


def choose_channel_points(
    number_format: Format, weight: Tensor, method: Method, percentile: float
) -> tuple[int, tuple[int, ...]]:
    """The layer's fraction_bits, those of its coarsest output, and by how much each output's are larger, 0 to 15.

    weight: outputs first. Outputs without a weight other than zero take the layer's. See `choose_fraction_bits`.
    """
    points = [
        choose_fraction_bits(number_format, channel, method, percentile) if bool(channel.any()) else None
        for channel in weight.detach()
    ]
    coarsest = min((point for point in points if point is not None), default=0)
    finest = 2**CHANNEL_SHIFT_BITS - 1
    return coarsest, tuple(0 if point is None else min(point - coarsest, finest) for point in points)


def channel_scale(shifts: Tensor, weight: Tensor) -> Tensor:
    """2**shift for each output, in the weights' dtype, to multiply the weights by."""
    scale = torch.ldexp(torch.ones(len(shifts), dtype=weight.dtype, device=weight.device), shifts.to(weight.device))
    return scale.view(-1, *(1,) * (weight.ndim - 1))
