"""What one neuron's datapath looks like for a precision: widths, pipeline, architecture."""

from __future__ import annotations

from dataclasses import dataclass

from fewbits.errors import HardwareError
from fewbits.formats import FixedPoint, FloatFormat, Format, PowerOfTwo, Precision, parse_precision


@dataclass(frozen=True)
class NeuronDesign:
    """A neuron: `synapses` products, summed by a tree, accumulated, rounded to the output's format.

    The pipeline of an integer neuron, one register each: product (or its two carry-save rows), compressed tree, tree
    sum, accumulator, two steps of the output's shifter, output. A wide sum is added in `segments`, the upper ones a
    cycle later each, in the tree and in the accumulator alike, so that they only meet at the output. That of a float
    neuron: three for the product, five for each level of the tree and for the accumulator, one for the output.
    """

    precision: Precision
    synapses: int
    maximum_synapses: int
    """Largest layer (synapses of one output) whose sums can't overflow the accumulator."""

    @property
    def is_float(self) -> bool:
        """Whether it computes in float32 arithmetic."""
        return self.precision.is_float

    @property
    def tree_levels(self) -> int:
        """Levels of a binary tree over the synapses."""
        return (self.synapses - 1).bit_length()

    @property
    def product_limits(self) -> tuple[int, int]:
        """Lowest and highest product of two integers."""
        ends = [w * x for w in self.precision.weights.integer_limits for x in self.precision.inputs.integer_limits]
        return min(ends), max(ends)

    @property
    def product_bits(self) -> int:
        """Width of a product, in full; 32 in a float neuron."""
        return 32 if self.is_float else signed_bits(*self.product_limits)

    @property
    def tree_bits(self) -> int:
        """Width of the tree's sum."""
        return 32 if self.is_float else self.product_bits + self.tree_levels

    @property
    def accumulator_bits(self) -> int:
        """Width of the accumulator: the largest layer's sum and a bias of the same size."""
        return 32 if self.is_float else self.product_bits + (self.maximum_synapses - 1).bit_length() + 1

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """Bit ranges (from, to) of the accumulator that are added in turn, one a cycle, each with the carry before it.

        One of 62 bits takes 3.0 ns on a 130 nm process, the choice of the bias before it included.
        """
        count = -(-self.accumulator_bits // SEGMENT_BITS)
        width = -(-self.accumulator_bits // count)
        return tuple((i * width, min((i + 1) * width, self.accumulator_bits)) for i in range(count))

    @property
    def shift_bits(self) -> int:
        """Width of the output's shift amount."""
        return (self.accumulator_bits - 1).bit_length()

    @property
    def output_bits(self) -> int:
        """Width of an output: that of an input."""
        return self.precision.inputs.bits

    @property
    def carry_save_products(self) -> bool:
        """Whether a multiplier hands on two rows in place of their sum.

        From 12 bits on, Booth recoding, compression and a carry-propagating addition do not fit one period; without
        the addition they do, and the tree compresses 32 rows as well as 16.
        """
        return self._multiplies and self.product_bits >= 24

    @property
    def high_bits(self) -> int:
        """Width of a multiplier's first row; carry-save rows are as wide as the tree, whose sum they wrap around in."""
        return self.tree_bits if self.carry_save_products else self.product_bits

    @property
    def low_bits(self) -> int:
        """Width of a multiplier's second row."""
        return self.tree_bits if self.carry_save_products else 1

    @property
    def _multiplies(self) -> bool:
        return isinstance(self.precision.weights, FixedPoint)

    @property
    def multiply_stages(self) -> int:
        """Cycles from operands to products."""
        return FLOAT_MULTIPLY_STAGES if self.is_float else 1

    @property
    def tree_stages(self) -> int:
        """Cycles from products to their sum."""
        return self.tree_levels * FLOAT_ADD_STAGES if self.is_float else 2

    @property
    def accumulate_cycles(self) -> int:
        """Cycles until a sum can be added to."""
        return FLOAT_ADD_STAGES if self.is_float else 1

    @property
    def output_stages(self) -> int:
        """Cycles from the accumulator to the output."""
        return 1 if self.is_float else 3

    @property
    def bias_delay(self) -> int:
        """Cycles after the operands of a `first` chunk at which `bias` is read."""
        return self.multiply_stages + self.tree_stages

    @property
    def accumulator_delay(self) -> int:
        """Cycles after a chunk's operands at which the accumulator shows the sum with it."""
        skew = 0 if self.is_float else len(self.segments) - 1
        return self.bias_delay + self.accumulate_cycles + skew

    @property
    def pipeline_stages(self) -> int:
        """Cycles from operands at the inputs to the rounded output."""
        return self.accumulator_delay + self.output_stages

    @property
    def multiplier(self) -> str:
        """The multiplier's architecture, in words."""
        if self.is_float:
            return "float32: radix-4 Booth mantissa, round to nearest even, subnormals are zeros"
        if isinstance(self.precision.weights, PowerOfTwo):
            return "shifter"
        if not self._multiplies:
            return "sign selection"
        return "radix-4 Booth, full product" + (" in carry-save form" if self.carry_save_products else "")


SEGMENT_BITS = 64
FLOAT_MULTIPLY_STAGES = 3
FLOAT_ADD_STAGES = 5


def design(precision: str | Precision, synapses: int = 16, maximum_synapses: int = 16384) -> NeuronDesign:
    """The neuron of a precision.

    Raises FormatError for an unknown precision, HardwareError where there is no datapath or for a senseless size.
    """
    chosen = parse_precision(precision) if isinstance(precision, str) else precision
    if synapses < 2 or synapses & (synapses - 1):
        raise HardwareError(f"synapses must be a power of two from 2 on, not {synapses!r}")
    if maximum_synapses < synapses:
        raise HardwareError(f"maximum_synapses must be at least {synapses}, not {maximum_synapses!r}")
    if not (_is_float32(chosen.weights) and _is_float32(chosen.inputs)) and not _integers(chosen):
        raise HardwareError(
            f"no datapath for {chosen.name}: weights may be fixedN, pow2-2 to pow2-6, ternary or binary with inputs "
            "fixedN, or both float32"
        )
    made = NeuronDesign(chosen, synapses, maximum_synapses)
    if not made.is_float and made.segments[-1][0] >= made.tree_bits:
        raise HardwareError(f"maximum_synapses of {maximum_synapses} makes the accumulator too wide for this datapath")
    return made


def signed_bits(low: int, high: int) -> int:
    """Width of the smallest two's complement integer that holds both."""
    return 1 + max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)


def _is_float32(number_format: Format) -> bool:
    return isinstance(number_format, FloatFormat) and number_format.name == "float32"


def _integers(precision: Precision) -> bool:
    weights = precision.weights
    return isinstance(precision.inputs, FixedPoint) and (
        weights.family in ("fixed", "ternary", "binary") or (isinstance(weights, PowerOfTwo) and weights.bits <= 6)
    )
