"""Which power-of-two scale suits a tensor, or each of its channels: by maximum, percentile or least squared error."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from fewbits.arguments import is_real, shown
from fewbits.errors import DataError, ModelError
from fewbits.formats import Format, Scale
from fewbits.formats.scale import CHANNEL_SHIFT_BITS

Method = Literal["maximum", "percentile", "squared-error"]

METHODS: tuple[Method, ...] = ("maximum", "percentile", "squared-error")
"""Names of the ways to choose a radix point."""

FURTHEST = 63
"""Radix points are kept within -63 to 63: an accumulator's unit, 2**-(weight + input fraction_bits), is then at least
2**-126, the smallest normal float32."""

_SAMPLE = 2**18
"""Elements of which the squared error is taken: a mean over them is known to better than 1 %."""


def choose_fraction_bits(
    number_format: Format, x: Tensor, method: Method = "squared-error", percentile: float = 99.9
) -> int:
    """The fraction_bits that suit a tensor.

    - "maximum": the largest at which nothing saturates.
    - "percentile": the largest at which the given percentile of the magnitudes does not saturate (the maximum if
      that percentile is zero).
    - "squared-error": the one of the least mean squared error, on a fixed random sample of 2**18 elements of a larger
      tensor. For `binary` that is the power of two near the mean magnitude, the optimal scale of Rastegari et al.,
      "XNOR-Net" (ECCV 2016, equation 6); for `pow2` the exponent window's top.

    A block format's is that at which its highest scale takes the maximum, whatever the method: blocks choose theirs.
    Formats with 5 exponent bits or more need none and get 0, and so does a tensor of zeros. The result is kept within
    -63 to 63, beyond which a tensor saturates or loses its least bits.
    x: any shape, finite. percentile: above 0, up to 100.
    Raises DataError if an element is NaN or infinite, ModelError for another method or percentile.
    """
    check_method(method, percentile)
    values = x.detach().reshape(-1)
    if values.numel() == 0 or not torch.isfinite(values).all():
        raise DataError("a radix point is chosen from finite values: the tensor is empty or holds NaN or infinity")
    if not number_format.needs_radix_point or not values.any():
        return 0
    without_saturation = _largest_unsaturated(number_format, values.min().item(), values.max().item())
    if method == "maximum" or number_format.has_blocks:
        return without_saturation
    if method == "percentile":
        magnitudes = values.abs()
        rank = max(1, math.ceil(percentile / 100 * magnitudes.numel()))
        bound = magnitudes.kthvalue(rank).values.item()
        return _largest_unsaturated(number_format, 0.0, bound) if bound > 0 else without_saturation
    return _least_squared_error(number_format, _sample(values), without_saturation)


def choose_channel_scale(number_format: Format, weight: Tensor, method: Method, percentile: float) -> Scale:
    """A radix point for each output, 0 to 15 places finer than that of the coarsest.

    weight: outputs first. Outputs without a weight other than zero take the coarsest. See `choose_fraction_bits`.
    """
    points = [
        choose_fraction_bits(number_format, channel, method, percentile) if bool(channel.any()) else None
        for channel in weight.detach()
    ]
    coarsest = min((point for point in points if point is not None), default=0)
    finest = coarsest + 2**CHANNEL_SHIFT_BITS - 1
    return Scale.of_channels(tuple(coarsest if point is None else min(point, finest) for point in points))


def check_method(method: str, percentile: float) -> None:
    """Raise ModelError unless these are a known method and a percentile."""
    if not isinstance(method, str) or method not in METHODS:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"unknown calibration method {shown(method)}: give one of {', '.join(METHODS)}")
    if not is_real(percentile, 0, 100, open_low=True):
        raise ModelError(f"a percentile lies above 0 and up to 100, not {shown(percentile)}")


def saturated_share(number_format: Format, x: Tensor, fraction_bits: int) -> float:
    """Share of the elements, 0 to 1, that lie beyond the format's range at this radix point."""
    low, high = number_format.limits(fraction_bits)
    values = x.detach()
    return ((values < low) | (values > high)).double().mean().item()


def _largest_unsaturated(number_format: Format, smallest: float, largest: float) -> int:
    """The largest fraction_bits at which values from `smallest` to `largest` stay within the format's range."""
    low, high = number_format.limits()
    bounds = [_room(value, limit) for value, limit in ((-smallest, -low), (largest, high)) if value > 0]
    return min(FURTHEST, max(-FURTHEST, min(bounds)))


def _room(value: float, limit: float) -> int:
    """The largest f with value * 2**f <= limit; exact, both are positive."""
    mantissa, exponent = math.frexp(value)
    limit_mantissa, limit_exponent = math.frexp(limit)
    return limit_exponent - exponent - (mantissa > limit_mantissa)


def _sample(values: Tensor) -> Tensor:
    """All elements in float32, or a random sample of them that is the same each time."""
    if values.numel() > _SAMPLE:
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randint(values.numel(), (_SAMPLE,), generator=generator)
        values = values[chosen.to(values.device)]
    return values.to(torch.float32)


def _least_squared_error(number_format: Format, values: Tensor, first: int) -> int:
    """Search upward from the largest radix point without saturation.

    A smaller one only takes values away from the range that is used, so none is better. Each step upward clips more:
    once clipping alone costs more than the best total error, no later step can win, so the search finds the optimum.
    """
    exact = values.double()
    best, best_error = first, math.inf
    for fraction_bits in range(first, FURTHEST + 1):
        within = exact.clamp(*number_format.limits(fraction_bits))
        if within.sub_(exact).square_().sum().item() >= best_error:
            break
        error = (number_format.quantize(values, fraction_bits).double() - exact).square_().sum().item()
        if error < best_error:
            best, best_error = fraction_bits, error
    return best
