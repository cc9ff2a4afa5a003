"""Test vectors of a neuron: operands with corner cases, and what its arithmetic must give, computed without the RTL.

Integers are Python integers; floats are numpy float32, one operation at a time, in the order of the adder tree
(docs/architecture.md, "Arithmetic of the bit-exact network").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.formats import ExactFloat, FloatFormat, Format
from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.simulation import Operands, pack
from fewbits.hardware.process.datapath_key import Accumulation

SMALLEST_NORMAL = np.float32(2.0**-126)


@dataclass(frozen=True)
class Vectors:
    """Chunks of operands, one a row, and the accumulator and output after each."""

    weights: NDArray[np.int64]
    """Codes, (chunks, products of a cycle)."""

    inputs: NDArray[np.int64]
    first: NDArray[np.bool_]
    bias: list[int]
    """Bias of the output that each chunk belongs to: an integer, or a float32's bits."""

    shift: int
    relu: bool
    totals: list[int]
    """Accumulator after each chunk: an integer, or a float32's bits."""

    outputs: list[int]
    """Output after each chunk, had it been the last: its code."""

    def operands(self, design: Datapath) -> Operands:
        """As the neuron's ports take them, with the cycles after the last chunk that empty the pipeline."""
        empty = design.pipeline_stages + 1

        def padded(rows: NDArray[np.uint32]) -> NDArray[np.uint32]:
            return np.concatenate([rows, np.zeros((empty, rows.shape[1]), np.uint32)])

        idle = np.zeros(empty, bool)
        bias = padded(pack(self.bias, design.accumulator_bits))
        return Operands(
            weights=padded(_side_by_side(self.weights, design.weight_lane_bits // design.products_per_lane)),
            inputs=padded(_side_by_side(self.inputs, design.input_lane_bits // design.products_per_lane)),
            first=np.concatenate([self.first, idle]),
            last=np.concatenate([np.ones(len(self.first), bool), idle]),
            bias=np.roll(bias, design.bias_delay, axis=0),
            shift=self.shift,
            relu=self.relu,
        )


def make_vectors(design: Datapath, chunks: int, seed: int = 0) -> Vectors:
    """Random operands, a fifth of them corner cases, in accumulations of random length; one shift and ReLU setting."""
    generator = np.random.default_rng(seed)
    weights = random_codes(design.precision.weights, (chunks, design.products_per_cycle), generator)
    inputs = random_codes(design.precision.inputs, (chunks, design.products_per_cycle), generator)
    first = generator.random(chunks) < 0.2
    first[: design.accumulate_cycles] = True
    relu = bool(seed % 2)
    return _VECTORS[design.accumulation](design, weights, inputs, first, relu, generator)


def random_codes(number_format: Format, shape: tuple[int, int], generator: np.random.Generator) -> NDArray[np.int64]:
    """Codes of a format: random ones, and corners (zeros, ends of the range, for floats subnormals and near-ties)."""
    bits = number_format.bits
    if isinstance(number_format, FloatFormat):
        return _codes_of_float(number_format, shape, generator)
    codes = generator.integers(0, 1 << bits, shape)
    if bits > 1:
        half = 1 << (bits - 1)
        corners = generator.choice(np.array([0, 1, half - 1, half, 2 * half - 1]), shape)
        codes = np.where(generator.random(shape) < 0.2, corners, codes)
    codes[np.isin(codes, number_format.unused_codes)] = 0
    return codes


def _float_codes(shape: tuple[int, int], generator: np.random.Generator) -> NDArray[np.int64]:
    """Exponents around 1, of products about the smallest normal number, and subnormals; mantissas with long runs."""
    mantissa = generator.integers(0, 1 << 23, shape)
    runs = generator.choice(np.array([0, 1, (1 << 23) - 1, 1 << 22, (1 << 22) - 1]), shape)
    mantissa = np.where(generator.random(shape) < 0.3, runs, mantissa)
    exponent = generator.integers(115, 140, shape)
    kind = generator.random(shape)
    exponent = np.where(kind < 0.25, generator.integers(62, 66, shape), exponent)
    exponent = np.where(kind < 0.05, 0, exponent)
    return (generator.integers(0, 2, shape) << 31) | (exponent << 23) | mantissa


def _codes_of_float(
    number_format: FloatFormat, shape: tuple[int, int], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Finite codes: any of a narrow format; of one with float32's exponents, float32's codes cut off."""
    if number_format.exponent_bits == 8:
        return _float_codes(shape, generator) >> (32 - number_format.bits)
    sign, largest = 1 << (number_format.bits - 1), number_format.code_of(number_format.largest)
    codes = generator.integers(0, largest + 1, shape)
    corners = generator.choice(np.array([0, 1, (1 << number_format.mantissa_bits) - 1, largest]), shape)
    codes = np.where(generator.random(shape) < 0.2, corners, codes)
    return codes + sign * generator.integers(0, 2, shape)


def _integer_vectors(
    design: Datapath,
    weights: NDArray[np.int64],
    inputs: NDArray[np.int64],
    first: NDArray[np.bool_],
    relu: bool,
    generator: np.random.Generator,
) -> Vectors:
    products = design.integer_products(weights, inputs)
    room = design.accumulator_bits - 2
    drawn = min(20, room)
    bias = [int(generator.integers(-(1 << drawn), 1 << drawn)) << (room - drawn) for _ in first]
    shift = int(generator.integers(0, design.accumulator_bits))
    sums: list[int] = products.sum(axis=1).tolist()
    if isinstance(design.precision.inputs, ExactFloat):
        bias = [number >> int(generator.integers(0, room)) for number in bias]
        shift = _shift_onto_range(design.precision.inputs, sums, generator)
    totals: list[int] = []
    outputs: list[int] = []
    total = 0
    for chunk, added in enumerate(sums):
        total = (bias[chunk] if first[chunk] else total) + added
        totals.append(total)
        kept = max(0, total) if relu else total
        outputs.append(_nearest_code(design.precision.inputs, Fraction(kept, 1 << shift)))
    return Vectors(weights, inputs, first, bias, shift, relu, totals, outputs)


def _shift_onto_range(number_format: ExactFloat, sums: list[int], generator: np.random.Generator) -> int:
    """One that moves most sums into a float's range, near its largest number or its smallest ones."""
    middle = int(np.median([abs(total).bit_length() for total in sums]))
    return max(0, middle - int(generator.integers(-1, int(number_format.largest).bit_length() + 2)))


def _nearest_code(number_format: Format, number: Fraction) -> int:
    """Code of the nearest number of a format, by its scalar reference."""
    return number_format.code_of(number_format.quantize_scalar(number))


def _float_vectors(
    design: Datapath,
    weights: NDArray[np.int64],
    inputs: NDArray[np.int64],
    first: NDArray[np.bool_],
    relu: bool,
    generator: np.random.Generator,
) -> Vectors:
    operands = (_numbers(design.precision.weights, weights), _numbers(design.precision.inputs, inputs))
    sums = flushed(flushed(operands[0]) * flushed(operands[1]))
    while sums.shape[1] > 1:
        sums = flushed(sums[:, 0::2] + sums[:, 1::2])
    bias = flushed(_floats(_float_codes((len(first), 1), generator)))[:, 0]
    totals = np.zeros(len(first), np.float32)
    interleaved = design.accumulate_cycles
    for chunk in range(len(first)):
        start = bias[chunk] if first[chunk] else totals[chunk - interleaved]
        totals[chunk] = flushed(np.float32(start + sums[chunk, 0]))
    kept = np.where(np.signbit(totals) & relu, np.float32(0), totals)
    middle = round(float(np.log2(np.median(np.abs(totals)))))
    shift = middle + int(generator.integers(-8, 9)) if design.shift_is_signed else 0
    outputs = [_output_code(design, number, shift) for number in kept]
    as_bits = [[int(code) for code in array.view(np.uint32)] for array in (bias, totals)]
    return Vectors(weights, inputs, first, as_bits[0], shift, relu, as_bits[1], outputs)


_VECTORS: Mapping[Accumulation, Callable[..., Vectors]] = {"integer": _integer_vectors, "float32": _float_vectors}


def _output_code(design: Datapath, number: np.float32, shift: int) -> int:
    """Code of the accumulator times 2**-shift in the format of the inputs; a zero keeps the accumulator's sign."""
    if design.output_bits == design.accumulator_bits:  # the accumulator itself
        return int(number.view(np.uint32))
    if not np.isfinite(number):
        raise HardwareError("these vectors overflow float32")
    code = _nearest_code(design.precision.inputs, abs(Fraction(float(number))) * Fraction(2) ** -shift)
    return code | (int(np.signbit(number)) << (design.output_bits - 1))


def flushed(x: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    """Subnormal numbers replaced by zeros of their sign."""
    return np.where(np.abs(x) < SMALLEST_NORMAL, np.copysign(np.float32(0), x), x).astype(np.float32)


def _numbers(number_format: Format, codes: NDArray[np.int64]) -> NDArray[np.float32]:
    """The numbers that codes of a float format stand for."""
    import torch

    return number_format.decode(torch.tensor(codes), dtype=torch.float32).numpy()


def _floats(codes: NDArray[np.int64]) -> NDArray[np.float32]:
    return codes.astype(np.uint32).view(np.float32)


def _side_by_side(codes: NDArray[np.int64], bits: int) -> NDArray[np.uint32]:
    rows = [sum(int(code) << (bits * i) for i, code in enumerate(row)) for row in codes]
    return pack(rows, bits * codes.shape[1])
