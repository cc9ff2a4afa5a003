"""The operations of a bit-exact network: frozen, each with its name, its inputs' names and its output shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import ModelError
from fewbits.formats import Format
from fewbits.formats.encoded import Encoded
from fewbits.formats.format import Arithmetic
from fewbits.formats.product_table import LayerProducts
from fewbits.graph.geometry import average_divisors, pooling_windows

ObjectArray = NDArray[Any]
"""Python integers, for what is wider than 64 bits."""

ValueRange = tuple[float, float]
"""Smallest and largest of the integers that an operation gives; infinite where it does not say."""

UNBOUNDED: ValueRange = (-math.inf, math.inf)


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """One step of the network; compared by identity."""

    name: str
    """Unique in the network: the module's name in the model, or that of the traced call."""

    inputs: tuple[str, ...]
    """Names of the operations whose results it takes; `images` is what the network is given."""

    output_shape: tuple[int, ...]
    """Shape of the result, without the batch."""

    makes_sums: ClassVar[bool] = False
    """Whether the result is accumulators, exact sums that are rounded behind it or are the logits."""

    joins: ClassVar[bool] = False
    """Whether it puts tensors one after another, which is addressing and no arithmetic."""

    keeps_values: ClassVar[bool] = False
    """Whether the result is the input's values in the input's order, perhaps in other dimensions."""

    @property
    def result_fraction_bits(self) -> int | None:
        """The radix point that it gives its result; None where that is the inputs' own."""
        return None

    @property
    def result_arithmetic(self) -> Arithmetic | None:
        """What its result's numbers are, integers or floats; None where that is the inputs' own."""
        return None

    @property
    def uncounted(self) -> str | None:
        """What of it no figure of a cost holds, as a sentence that names it; None if nothing is left out."""
        return None

    @property
    def result_divisor(self) -> int:
        """What the integers of the result are to be divided by, as they stand for quotients that nothing rounds."""
        return 1

    @property
    def added_results(self) -> int:
        """How many accumulators each number of the result is the sum of, where nothing rounds it."""
        return 1

    def value_range(self, sources: Sequence[ValueRange]) -> ValueRange:
        """Range of the result's integers, from those of its inputs: of an integer network alone.

        A narrower one than the format's lets the layer behind it take faster arithmetic; none is always right.
        """
        del sources
        return UNBOUNDED


