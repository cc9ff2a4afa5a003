"""Whether operations that come from a file are a network: each takes what the ones before it give, and holds its sums.

A file can be sealed by its digest and say nonsense all the same. What `lower` makes passes here by construction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fewbits.bitexact.layer_widths import LARGEST_SUM_BITS, accumulator_widths
from fewbits.bitexact.layers import sum_bits
from fewbits.bitexact.table_products import products_refusal
from fewbits.errors import FewbitsError, ModelError
from fewbits.formats import Format, Precision
from fewbits.formats.encoded import Encoded
from fewbits.formats.scale import check_fraction_bits
from fewbits.graph.geometry import convolution_length, pooling_length
from fewbits.graph.operations import (
    Addition,
    AveragePool,
    Concatenation,
    Convolution,
    Flatten,
    InputRounding,
    Layer,
    Linear,
    MaxPool,
    Operation,
    Pooling,
    ReLU,
    Rounding,
    layers_of,
)
from fewbits.graph.tracing import IMAGES

_LARGEST = 2**31
"""Values that one image's tensor may have, and the largest size, stride or padding: 8 GiB of float32."""

_LARGEST_POINT = 1022
"""Of a radix point, either way: 2**-1022 is float64's smallest normal number."""


@dataclass(frozen=True)
class _Values:
    """What an operation gives for one image."""

    shape: tuple[int, ...]
    number_format: Format | None
    """None for accumulators and sums."""

    fraction_bits: int
    is_known: bool = True
    """False behind an extension's operation: then only the shape is."""


_Rule = Callable[[Any, Sequence[_Values]], _Values]


def check_network(operations: Sequence[Operation], input_shape: tuple[int, ...]) -> None:
    """Raise ModelError, naming the operation, unless each follows from those before it.

    Of an operation from outside only name, inputs and size are checked, and of what takes it not the radix point.
    """
    given: dict[str, _Values] = {IMAGES: _Values(input_shape, None, 0)}
    if not layers_of(operations):
        raise ModelError("it has no layers")
    for operation in operations:
        where = f"operation {operation.name!r}"
        if operation.name in given:
            raise ModelError(f"{where} is there twice, or is called as the images are")
        if missing := [name for name in operation.inputs if name not in given]:
            raise ModelError(f"{where} takes {missing[0]!r}, which no operation before it gives")
        if not operation.inputs or not _is_shape(operation.output_shape):
            raise ModelError(f"{where} has no inputs, or no shape of at most {_LARGEST} values")
        sources = [given[name] for name in operation.inputs]
        given[operation.name] = _given(operation, sources, where)


def _given(operation: Operation, sources: list[_Values], where: str) -> _Values:
    """What an operation gives, checked."""
    rule = next((RULES[base] for base in type(operation).__mro__ if base in RULES), None)
    if rule is None:
        return _Values(operation.output_shape, None, 0, is_known=False)
    try:
        values = rule(operation, sources)
    except FewbitsError as error:
        raise ModelError(f"{where}: {error}") from None
    except (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError) as error:  # shapes that do not fit
        raise ModelError(f"{where} does not fit what it takes: {error}") from None
    if values.shape != operation.output_shape:
        raise ModelError(f"{where} gives {values.shape} and says {operation.output_shape}")
    if abs(values.fraction_bits) > _LARGEST_POINT:
        raise ModelError(f"{where} has the radix point {values.fraction_bits}, beyond {_LARGEST_POINT}")
    return values


def _is_shape(shape: tuple[int, ...]) -> bool:
    return all(0 < size <= _LARGEST for size in shape) and math.prod(shape) <= _LARGEST


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ModelError(problem)


def _rounded_images(operation: InputRounding, sources: Sequence[_Values]) -> _Values:
    (images,) = sources
    return _Values(images.shape, operation.number_format, operation.fraction_bits)


def _rounded(operation: Rounding, sources: Sequence[_Values]) -> _Values:
    (sums,) = sources
    if sums.is_known:
        _require(sums.number_format is None, "it rounds what is rounded already")
        _require(sums.fraction_bits == operation.accumulator_fraction_bits, "its radix point is not that of its sums")
    return _Values(sums.shape, operation.number_format, operation.fraction_bits)


