"""torch operators that round: what `torch.compile`, `torch.export`, `torch.jit.trace` and `torch.func` see of fewbits.

An eager step calls the kernels directly, since an operator costs tens of microseconds a call. Where torch captures or
transforms a network (`capture.py`), its layers call these operators instead: whole, with gradients, and with the
radix point as a tensor, so that calibrating anew changes a buffer of the captured program and not the program.

    fewbits::round          nearest values, with the straight-through gradient; the same bits as `Format.quantize`
    fewbits::round_blocks   the same of a block format, along a dimension
    fewbits::round_bias     half to even at an accumulator's radix point, with the identity as gradient
    fewbits::limits         lowest and highest value of a format at a radix point: float64, 2 elements

`fraction_bits` is an int64 tensor without dimensions; `channel_shifts` how many places finer each output's radix point
is (int64, one dimension), or None. Each operator has a kernel for all devices, a fake kernel and an autograd formula.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from fewbits.errors import FormatError
from fewbits.formats.capture import is_transformed
from fewbits.formats.format import Format, exact_power
from fewbits.formats.kernels import quantize_scaled
from fewbits.formats.registry import parse_format
from fewbits.formats.scale import Scale, SummedDimension, check_fraction_bits

LIBRARY = torch.library.Library("fewbits", "DEF")
"""What `torch.ops.fewbits` holds; kept alive with this module."""

Saved = tuple[Tensor | None, ...]


def define(
    schema: str,
    kernel: Callable[..., Any],
    fake: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    save: Callable[..., Saved] | None = None,
    jvp: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Register one operator: its kernel, what it gives for fake tensors, its gradient where it has one; its function.

    save: from context and inputs to the tensors that `backward` and `jvp` (forward-mode differentiation) find in
    `ctx.saved_tensors`. torch.func does not transform an operator's own gradient, so there the function that is
    returned goes by a `torch.autograd.Function` with the same parts. vmap calls the operator for each entry.
    """
    name = schema.partition("(")[0]
    LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    LIBRARY.impl(name, kernel, "CompositeExplicitAutograd")
    operator = getattr(torch.ops.fewbits, name)
    torch.library.register_fake(f"fewbits::{name}", fake, lib=LIBRARY)
    torch.library.register_vmap(f"fewbits::{name}", partial(_one_by_one, operator), lib=LIBRARY)
    gradient: Any = backward or _no_gradient

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.count = len(inputs)
        if save is not None:
            ctx.save_for_backward(*save(ctx, inputs))

    torch.library.register_autograd(f"fewbits::{name}", gradient, setup_context=setup_context, lib=LIBRARY)

    def setup_forward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        setup_context(ctx, inputs, output)
        if save is not None:
            ctx.save_for_forward(*save(ctx, inputs))

    parts = {"forward": operator, "setup_context": setup_forward, "backward": gradient, "jvp": jvp}
    members = {key: staticmethod(part) for key, part in parts.items() if part is not None}
    function: Any = type(name, (torch.autograd.Function,), {**members, "generate_vmap_rule": True})

    def call(*arguments: Any) -> Any:
        if not torch.compiler.is_compiling() and is_transformed():
            return function.apply(*arguments)
        return operator(*arguments)

    return call


def like_first(first: Tensor, *_: Any) -> Tensor:
    """What an operator gives for fake tensors, where its result is as its first tensor is."""
    return torch.empty_like(first)


def _no_gradient(ctx: Any, *gradients: Any) -> tuple[None, ...]:
    return (None,) * ctx.count