@dataclass(frozen=True, eq=False, kw_only=True)
class InputRounding(Operation):
    """Images to values of the first layer's input format."""

    number_format: Format
    fraction_bits: int
    """Radix point of the result."""

    @property
    def result_fraction_bits(self) -> int:
        """See `Operation`."""
        return self.fraction_bits

    @property
    def result_arithmetic(self) -> Arithmetic | None:
        """See `Operation`."""
        return self.number_format.arithmetic

    def value_range(self, sources: Sequence[ValueRange]) -> ValueRange:
        """That of the format."""
        del sources
        return self.number_format.integer_limits


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer(Operation):
    """Products of weights and inputs, whole or cut, summed without overflow; the result is the accumulator.

    Each output takes a window of each channel of its group; a matrix product is one of no dimensions, whose channels
    are the inputs.
    """

    makes_sums: ClassVar[bool] = True

    input_shape: tuple[int, ...]
    """Shape of the input, without the batch."""

    stride: tuple[int, ...] = ()
    """Along each dimension that the window moves in."""

    padding: tuple[tuple[int, int], ...] = ()
    """Elements before and after, for each of those dimensions."""

    dilation: tuple[int, ...] = ()
    groups: int = 1

    weight: Encoded
    """Codes, format and scale of the weights: outputs, then the synapses' dimensions. Its `integers` are what is
    multiplied, in a float precision its `numbers`."""

    bias: tuple[int, ...] | tuple[float, ...] | None
    """Bias integers (floats that are float32 values) at the accumulator's radix point; None without bias."""

    input_format: Format
    input_fraction_bits: int

    accumulator_bits: int
    """Smallest two's complement width that no sum leaves, in any order of summation and for any input code, with these
    weights and this bias; 32 in a float precision."""

    worst_case_accumulator_bits: int
    """The same for any weights of the weight format: from the two formats, the synapses' number and the bias (which
    has no format of its own, so that its value is taken); 32 in a float precision."""

    dropped_product_bits: int = 0
    """Bits that are cut off each product: it is floor(weight * input / 2**dropped_product_bits)."""

    products: LayerProducts | None = None
    """What the products are, where they are not exact: tables by the codes of weights and inputs."""

    @cached_property
    def tables(self) -> LayerProducts | None:
        """`products`, unless exact products give the same: where all that are left out are of weights that are zero."""
        made = self.products
        return None if made is None or made.leaves_out(self.weight.codes) else made

    @property
    def weight_format(self) -> Format:
        """Format of the weights."""
        return self.weight.number_format

    @property
    def weight_fraction_bits(self) -> int:
        """Radix point of the weights' numbers: with one an output, the finest of them."""
        return self.weight.fraction_bits

    @property
    def output_shifts(self) -> tuple[int, ...] | None:
        """Places by which each output's weights and bias move left, to the finest radix point; None with one for all.

        The hardware adds the unmoved ones and rounds each output by so much less of a shift: the same codes.
        """
        return self.weight.scale.moves

    @property
    def scale_bits(self) -> int:
        """Width of the factor that the hardware multiplies a sum by, and the weights' integers hold; 0 without one."""
        return self.weight.scale.multiplier_bits

    @property
    def accumulator_fraction_bits(self) -> int:
        """Radix point of the products, the accumulator and the bias."""
        return self.weight_fraction_bits + self.input_fraction_bits - self.dropped_product_bits

    @property
    def result_fraction_bits(self) -> int:
        """See `Operation`."""
        return self.accumulator_fraction_bits

    @property
    def result_arithmetic(self) -> Arithmetic | None:
        """See `Operation`."""
        return self.input_format.arithmetic

    @property
    def padding_value(self) -> int:
        """The number of the input format that a padded element is: the one that zero is rounded to, 1 in `binary`."""
        return self.input_format.rounded_zero

    @property
    def dimensions(self) -> int:
        """In how many dimensions its window moves; none in a matrix product."""
        return len(self.stride)

    @property
    def synapses(self) -> int:
        """Products that are summed for one output."""
        return int(np.prod(self.weight.shape[1:]))


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(Layer):
    """A convolution over one or two dimensions; shapes are channels, then length or height and width."""

    stride: tuple[int, ...] = field()
    padding: tuple[tuple[int, int], ...] = field()
    dilation: tuple[int, ...] = field()
    groups: int = field()


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear(Layer):
    """A matrix product: one vector to another."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Addition(Operation):
    """The exact sum of two tensors of codes: both moved left to the finer of their radix points, then added.

    Floats: scaled by 2**shift, then added in float32, to nearest, subnormal operands and results replaced by zeros of
    their sign.
    """

    makes_sums: ClassVar[bool] = True

    shifts: tuple[int, int]
    """Places by which each operand's integers move left; 0 for the one with the finer radix point, or for both."""

    accumulator_fraction_bits: int
    """Radix point of the sum: the finer of the two."""

    accumulator_bits: int
    """Two's complement width that holds every sum of codes of the operands' formats; 32 for floats."""

    @property
    def result_fraction_bits(self) -> int:
        """See `Operation`."""
        return self.accumulator_fraction_bits


@dataclass(frozen=True, eq=False, kw_only=True)
class Concatenation(Operation):
    """Tensors of codes of one format and radix point, one after another."""

    joins: ClassVar[bool] = True

    axis: int
    """Dimension of an image along which they are joined; 0 is the channels."""

    def value_range(self, sources: Sequence[ValueRange]) -> ValueRange:
        """What holds all of the parts'."""
        return min(low for low, _ in sources), max(high for _, high in sources)


@dataclass(frozen=True, eq=False, kw_only=True)
class ReLU(Operation):
    """Negatives (and -0) to zero."""

    def value_range(self, sources: Sequence[ValueRange]) -> ValueRange:
        """The input's, without negatives."""
        low, high = sources[0]
        return max(0, low), max(0, high)


@dataclass(frozen=True, eq=False, kw_only=True)
class Rounding(Operation):
    """Accumulators to values of the next layer's input format: nearest, ties to even, saturating.

    Accumulators of integers may become floats and the other way round: the nearest value to the exact number.
    """

    number_format: Format
    accumulator_fraction_bits: int
    """Radix point of the input."""

    fraction_bits: int
    """Radix point of the result."""

    @property
    def shift(self) -> int:
        """Places by which the integers move right; left if negative."""
        return self.accumulator_fraction_bits - self.fraction_bits

    @property
    def result_fraction_bits(self) -> int:
        """See `Operation`."""
        return self.fraction_bits

    @property
    def result_arithmetic(self) -> Arithmetic | None:
        """See `Operation`."""
        return self.number_format.arithmetic

    def value_range(self, sources: Sequence[ValueRange]) -> ValueRange:
        """That of the format, without negatives where there are none to round."""
        return _format_range(self.number_format, sources[0])