def _linear(operation: Linear, sources: Sequence[_Values]) -> _Values:
    (vector,) = sources
    outputs, inputs = operation.weight.shape
    _require(not operation.stride and not operation.padding, "a matrix product has no window")
    _require(vector.shape == (inputs,), f"its weights take {inputs} values, not {vector.shape}")
    return _layer(operation, vector, (outputs,))


def _convolution(operation: Convolution, sources: Sequence[_Values]) -> _Values:
    (image,) = sources
    outputs, inputs, *kernel = operation.weight.shape
    groups, padding = operation.groups, operation.padding
    _require(groups > 0 and outputs % groups == 0, f"{outputs} channels are not {groups} groups")
    _require(image.shape[0] == inputs * groups, f"its weights take {inputs * groups} channels, not {image.shape}")
    _require(all(0 < each <= _LARGEST for each in (*operation.stride, *operation.dilation)), "a stride is out of range")
    _require(all(0 <= each <= _LARGEST for both in padding for each in both), "a padding is out of range")
    padded = [length + sum(both) for length, both in zip(image.shape[1:], padding, strict=True)]
    _require(_is_shape((image.shape[0], *padded)), "its padding is out of range")
    settings = zip(image.shape[1:], kernel, operation.stride, padding, operation.dilation, strict=True)
    return _layer(operation, image, (outputs, *(convolution_length(*along) for along in settings)))


def _layer(operation: Layer, source: _Values, shape: tuple[int, ...]) -> _Values:
    """Operands, weights and sums of a layer, checked."""
    _require(source.shape == operation.input_shape, "its input's shape is another than it says")
    _require(
        not source.is_known
        or (source.number_format, source.fraction_bits) == (operation.input_format, operation.input_fraction_bits),
        "its input has another format or radix point than it says",
    )
    bias, weight = operation.bias, operation.weight
    _require(bias is None or len(bias) == shape[0], "it has not one bias an output")
    _check_codes(weight)
    if Precision(weight.number_format, operation.input_format).is_float:
        _check_floats(operation)
    else:
        _check_integers(operation)
    return _Values(shape, None, operation.accumulator_fraction_bits)


def _check_codes(weight: Encoded) -> None:
    """Codes of the format, and a scale with which numbers are made of them."""
    scale = weight.scale
    _require(weight.number_format.is_signed, f"weights need a sign, which {weight.number_format.name} has not")
    _require(scale.refusal is None, f"its scale cannot be computed with: {scale.refusal}")
    _require(scale.granularity == "tensor" or scale.factors.count == len(weight), "its scale is not one of its outputs")
    for point in (scale.coarsest, scale.finest):
        check_fraction_bits(point)
    _require(int(weight.codes.max()) < 2**weight.number_format.bits, "a weight is no code of its format")


def _check_floats(operation: Layer) -> None:
    _require(bool(np.isfinite(operation.weight.numbers).all()), "a weight is NaN or infinite")
    biases = operation.bias or ()
    are_float32 = all(isinstance(each, float) and float(np.float32(each)) == each for each in biases)
    _require(are_float32, "a bias is no float32")
    _require(operation.products is None, "floats have no product tables")


def _check_integers(operation: Layer) -> None:
    dropped = operation.dropped_product_bits
    _require(all(type(each) is int for each in operation.bias or ()), "a bias is no integer")
    _require(0 <= dropped < 64, f"{dropped} bits of a product cannot be cut")
    problem = None if operation.products is None else products_refusal(operation, operation.products)
    _require(problem is None, f"it {problem}")
    needed, _ = accumulator_widths(
        operation.weight, operation.input_format, operation.bias, dropped, operation.products
    )
    _require(operation.accumulator_bits == needed, f"its sums need {needed} bits, not {operation.accumulator_bits}")
    _require(operation.worst_case_accumulator_bits >= needed, "its worst case is narrower than its sums")
    is_computed = operation.products is None or needed <= LARGEST_SUM_BITS
    _require(is_computed, f"its sums need {needed} bits, {LARGEST_SUM_BITS} are computed")


