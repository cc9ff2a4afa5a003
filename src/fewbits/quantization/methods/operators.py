"""torch operators of what recipes put into a layer, for networks that torch captures (see `formats/operators.py`).

    fewbits::learned_step          rounded values; the gradients of `learned_step.LearnedSteps` to x and the step
    fewbits::learned_clip          rounded values; the gradients of `learned_step.LearnedClipping`
    fewbits::multipliers           the factors of `Multipliers.nearest`, shaped as wanted, and their radix point
    fewbits::largest_unsaturated   the largest radix point at which nothing of a tensor saturates
    fewbits::add_gradient          the first operand, whose gradient goes to both

Radix points and limits are tensors without dimensions.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from fewbits.formats import Format, Multipliers, Scale, parse_format
from fewbits.formats.operators import Saved, define, limits
from fewbits.formats.scale import SummedDimension
from fewbits.quantization.layers.captured import rounded
from fewbits.quantization.layers.radix_point import choose_fraction_bits


def _copy_of_rounded(x: Tensor, log2_step: Tensor, values: Tensor, low: Tensor, high: Tensor, constant: Tensor) -> Any:
    return values.clone()


def _save(ctx: Any, inputs: tuple[Any, ...]) -> Saved:
    x, _, values, low, high, constant = inputs
    return x, values, low, high, constant


def _step_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """As `learned_step._LearnedStep` has it."""
    x, values, low, high, constant = ctx.saved_tensors
    passed = torch.where((x >= low) & (x <= high), gradient, 0.0)
    distance = (gradient * values).sum() - (passed * x).sum()
    return passed, distance * (math.log(2) * constant).to(distance.dtype), None, None, None, None


def _clip_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """As `learned_step._LearnedClip` has it; the limit's slope in float64, as Python has it."""
    x, values, low, high, penalty = ctx.saved_tensors
    passed = torch.where((x >= low) & (x <= high), gradient, 0.0)
    clipped = ((gradient - passed) * values).sum() * math.log(2)
    limit = high.to(torch.float64)
    slope = 2 * penalty * limit * limit * math.log(2)
    return passed, clipped + slope.to(clipped.dtype), None, None, None, None


def _multipliers(wanted: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    nearest = Multipliers.nearest(wanted.reshape(-1), bits)
    values = Scale("channel", nearest).multiplier_values(wanted.reshape(-1)).view(wanted.shape)
    return values, torch.tensor(nearest.fraction_bits, device=wanted.device)


def _largest_unsaturated(x: Tensor, number_format: str) -> Tensor:
    return torch.tensor(choose_fraction_bits(parse_format(number_format), x, "maximum"), device=x.device)


def learned(x: Tensor, log2_step: Tensor, number_format: Format, point: Tensor, along: SummedDimension) -> Tensor:
    """`learned_step.learned` at a radix point in a tensor."""
    low, high = limits(point, number_format.name, x)
    values = rounded(x.detach(), number_format, point, along=along)
    return learned_step(x, log2_step, values, low, high, gradient_scale(x, number_format))


def gradient_scale(x: Tensor, number_format: Format) -> Tensor:
    """LSQ's 1 / sqrt(elements x largest integer), float64."""
    largest = limits(origin(), number_format.name)[1]
    return 1 / torch.sqrt(x.numel() * largest)


def origin() -> Tensor:
    """The radix point 0."""
    return torch.zeros((), dtype=torch.int64)


def _fake_multipliers(wanted: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    return wanted.new_empty(wanted.shape), wanted.new_empty((), dtype=torch.int64)


def _fake_point(x: Tensor, number_format: str) -> Tensor:
    return x.new_empty((), dtype=torch.int64)


def _first(value: Tensor, gradient_only: Tensor) -> Tensor:
    return value.clone()


def _to_both(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    return gradient, gradient


_LEARNED = "(Tensor x, Tensor log2_step, Tensor rounded, Tensor low, Tensor high, Tensor constant) -> Tensor"
learned_step = define(f"learned_step{_LEARNED}", _copy_of_rounded, _copy_of_rounded, _step_backward, _save)
learned_clip = define(f"learned_clip{_LEARNED}", _copy_of_rounded, _copy_of_rounded, _clip_backward, _save)

multipliers = define(
    "multipliers(Tensor wanted, int bits) -> (Tensor, Tensor)",
    _multipliers,
    _fake_multipliers,
)

largest_unsaturated = define(
    "largest_unsaturated(Tensor x, str number_format) -> Tensor",
    _largest_unsaturated,
    _fake_point,
)

add_gradient = define(
    "add_gradient(Tensor value, Tensor gradient_only) -> Tensor",
    _first,
    _first,
    _to_both,
)