@dataclass(frozen=True, eq=False, kw_only=True)
class Pooling(Operation):
    """Windows over one or two dimensions of each channel."""

    input_shape: tuple[int, ...]
    """Shape of the input, without the batch."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    ceil_mode: bool
    """Whether a last window may run over the end."""

    @property
    def windows(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """For each dimension and each position along it, the input elements in the window, padding left out."""
        return tuple(
            pooling_windows(*settings)
            for settings in zip(
                self.input_shape[1:],
                self.kernel,
                self.stride,
                self.padding,
                self.dilation,
                self.output_shape[1:],
                strict=True,
            )
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool(Pooling):
    """The largest value of each window; padding never is."""

    def value_range(self, sources: Sequence[ValueRange]) -> ValueRange:
        """The input's."""
        return sources[0]


@dataclass(frozen=True, eq=False, kw_only=True)
class AveragePool(Pooling):
    """The sum of each window, divided by the count of its elements and rounded to the values' format.

    Integers: half to even. Floats: summed in row-major order in float32, divided in float32, then rounded.
    Behind the last layer nothing is rounded: integer accumulators are summed, and each sum stands for its quotient by
    `common_divisor`; floats are divided.
    """

    number_format: Format | None
    """Format of the values; None for accumulators."""

    count_include_pad: bool
    """Whether padding counts in the divisor."""

    divisor_override: int | None
    """The divisor of every window, where it is given."""

    @property
    def divisors(self) -> NDArray[np.int64]:
        """What each window's sum is divided by, in the shape of the output without channels."""
        positions = self.output_shape[1:]
        if self.divisor_override is not None:
            return np.full(positions, self.divisor_override, dtype=np.int64)
        result = np.ones((), dtype=np.int64)
        for settings in zip(self.input_shape[1:], self.kernel, self.stride, self.padding, positions, strict=True):
            along = np.array(average_divisors(*settings, self.count_include_pad), dtype=np.int64)
            result = np.multiply.outer(result, along)
        return result

    @property
    def common_divisor(self) -> int:
        """The least common multiple of the divisors: what sums of accumulators, brought to it, are to be divided by."""
        return math.lcm(*map(int, np.unique(self.divisors)))

    @property
    def result_divisor(self) -> int:
        """See `Operation`."""
        return self.common_divisor if self.number_format is None else 1

    @property
    def added_results(self) -> int:
        """See `Operation`."""
        return math.prod(self.kernel) if self.number_format is None else 1

    def value_range(self, sources: Sequence[ValueRange]) -> ValueRange:
        """That of the format (a small `divisor_override` makes averages large), without negatives if there are none."""
        return UNBOUNDED if self.number_format is None else _format_range(self.number_format, sources[0])


@dataclass(frozen=True, eq=False, kw_only=True)
class Flatten(Operation):
    """The same values in the same order, in other dimensions."""

    keeps_values: ClassVar[bool] = True

    def value_range(self, sources: Sequence[ValueRange]) -> ValueRange:
        """The input's."""
        return sources[0]


def layers_of(operations: Iterable[Operation]) -> tuple[Layer, ...]:
    """The convolutions and linear layers among operations, in their order."""
    return tuple(operation for operation in operations if isinstance(operation, Layer))


def input_rounding_of(operations: Sequence[Operation]) -> InputRounding:
    """What rounds the images. Raises ModelError if that is not the first operation."""
    first = operations[0]
    if not isinstance(first, InputRounding):
        raise ModelError(f"operation {first.name!r} comes before the rounding of the images: begin with that")
    return first


def are_floats(operations: Iterable[Operation]) -> bool:
    """Whether a network's layers multiply floats."""
    return any(layer.input_format.arithmetic == "float32" for layer in layers_of(operations))


def arithmetics(operations: Iterable[Operation]) -> dict[str, Arithmetic]:
    """What each operation's result is, by its name: integers, or floats of float32."""
    found: dict[str, Arithmetic] = {}
    for operation in operations:
        found[operation.name] = operation.result_arithmetic or found[operation.inputs[0]]
    return found


def _format_range(number_format: Format, source: ValueRange) -> ValueRange:
    """Range of the codes that numbers of a range are rounded to."""
    low, high = number_format.integer_limits
    return (0 if source[0] >= 0 and number_format.quantize_scalar(Fraction(0)) == 0 else low), high