def _sum(operation: Addition, sources: Sequence[_Values]) -> _Values:
    first, second = sources
    _require(first.shape == second.shape, f"it adds {first.shape} and {second.shape}")
    if not (first.is_known and second.is_known):
        return _Values(first.shape, None, operation.accumulator_fraction_bits)
    finer = max(first.fraction_bits, second.fraction_bits)
    shifts = (finer - first.fraction_bits, finer - second.fraction_bits)
    _require(
        operation.shifts == shifts and operation.accumulator_fraction_bits == finer, "its operands' shifts are wrong"
    )
    formats = [source.number_format for source in sources if source.number_format is not None]
    _require(len(formats) == 2, "it adds what is not rounded")
    _require(operation.accumulator_bits == sum_bits(formats, shifts), "its sum's width is wrong")
    return _Values(first.shape, None, finer)


def _joined(operation: Concatenation, sources: Sequence[_Values]) -> _Values:
    first, axis = sources[0], operation.axis
    _require(0 <= axis < len(first.shape), f"there is no dimension {axis}")
    parts = {(each.shape[:axis], each.shape[axis + 1 :]) for each in sources}
    codes = {(each.number_format, each.fraction_bits) for each in sources if each.is_known}
    _require(len(parts) == 1 and len(codes) <= 1, "its parts have other shapes, formats or radix points")
    length = sum(each.shape[axis] for each in sources)
    return replace(
        next((each for each in sources if each.is_known), first),
        shape=(*first.shape[:axis], length, *first.shape[axis + 1 :]),
    )


def _pooled(operation: Pooling, sources: Sequence[_Values]) -> _Values:
    (image,) = sources
    _require(image.shape == operation.input_shape, "its input's shape is another than it says")
    sizes = (*operation.kernel, *operation.stride, *operation.dilation)
    _require(all(0 < each <= _LARGEST for each in sizes), "a window's size is out of range")
    halves = zip(operation.padding, operation.kernel, strict=True)
    _require(all(0 <= padding <= kernel // 2 for padding, kernel in halves), "its padding is wider than half a window")
    settings = zip(
        image.shape[1:], operation.kernel, operation.stride, operation.padding, operation.dilation, strict=True
    )
    lengths = [pooling_length(*along, operation.ceil_mode) for along in settings]
    reach = zip(image.shape[1:], operation.kernel, operation.dilation, strict=True)
    _require(
        all(kernel * dilation <= 2 * _LARGEST and kernel <= 2 * length + 2 for length, kernel, dilation in reach),
        "a window is larger than its image",
    )
    return replace(image, shape=(image.shape[0], *lengths))


def _averaged(operation: AveragePool, sources: Sequence[_Values]) -> _Values:
    values = _pooled(operation, sources)
    is_right = not values.is_known or operation.number_format == values.number_format
    _require(is_right, "its values' format is another than it says")
    divisor = operation.divisor_override
    _require(divisor is None or 0 < divisor <= _LARGEST, "its divisor is out of range")
    return values


def _same(operation: Operation, sources: Sequence[_Values]) -> _Values:
    (values,) = sources
    return values


def _flattened(operation: Flatten, sources: Sequence[_Values]) -> _Values:
    (values,) = sources
    _require(math.prod(values.shape) == math.prod(operation.output_shape), "it changes how many values there are")
    return replace(values, shape=operation.output_shape)


RULES: dict[type[Operation], _Rule] = {
    InputRounding: _rounded_images,
    Rounding: _rounded,
    Linear: _linear,
    Convolution: _convolution,
    Addition: _sum,
    Concatenation: _joined,
    MaxPool: _pooled,
    AveragePool: _averaged,
    ReLU: _same,
    Flatten: _flattened,
}
"""By class of operation. What is not here is an extension's, which alone knows it; a test holds that all of fewbits'
are."""
