"""Lower one quantized layer: its integers, its geometry, the width of its accumulator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fewbits.arguments import is_integer, shown
from fewbits.bitexact.accumulator import format_range, product_range, twos_complement_bits, weight_range
from fewbits.bitexact.cut_products import LARGEST_SUM_BITS
from fewbits.bitexact.wide import as_objects
from fewbits.errors import ModelError
from fewbits.formats import Format
from fewbits.graph.kinds.convolution import layer_windows
from fewbits.graph.kinds.linear import after_linear
from fewbits.graph.operations import Convolution, Layer, Linear, Operation
from fewbits.quantization import QuantizedLayer
from fewbits.quantization.layers.channels import channel_scale

LARGEST_PRODUCT_BITS = 64
"""Widest product, sign included, that is cut: an int64 holds it."""

_FLOAT_ACCUMULATOR_BITS = 32
"""Float precisions add in float32 (docs/architecture.md)."""


def lower_layer(name: str, source: Operation, quantized: QuantizedLayer, product_bits: int | None = None) -> Layer:
    """The operation of a quantized layer that takes the result of `source`.

    product_bits: see `lower`.
    Raises ModelError if it is not calibrated, holds NaN or infinity, or mixes a float format with an integer one;
    DataError if its input does not fit.
    """
    _check(name, quantized)
    layer = quantized.layer
    moves = _moves(quantized)
    weight = _weights(quantized, moves)
    dropped = 0 if product_bits is None else _dropped_bits(name, quantized, product_bits)
    bias = None if layer.bias is None else _biases(layer.bias, quantized, moves, dropped)
    accumulator_bits, worst_case_bits = _widths(quantized, weight, bias, max(moves or (0,)), dropped)
    if dropped and accumulator_bits > LARGEST_SUM_BITS:
        raise ModelError(
            f"layer {name!r}: sums of cut products need {accumulator_bits} bits, {LARGEST_SUM_BITS} are computed; "
            "give fewer product_bits"
        )
    settings: dict[str, Any] = {
        "name": name,
        "inputs": (source.name,),
        "input_shape": source.output_shape,
        "weight": weight,
        "bias": bias,
        "weight_format": quantized.weight_format,
        "input_format": quantized.input_format,
        "weight_fraction_bits": quantized.weight_fraction_bits + max(moves or (0,)),
        "input_fraction_bits": quantized.input_fraction_bits,
        "output_shifts": moves,
        "accumulator_bits": accumulator_bits,
        "worst_case_accumulator_bits": worst_case_bits,
        "scale_bits": quantized.scale_bits,
        "dropped_product_bits": dropped,
    }
    if isinstance(layer, nn.Linear):
        return _linear(settings, source.output_shape, layer)
    return _convolution(settings, source.output_shape, layer)


def sum_bits(formats: Sequence[Format], shifts: Sequence[int]) -> int:
    """Width of the sum of one value of each format, moved left by its shift; that of float32 for floats.

    Raises ModelError if a float format meets an integer one.
    """
    if len({number_format.family == "float" for number_format in formats}) > 1:
        names = " and ".join(number_format.name for number_format in formats)
        raise ModelError(f"values of {names} cannot be added: give their layers integer formats alone, or floats alone")
    if formats[0].family == "float":
        return _FLOAT_ACCUMULATOR_BITS
    limits = [number_format.integer_limits for number_format in formats]
    low = sum(low << shift for (low, _), shift in zip(limits, shifts, strict=True))
    return twos_complement_bits(low, sum(high << shift for (_, high), shift in zip(limits, shifts, strict=True)))


def _check(name: str, quantized: QuantizedLayer) -> None:
    if not quantized.is_calibrated:
        raise ModelError(f"layer {name!r} has no radix points yet: call fewbits.calibrate(model, images) first")
    for kind, values in (("weight", quantized.layer.weight), ("bias", quantized.layer.bias)):
        if values is not None and not torch.isfinite(values).all():  # pyright: ignore[reportUnnecessaryComparison]
            raise ModelError(f"layer {name!r}: a {kind} is NaN or infinite; train the model anew")
    weights, inputs = quantized.weight_format, quantized.input_format
    if (weights.family == "float") != (inputs.family == "float"):
        raise ModelError(
            f"layer {name!r}: weights {weights.name} with inputs {inputs.name} cannot be lowered; "
            "two integer formats go together, or two float formats"
        )


def _moves(quantized: QuantizedLayer) -> tuple[int, ...] | None:
    """Places from each output's radix point to the finest of them; None with one radix point for all."""
    if quantized.channel_shifts is None:
        return None
    shifts: list[int] = quantized.channel_shifts.tolist()
    return tuple(max(shifts) - shift for shift in shifts)