def _one_by_one(operator: Any, info: Any, dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
    """Under vmap: the operator on each entry of the batch."""
    results = [
        operator(*(each if dim is None else each.select(dim, index) for each, dim in zip(arguments, dims, strict=True)))
        for index in range(info.batch_size)
    ]
    if isinstance(results[0], Tensor):
        return torch.stack(results), 0
    return tuple(map(torch.stack, zip(*results, strict=True))), (0,) * len(results[0])


@lru_cache(maxsize=1024)
def _format(name: str) -> Format:
    return parse_format(name)


def _point(fraction_bits: Tensor) -> int:
    """The radix point in a tensor. Raises FormatError for what a layer holds before calibration."""
    point = int(fraction_bits.item())
    if abs(point) > 512:
        raise FormatError(f"a radix point lies from -512 to 512, not at {point}: call fewbits.calibrate(model, images)")
    return point


def _scale(fraction_bits: Tensor, channel_shifts: Tensor | None) -> Scale:
    point = _point(fraction_bits)
    if channel_shifts is None:
        return Scale.power_of_two(point)
    return Scale.of_channels(tuple(point + shift for shift in channel_shifts.tolist()))


def _round(
    x: Tensor, fraction_bits: Tensor, channel_shifts: Tensor | None, number_format: str, rectified: bool
) -> Tensor:
    scale = _scale(fraction_bits, channel_shifts)
    return quantize_scaled(_format(number_format), x.detach(), scale, torch.empty_like(x), rectified)


def quantize_captured(
    number_format: Format, x: Tensor, scale: Scale | int, out: Tensor | None, rectified: bool
) -> Tensor:
    """What `Format.quantize` documents, of a tensor that `is_captured`: by operators, so that no gradient flows."""
    if isinstance(scale, Scale) and scale.multiplies:
        factors = scale.multiplier_values(x)
        result = quantize_captured(number_format, x / factors, 0, None, rectified) * factors
    else:
        shifts = scale.shifts if isinstance(scale, Scale) else None
        point = scale.coarsest if isinstance(scale, Scale) else check_fraction_bits(scale)
        places = None if shifts is None else torch.tensor(shifts)
        result = round_tensor(x.detach(), torch.tensor(point), places, number_format.name, rectified)
    return result.detach() if out is None else out.copy_(result)


def _save_round(ctx: Any, inputs: tuple[Any, ...]) -> Saved:
    x, fraction_bits, channel_shifts, ctx.number_format, ctx.rectified = inputs
    return x, fraction_bits, channel_shifts


def _inside(ctx: Any, gradient: Tensor) -> Tensor:
    """The gradient where nothing saturated, zero elsewhere; behind a ReLU none where its input was not above zero."""
    x, fraction_bits, channel_shifts = ctx.saved_tensors
    low, high = limits(fraction_bits, ctx.number_format, x)
    aligned = x if channel_shifts is None else x * channel_powers(channel_shifts, x)
    above = aligned > 0 if ctx.rectified else aligned >= low
    return torch.where(above & (aligned <= high), gradient, 0.0)


def round_to_accumulator(bias: Tensor, accumulator_point: int, scale: Scale | None, out: Tensor | None) -> Tensor:
    """Round half to even at an accumulator's radix point; exact, as scaling by a power of two is.

    scale: of the weights, where each output has a radix point of its own.
    """
    unit = 2.0**-accumulator_point
    if scale is not None:
        units = unit / scale.shift_factors(bias)
        return torch.div(bias, units, out=out).round_().mul_(units)
    return torch.mul(bias, 1 / unit, out=out).round_().mul_(unit)


def _round_bias(bias: Tensor, fraction_bits: Tensor, channel_shifts: Tensor | None) -> Tensor:
    scale = None if channel_shifts is None else _scale(torch.zeros_like(fraction_bits), channel_shifts)
    return round_to_accumulator(bias.detach(), _accumulator_point(fraction_bits), scale, torch.empty_like(bias))


def _accumulator_point(fraction_bits: Tensor) -> int:
    """The sum of two radix points."""
    point = int(fraction_bits.item())
    if abs(point) > 1024:
        raise FormatError(f"an accumulator's radix point is not {point}: call fewbits.calibrate(model, images)")
    return point


def _limits(fraction_bits: Tensor, number_format: str) -> Tensor:
    limits = _format(number_format).limits(_point(fraction_bits))
    return torch.tensor(limits, dtype=torch.float64, device=fraction_bits.device)


def channel_powers(shifts: Tensor, like: Tensor) -> Tensor:
    """2**shift of each output, exactly, in a tensor's dtype and in a shape that broadcasts with it."""
    return exact_power(shifts).to(like).view(-1, *(1,) * (like.ndim - 1))


def _fake_limits(fraction_bits: Tensor, number_format: str) -> Tensor:
    return fraction_bits.new_empty((2,), dtype=torch.float64)


def _round_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return _inside(ctx, gradient), None, None, None, None


def _round_slope(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
    return _inside(ctx, tangent)


def _round_blocks(
    x: Tensor, fraction_bits: Tensor, number_format: str, rectified: bool, dim: int, groups: int
) -> Tensor:
    along = SummedDimension(dim, groups)
    out = torch.empty_like(x)
    return _format(number_format).quantize(x.detach(), _point(fraction_bits), out=out, rectified=rectified, along=along)


def quantize_blocks_captured(
    number_format: Format,
    x: Tensor,
    scale: Scale | int | None,
    out: Tensor | None,
    rectified: bool,
    along: SummedDimension,
) -> Tensor:
    """What a block format's `quantize` documents, of a tensor that `is_captured`. Raises FormatError for given scales.

    The tensor's factor must be given where the format has one: that of a captured tensor is not known.
    """
    if isinstance(scale, Scale) or (scale is None and number_format.needs_radix_point):
        raise FormatError(
            f"{number_format.name} of a tensor that torch captures takes a radix point as the tensor's factor: give "
            "quantize its fraction_bits"
        )
    point = torch.tensor(scale or 0)
    result = round_blocks(x.detach(), point, number_format.name, rectified, along.dim, along.groups).detach()
    return result if out is None else out.copy_(result)


def _save_blocks(ctx: Any, inputs: tuple[Any, ...]) -> Saved:
    x, fraction_bits, ctx.number_format, ctx.rectified, _, _ = inputs
    return x, fraction_bits, None


def _blocks_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return _inside(ctx, gradient), None, None, None, None, None


def _blocks_slope(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
    return _inside(ctx, tangent)


def _bias_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return gradient, None, None


def _bias_slope(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
    return tangent.clone()


round_tensor = define(
    "round(Tensor x, Tensor fraction_bits, Tensor? channel_shifts, str number_format, bool rectified) -> Tensor",
    _round,
    like_first,
    _round_backward,
    _save_round,
    _round_slope,
)
"""`fewbits::round`."""

round_blocks = define(
    "round_blocks(Tensor x, Tensor fraction_bits, str number_format, bool rectified, int dim, int groups) -> Tensor",
    _round_blocks,
    like_first,
    _blocks_backward,
    _save_blocks,
    _blocks_slope,
)
"""`fewbits::round_blocks`."""

round_bias = define(
    "round_bias(Tensor bias, Tensor fraction_bits, Tensor? channel_shifts) -> Tensor",
    _round_bias,
    like_first,
    _bias_backward,
    jvp=_bias_slope,
)
"""`fewbits::round_bias`."""

_limits_of = define(
    "limits(Tensor fraction_bits, str number_format) -> Tensor",
    _limits,
    _fake_limits,
)


def limits(fraction_bits: Tensor, number_format: str, like: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`Format.limits` at a radix point in a tensor: two tensors without dimensions.

    like: gives dtype and device; None: float64, on the radix point's device.
    """
    ends = _limits_of(fraction_bits, number_format)
    low, high = (ends if like is None else ends.to(like)).unbind()
    return low, high
