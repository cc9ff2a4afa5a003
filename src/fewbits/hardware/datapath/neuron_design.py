"""What one neuron's datapath looks like for a precision: widths, pipeline, architecture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from fewbits.arguments import is_integer, shown
from fewbits.errors import HardwareError
from fewbits.formats import FixedPoint, FloatFormat, Format, PowerOfTwo, Precision, parse_precision
from fewbits.hardware.process.technology import CHARACTERIZED_SYNAPSES, datapath_name
from fewbits.hardware.rtl.pipelining import DEFAULT, PIPELININGS, Pipelining, pipelining

Architecture = Literal["booth", "array"]
"""How partial products are made: by radix-4 Booth recoding, or one for each bit of the weight."""


@dataclass(frozen=True)
class NeuronDesign:
    """A neuron: `synapses` products, summed by a tree, accumulated, rounded to the output's format.

    The pipeline of an integer neuron, one register each: product (or its two carry-save rows), compressed tree, tree
    sum, accumulator, two steps of the output's shifter, output. Other `pipelining` has more or fewer. A wide sum is
    added in `segments`, the upper ones a cycle later each, in the tree and in the accumulator alike, so that they only
    meet at the output. The pipeline of a float neuron: three for the product, five for each level of the tree and for
    the accumulator, one for the output. One of narrow floats, whose products are exact in float32, takes two for the
    product and three for the rounded output. A product that is cut takes one more where its two rows are not added in
    the first.
    """

    precision: Precision
    synapses: int
    maximum_synapses: int
    """Largest layer (synapses of one output) whose sums can't overflow the accumulator."""

    architecture: Architecture = "booth"
    kept_product_bits: int | None = None
    """Width that products are cut to; None leaves them whole."""

    pipelining: Pipelining = PIPELININGS[DEFAULT]
    """Where an integer neuron has registers; a float one has one pipeline."""

    @property
    def name(self) -> str:
        """The precision's name, and what differs from a Booth multiplier with whole products."""
        return datapath_name(self.precision.name, self.architecture, self.kept_product_bits)

    @property
    def is_float(self) -> bool:
        """Whether it computes in float32 arithmetic."""
        return self.precision.is_float

    @property
    def is_float32(self) -> bool:
        """Whether its operands are float32, too; those of other floats have products that float32 holds exactly."""
        return _is_float32(self.precision.weights) and _is_float32(self.precision.inputs)

    @property
    def is_popcount(self) -> bool:
        """Whether a product is an XNOR of two bits, and a sum the count of its ones, twice, less the synapses."""
        return self.precision.weights.family == "binary" and self.precision.inputs.family == "binary"

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
    def full_product_bits(self) -> int:
        """Width of a whole product; 32 in a float neuron."""
        return 32 if self.is_float else signed_bits(*self.product_limits)

    @property
    def product_bits(self) -> int:
        """Width of a product as it is summed: in full, or its top bits."""
        return self.full_product_bits if self.kept_product_bits is None else self.kept_product_bits

    @property
    def dropped_product_bits(self) -> int:
        """Bits that are cut off a product: it becomes floor(weight * input / 2**dropped_product_bits)."""
        return self.full_product_bits - self.product_bits

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
        """Bit ranges (from, to) of the accumulator that are added in turn, a cycle each, with the carry before it."""
        count = -(-self.accumulator_bits // self.pipelining.segment_bits)
        width = -(-self.accumulator_bits // count)
        return tuple((i * width, min((i + 1) * width, self.accumulator_bits)) for i in range(count))

    @property
    def shift_bits(self) -> int:
        """Width of the output's shift amount; that of narrow floats is signed. Binary and float32 outputs ignore it."""
        return FLOAT_SHIFT_BITS if self.is_float and not self.is_float32 else (self.accumulator_bits - 1).bit_length()

    @property
    def output_bits(self) -> int:
        """Width of an output: that of an input."""
        return self.precision.inputs.bits

    @property
    def carry_save_products(self) -> bool:
        """Whether a multiplier hands on two rows in place of their sum.

        Where Booth recoding, compression and a carry-propagating addition do not fit one period, they do without the
        addition, and the tree compresses 32 rows as well as 16. Cutting a product takes its sum.
        """
        return self._adds_two_rows and self.kept_product_bits is None

    @property
    def cuts_sums(self) -> bool:
        """Whether a cut product takes a cycle of its own to add its two rows."""
        return self.kept_product_bits is not None and (self._adds_two_rows or not self._multiplies)

    @property
    def _adds_two_rows(self) -> bool:
        return self._multiplies and self.full_product_bits >= self.pipelining.adds_products_below

    @property
    def high_bits(self) -> int:
        """Width of a multiplier's first row; carry-save rows are as wide as the tree, whose sum they wrap around in."""
        if self.is_popcount:
            return 1
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
        if self.is_float:
            return FLOAT_MULTIPLY_STAGES if self.is_float32 else NARROW_MULTIPLY_STAGES
        compression = self.pipelining.multiply_cycles if self._multiplies else 1
        return compression + self.cuts_sums

    @property
    def tree_stages(self) -> int:
        """Cycles from products to their sum."""
        return self.tree_levels * FLOAT_ADD_STAGES if self.is_float else self.pipelining.compress_cycles + 1

    @property
    def accumulate_cycles(self) -> int:
        """Cycles until a sum can be added to."""
        return FLOAT_ADD_STAGES if self.is_float else 1

    @property
    def output_stages(self) -> int:
        """Cycles from the accumulator to the output."""
        if self.is_float32 or self.precision.inputs.family == "binary":
            return 1
        return 3 if self.is_float else self.pipelining.shift_cycles + 1

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

    def filling(self, synapses: int) -> int:
        """What the codes 0 that fill an output's last chunk add to its sum: the bias is to be less by as much.

        Zero where an input of code 0 is zero; a binary weight and a binary input of code 0 are a product of 1.
        """
        return -synapses % self.synapses if self.is_popcount else 0

    @property
    def multiplier(self) -> str:
        """The multiplier's architecture and the product's width, in words."""
        partial = "radix-4 Booth" if self.architecture == "booth" else "array"
        if self.is_float32:
            return f"float32: {partial} mantissa, round to nearest even, subnormals are zeros"
        if self.is_float:
            return f"{partial} mantissa, exact product in float32"
        if self.is_popcount:
            return "XNOR and population count"
        kind = partial if self._multiplies else "sign selection"
        if isinstance(self.precision.weights, PowerOfTwo):
            kind = "shifter"
        if self.kept_product_bits is not None:
            return f"{kind}, product cut to the top {self.product_bits} of {self.full_product_bits} bits"
        if not self._multiplies:
            return kind
        return f"{kind}, full product" + (" in carry-save form" if self.carry_save_products else "")


FLOAT_MULTIPLY_STAGES = 3
NARROW_MULTIPLY_STAGES = 2
FLOAT_ADD_STAGES = 5

FLOAT_SHIFT_BITS = 10
"""Width of a narrow float's shift: 512 places either way go beyond float32's range, 2**-126 to 2**128."""

LARGEST_EXACT_SIGNIFICANDS = 24
"""Bits of two significands together whose product float32 holds."""


def design(
    precision: str | Precision,
    synapses: int = CHARACTERIZED_SYNAPSES,
    maximum_synapses: int = 16384,
    *,
    multiplier: str = "booth",
    product_bits: int | None = None,
    stages: str = DEFAULT,
) -> NeuronDesign:
    """The neuron of a precision.

    multiplier: how partial products are made, where there are any: "booth", or "array", one for each bit of the weight.
    product_bits: cut integer products to their top bits; None keeps all (docs/architecture.md, "Arithmetic").
    stages: name of one of `pipelining.PIPELININGS`; of integer neurons.
    Raises FormatError for an unknown precision, HardwareError where there is no datapath or for a senseless size.
    """
    chosen = parse_precision(precision) if isinstance(precision, str) else precision
    if synapses < 2 or synapses & (synapses - 1):
        raise HardwareError(f"synapses must be a power of two from 2 on, not {synapses!r}")
    if maximum_synapses < synapses:
        raise HardwareError(f"maximum_synapses must be at least {synapses}, not {maximum_synapses!r}")
    if multiplier != "booth" and multiplier != "array":
        raise HardwareError(f"multiplier must be 'booth' or 'array', not {multiplier!r}")
    _check_precision(chosen)
    if stages != DEFAULT and chosen.is_float:
        raise HardwareError(f"{chosen.name} has one pipeline, {DEFAULT!r}, not {stages!r}: float neurons have no other")
    made = NeuronDesign(chosen, synapses, maximum_synapses, multiplier, pipelining=pipelining(stages))
    if product_bits is not None:
        made = replace(made, kept_product_bits=_checked_product_bits(made, product_bits))
    return made


def _check_precision(precision: Precision) -> None:
    """Raise HardwareError where there is no datapath."""
    weights, inputs = precision.weights, precision.inputs
    if isinstance(weights, FloatFormat) and isinstance(inputs, FloatFormat):
        significands = weights.mantissa_bits + inputs.mantissa_bits + 2
        if (_is_float32(weights) and _is_float32(inputs)) or significands <= LARGEST_EXACT_SIGNIFICANDS:
            return
    integers = isinstance(inputs, FixedPoint) and (
        weights.family in ("fixed", "ternary", "binary") or (isinstance(weights, PowerOfTwo) and weights.bits <= 6)
    )
    if not integers and not (weights.family == "binary" and inputs.family == "binary"):
        raise HardwareError(
            f"no datapath for {precision.name}: weights may be fixedN, pow2-2 to pow2-6, ternary or binary with inputs "
            "fixedN, both binary, both float32, or floats of at most 22 mantissa bits together"
        )


def _checked_product_bits(made: NeuronDesign, product_bits: int) -> int | None:
    """The width to cut to; None if it is the whole product's."""
    if made.is_float or made.is_popcount:
        raise HardwareError(f"products of {made.precision.name} cannot be cut: leave product_bits out")
    if not is_integer(product_bits, 2, made.full_product_bits):
        raise HardwareError(
            f"product_bits must be from 2 to {made.full_product_bits}, the whole product of {made.precision.name}, "
            f"not {shown(product_bits)}"
        )
    return product_bits if product_bits < made.full_product_bits else None


def signed_bits(low: int, high: int) -> int:
    """Width of the smallest two's complement integer that holds both."""
    return 1 + max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)


def _is_float32(number_format: Format) -> bool:
    return isinstance(number_format, FloatFormat) and number_format.name == "float32"