def _weights(quantized: QuantizedLayer, moves: tuple[int, ...] | None) -> NDArray[Any]:
    """The weights' integers in the smallest dtype for their format; float32 for a float format."""
    number_format, fraction_bits = quantized.weight_format, quantized.weight_fraction_bits
    values = quantized.layer.weight.detach().cpu()
    if number_format.family == "float":
        numbers = number_format.quantize(values, fraction_bits).double() * 2.0**fraction_bits
        weight: NDArray[Any] = numbers.to(torch.float32).numpy()
    else:
        if quantized.channel_shifts is not None:
            values = values.double() * channel_scale(quantized.channel_shifts.cpu(), values.double())
        weight = integers_of_codes(number_format.encode(values, fraction_bits), number_format)
        if moves is not None:
            weight = _moved_left(weight, moves, max(number_format.integer_limits))
    weight.setflags(write=False)
    return weight


def _moved_left(weight: NDArray[Any], moves: tuple[int, ...], widest: int) -> NDArray[Any]:
    """Each output's integers moved left, in the smallest dtype that holds all of the format's so moved."""
    factors = np.array([1 << move for move in moves], dtype=object).reshape(-1, *(1,) * (weight.ndim - 1))
    moved = weight.astype(object) * factors
    return _narrowed(moved, widest << max(moves))


def _narrowed(integers: NDArray[Any], widest: int) -> NDArray[Any]:
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        if widest <= np.iinfo(dtype).max:
            return integers.astype(dtype)
    return integers


def integers_of_codes(codes: Tensor, number_format: Format) -> NDArray[Any]:
    """The integers that codes stand for, in the smallest dtype that holds all of the format's; Python's if none does.

    codes: int64, any shape, of an integer format.
    """
    widest = max(number_format.integer_limits)
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        if widest <= np.iinfo(dtype).max:
            return number_format.to_integers(codes).numpy().astype(dtype)
    # Only pow2-8 is wider: its powers are exact in float64.
    return as_objects(number_format.decode(codes).numpy())


def _dropped_bits(name: str, quantized: QuantizedLayer, product_bits: int) -> int:
    """Bits that are cut off a product of that width. Raises ModelError where products cannot be cut so."""
    weights, inputs = quantized.weight_format, quantized.input_format
    if weights.family == "float" or (weights.family, inputs.family) == ("binary", "binary"):
        raise ModelError(f"layer {name!r}: products of {weights.name} and {inputs.name} cannot be cut to product_bits")
    if quantized.channel_shifts is not None or quantized.scale_bits:
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


def _biases(
    bias: Tensor, quantized: QuantizedLayer, moves: tuple[int, ...] | None, dropped: int
) -> tuple[int, ...] | tuple[float, ...]:
    """The bias at the accumulator's radix point: integers rounded half to even, or float32 values."""
    scale = Fraction(2) ** (quantized.accumulator_fraction_bits - dropped)
    values: list[float] = bias.detach().double().cpu().tolist()
    if quantized.input_format.family == "float":
        return tuple(float(np.float32(float(Fraction(value) * scale))) for value in values)
    if moves is None:
        return tuple(round(Fraction(value) * scale) for value in values)
    finest = max(moves)  # of the coarsest output, whose shift is 0
    rounded = (round(Fraction(value) * scale * 2 ** (finest - move)) for value, move in zip(values, moves, strict=True))
    return tuple(number << move for number, move in zip(rounded, moves, strict=True))


def _widths(quantized: QuantizedLayer, weight: NDArray[Any], bias: Any, moved: int, dropped: int) -> tuple[int, int]:
    """Accumulator bits with these weights, and with any weights of the format."""
    if quantized.input_format.family == "float":
        return _FLOAT_ACCUMULATOR_BITS, _FLOAT_ACCUMULATOR_BITS
    inputs = quantized.input_format.integer_limits
    synapses = math.prod(weight.shape[1:])
    low, high = quantized.weight_format.integer_limits
    return (
        twos_complement_bits(*weight_range(weight, inputs, bias, dropped)),
        twos_complement_bits(*format_range((low << moved, high << moved), inputs, synapses, bias, dropped)),
    )


def _linear(settings: dict[str, Any], shape: tuple[int, ...], layer: nn.Linear) -> Linear:
    return Linear(**settings, output_shape=after_linear(settings["name"], layer, shape))


def _convolution(settings: dict[str, Any], shape: tuple[int, ...], layer: nn.Conv1d | nn.Conv2d) -> Convolution:
    windows = layer_windows(settings["name"], layer, shape)
    return Convolution(
        **settings,
        output_shape=(layer.out_channels, *windows.positions),
        stride=windows.stride,
        padding=windows.padding,
        dilation=windows.dilation,
        groups=layer.groups,
    )
