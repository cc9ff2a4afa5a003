"""Lower one quantized layer: its integers and the width of its accumulator."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewbits.arguments import is_integer, shown
from fewbits.bitexact.accumulator import product_range, twos_complement_bits
from fewbits.bitexact.layer_widths import FLOAT_ACCUMULATOR_BITS, LARGEST_SUM_BITS, accumulator_widths
from fewbits.errors import ModelError
from fewbits.formats import Format, Precision
from fewbits.graph.operations import Operation
from fewbits.quantization import QuantizedLayer

LARGEST_PRODUCT_BITS = 64
"""Widest product, sign included, that is cut: an int64 holds it."""


def layer_settings(
    name: str, source: Operation, quantized: QuantizedLayer, product_bits: int | None = None
) -> dict[str, Any]:
    """What a layer's operation holds but its geometry, by field: its kind makes the operation of these.

    source: what gives its input. product_bits: see `lower`.
    Raises ModelError if it is not calibrated, holds NaN or infinity, or mixes a float format with an integer one.
    """
    _check(name, quantized)
    layer = quantized.layer
    weight = quantized.encoded_weight()
    dropped = 0 if product_bits is None else _dropped_bits(name, quantized, product_bits)
    bias = None if layer.bias is None else _biases(layer.bias, quantized, dropped)
    accumulator_bits, worst_case_bits = accumulator_widths(weight, quantized.input_format, bias, dropped)
    if dropped and accumulator_bits > LARGEST_SUM_BITS:
        raise ModelError(
            f"layer {name!r}: sums of truncated products need {accumulator_bits} bits, {LARGEST_SUM_BITS} are "
            "computed; give fewer product_bits"
        )
    return {
        "name": name,
        "inputs": (source.name,),
        "input_shape": source.output_shape,
        "weight": weight,
        "bias": bias,
        "input_format": quantized.input_format,
        "input_fraction_bits": quantized.input_fraction_bits,
        "accumulator_bits": accumulator_bits,
        "worst_case_accumulator_bits": worst_case_bits,
        "dropped_product_bits": dropped,
    }


def sum_bits(formats: Sequence[Format], shifts: Sequence[int]) -> int:
    """Width of the sum of one value of each format, moved left by its shift; that of float32 for floats.

    Raises ModelError if a float format meets an integer one.
    """
    if len({number_format.arithmetic for number_format in formats}) > 1:
        names = " and ".join(number_format.name for number_format in formats)
        raise ModelError(f"values of {names} cannot be added: give their layers integer formats alone, or floats alone")
    if formats[0].arithmetic == "float32":
        return FLOAT_ACCUMULATOR_BITS
    limits = [number_format.integer_limits for number_format in formats]
    low = sum(low << shift for (low, _), shift in zip(limits, shifts, strict=True))
    return twos_complement_bits(low, sum(high << shift for (_, high), shift in zip(limits, shifts, strict=True)))


def _check(name: str, quantized: QuantizedLayer) -> None:
    if not quantized.is_calibrated:
        raise ModelError(f"layer {name!r} has no radix points yet: call fewbits.calibrate(model, images) first")
    for kind, values in (("weight", quantized.layer.weight), ("bias", quantized.layer.bias)):
        if values is not None and not torch.isfinite(values).all():  # pyright: ignore[reportUnnecessaryComparison]
            raise ModelError(f"layer {name!r}: a {kind} is NaN or infinite; train the model anew")
    precision = Precision(quantized.weight_format, quantized.input_format)
    if precision.refusal is not None:
        weights, inputs = precision.weights.name, precision.inputs.name
        raise ModelError(
            f"layer {name!r}: weights {weights} with inputs {inputs} cannot be lowered; {precision.refusal}"
        )


def _dropped_bits(name: str, quantized: QuantizedLayer, product_bits: int) -> int:
    """Bits that are cut off a product of that width. Raises ModelError where products cannot be cut so."""
    weights, inputs, scale = quantized.weight_format, quantized.input_format, quantized.weight_scale
    precision = Precision(weights, inputs)
    if precision.arithmetic != "integer" or precision.multiplies_signs:
        raise ModelError(f"layer {name!r}: products of {weights.name} and {inputs.name} cannot be cut to product_bits")
    if scale.shifts is not None or scale.multiplier_bits:
        raise ModelError(
            f"layer {name!r}: products are not cut where outputs have scales of their own: no product_bits"
        )
    whole = twos_complement_bits(*product_range(weights.integer_limits, inputs.integer_limits))
    if whole > LARGEST_PRODUCT_BITS:
        raise ModelError(
            f"layer {name!r}: products of {weights.name} and {inputs.name} have {whole} bits, at most "
            f"{LARGEST_PRODUCT_BITS} can be cut; leave product_bits out"
        )
    if not is_integer(product_bits, 2, whole):
        raise ModelError(
            f"layer {name!r}: product_bits must be from 2 to {whole}, the whole product, not {shown(product_bits)}"
        )
    return whole - product_bits


def _biases(bias: Tensor, quantized: QuantizedLayer, dropped: int) -> tuple[int, ...] | tuple[float, ...]:
    """The bias at the accumulator's radix point: integers rounded half to even, or float32 values."""
    moves = quantized.weight_scale.moves
    scale = Fraction(2) ** (quantized.accumulator_fraction_bits - dropped)
    values: list[float] = bias.detach().double().cpu().tolist()
    if quantized.input_format.arithmetic == "float32":
        return tuple(float(np.float32(float(Fraction(value) * scale))) for value in values)
    if moves is None:
        return tuple(round(Fraction(value) * scale) for value in values)
    finest = max(moves)  # of the coarsest output, whose shift is 0
    rounded = (round(Fraction(value) * scale * 2 ** (finest - move)) for value, move in zip(values, moves, strict=True))
    return tuple(number << move for number, move in zip(rounded, moves, strict=True))
