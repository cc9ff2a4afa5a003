"""Quantizing tensors to block formats: one fused pass over float32 on the CPU, plain torch in float64 elsewhere."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from fewbits.errors import FormatError
from fewbits.formats.block_layout import from_blocks, to_blocks
from fewbits.formats.blocks import BlockFormat
from fewbits.formats.encoded import Encoded
from fewbits.formats.format import Format, checked_factors
from fewbits.formats.kernels import refuse_nan, refuse_unfit
from fewbits.formats.scale import Block, BlockCodes, Scale, SummedDimension


class _Chosen(NamedTuple):
    """Scales that were chosen for the blocks of a tensor."""

    codes: Tensor
    """int64, one a block."""

    factors: Tensor
    """What an element is multiplied by, float64, one a block."""

    fraction_bits: int
    factor: float


def quantize_blocks(
    number_format: BlockFormat,
    x: Tensor,
    scale: Scale | int | None,
    out: Tensor | None,
    rectified: bool,
    along: SummedDimension,
) -> Tensor:
    """What `BlockFormat.quantize` documents, of a scale that is the format's own."""
    refuse_unfit(x, out)
    if not isinstance(scale, Scale):
        from fewbits.formats.block_kernels import quantize_fused

        fused = quantize_fused(number_format, x.detach(), scale, out, rectified, along)
        if fused is not None:
            return fused
    result = reference(number_format, x, scale, rectified, along)
    return result if out is None else out.copy_(result)


def reference(
    number_format: BlockFormat, x: Tensor, scale: Scale | int | None, rectified: bool, along: SummedDimension
) -> Tensor:
    """The same by plain torch operations in float64: any device and dtype, and what the fused pass must equal.

    Exact for float32 and narrower tensors: quotients of their numbers and a scale are told from ties in float64.
    """
    source = x.detach().clamp_min(0.0) + 0.0 if rectified else x  # without zeros of the other sign
    if isinstance(scale, Scale):
        numbers, factors = element_numbers(number_format, source, scale), scale.block_values(x)
        return _carried(number_format.element, numbers, factors, x.dtype)
    blocks = to_blocks(_finite(number_format, source), number_format.size, along)
    factors = _choose(number_format, blocks, scale).factors.unsqueeze(-1)
    values = _carried(number_format.element, _rounded(number_format, blocks / factors), factors, x.dtype)
    return from_blocks(values, tuple(x.shape), along)


def encode_blocks(number_format: BlockFormat, x: Tensor, scale: Scale | int | None, along: SummedDimension) -> Encoded:
    """What `BlockFormat.encoded` documents. Raises FormatError for a tensor without elements, or groups."""
    refuse_unfit(x, None)
    element = number_format.element
    if isinstance(scale, Scale):
        return Encoded(element.code_numbers(element_numbers(number_format, x, scale)).numpy(), element, scale)
    if not x.numel() or along.groups > 1:
        raise FormatError(f"codes of {number_format.name} are of a tensor with elements, whose sums are of one group")
    blocks = to_blocks(_finite(number_format, x), number_format.size, along)
    chosen = _choose(number_format, blocks, scale)
    numbers = _rounded(number_format, blocks / chosen.factors.unsqueeze(-1))
    codes = from_blocks(element.code_numbers(numbers), tuple(x.shape), along)
    factors = BlockCodes(
        bytes(chosen.codes.reshape(-1).tolist()), number_format.scales.name, chosen.fraction_bits, chosen.factor
    )
    return Encoded(codes.numpy(), element, Scale(Block(number_format.size, along.dim), factors))


def element_numbers(number_format: BlockFormat, x: Tensor, scale: Scale) -> Tensor:
    """The elements (float64, at fraction_bits 0) nearest to a tensor under given scales of its blocks."""
    return _rounded(number_format, _finite(number_format, x) / checked_factors(scale, x))


def _finite(number_format: BlockFormat, x: Tensor) -> Tensor:
    """A tensor in float64, infinity as the largest number of its dtype. Raises FormatError for NaN."""
    exact = x.detach().to(torch.float64)
    refuse_nan(number_format, exact)
    top = torch.finfo(x.dtype).max
    return exact.clamp(-top, top)


def _choose(number_format: BlockFormat, blocks: Tensor, fraction_bits: int | None) -> _Chosen:
    """Scales of blocks (last dimension) by the format's rule. fraction_bits: the tensor's factor; None chooses it."""
    scales, rule = number_format.scales, number_format.rule
    shape = number_format.element_largest, number_format.significand_bits
    amax = blocks.abs().amax(-1) if blocks.numel() else blocks.new_zeros(blocks.shape[:-1])
    point, factor = scales.factor(amax, *shape, rule) if fraction_bits is None else (fraction_bits, 1.0)
    codes = scales.choose(amax, 2.0**-point * factor, *shape, rule)
    point += number_format.element_point
    return _Chosen(codes, scales.decode(codes).mul_(2.0**-point * factor), point, factor)


def _rounded(number_format: BlockFormat, x: Tensor) -> Tensor:
    element = number_format.element
    lowest = -float(element.largest) if number_format.symmetric else None
    return element.reference_quantize(x, float(element.largest), lowest)


def _carried(element: Format, numbers: Tensor, factors: Tensor, dtype: torch.dtype) -> Tensor:
    """Elements times factors in a dtype; what it cannot carry is the largest value under that factor that it can."""
    values = numbers * factors
    beyond = values.abs() > torch.finfo(dtype).max
    if bool(beyond.any()):
        wide = factors.expand_as(values)
        for factor in wide[beyond].unique().tolist():
            largest = _largest_carried(element, factor, dtype)
            values = torch.where(beyond & (wide == factor), torch.copysign(values.new_tensor(largest), values), values)
    return values.to(dtype)


@lru_cache(maxsize=256)
def _largest_carried(element: Format, factor: float, dtype: torch.dtype) -> float:
    """The highest element times a factor that a dtype carries."""
    info = torch.finfo(dtype)
    bound = Fraction(info.max) / Fraction(factor)
    significant_bits = 2 - math.frexp(info.eps)[1]  # eps is 2**(1 - significant bits), frexp's mantissa 0.5
    return float(element.carried(min(element.largest, bound), significant_bits, Fraction(0)) * Fraction(factor))
