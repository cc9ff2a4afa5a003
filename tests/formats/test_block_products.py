"""Exact sums of a block's products against Python's integers, and rotation of blocks."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from fewbits import FormatError, parse_format
from fewbits.formats import BlockFormat, SummedDimension
from fewbits.formats.block_products import block_dot, product_unit, sum_bits
from fewbits.formats.hadamard import rotate_blocks

WIDTHS = {
    ("mxfp4", 32): 14,
    ("nvfp4", 16): 13,
    ("mxfp6-e2m3", 32): 18,
    ("mxint8:symmetric", 32): 20,
    ("mxint8", 32): 21,
    ("mxfp6-e3m2", 32): 24,
    ("mxfp8-e4m3", 32): 42,
    ("mxfp8-e5m2", 32): 70,
}


def block_format(name: str) -> BlockFormat:
    found = parse_format(name)
    assert isinstance(found, BlockFormat)
    return found


@pytest.mark.parametrize(("case", "bits"), WIDTHS.items())
def test_a_blocks_sum_takes_as_many_bits_as_published(case: tuple[str, int], bits: int) -> None:
    assert sum_bits(block_format(case[0]), block_format(case[0]), case[1]) == bits


@pytest.mark.parametrize(
    ("first", "second"), [(name, name) for name, _ in WIDTHS] + [("mxfp4", "mxfp8-e5m2"), ("mxint4", "mxint8")]
)
def test_sums_are_python_integers(first: str, second: str) -> None:
    one, other = block_format(first), block_format(second)
    x, y = (torch.randn(6, 32, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    a, b = one.encoded(x), other.encoded(y)
    unit = product_unit(one, other)
    for found, codes, others in zip(block_dot(one, a.codes, other, b.codes), a.codes, b.codes, strict=True):
        terms = [
            Fraction(p) * Fraction(q) / 2 ** (one.element_point + other.element_point)
            for p, q in zip(_numbers(one, codes), _numbers(other, others), strict=True)
        ]
        assert int(found) * unit == sum(terms)


def _numbers(number_format: BlockFormat, codes: np.ndarray) -> list[float]:
    return number_format.element.decode(torch.from_numpy(codes.astype(np.int64))).tolist()


@pytest.mark.parametrize("name", [name for name, _ in WIDTHS])
def test_the_largest_sum_needs_the_width(name: str) -> None:
    number_format = block_format(name)
    element = number_format.element
    extreme = number_format.element_lowest if "int8" in name else number_format.element_largest
    codes = np.full(32, element.code_of(extreme * 2**number_format.element_point))
    found = int(block_dot(number_format, codes, number_format, codes))
    assert found.bit_length() + 1 == sum_bits(number_format, number_format, 32)


def test_infinity_is_no_integer() -> None:
    number_format = block_format("mxfp8-e5m2")
    with pytest.raises(FormatError, match="infinite or NaN"):
        block_dot(number_format, np.array([0x7C]), number_format, np.array([0]))


@pytest.mark.parametrize("size", [2, 16, 32, 128])
def test_rotation_is_orthogonal_and_its_own_inverse(size: int) -> None:
    eye = rotate_blocks(torch.eye(size, dtype=torch.float64), size)
    assert torch.allclose(eye @ eye.T, torch.eye(size, dtype=torch.float64), atol=1e-14)
    x = torch.randn(3, 2 * size, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    along = SummedDimension(1)
    assert torch.allclose(rotate_blocks(rotate_blocks(x, size, along=along), size, along=along), x, atol=1e-13)


def test_rotation_is_sylvesters_matrix() -> None:
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    matrix = torch.kron(torch.kron(pair, pair), torch.kron(pair, pair)) / 4
    assert torch.equal(rotate_blocks(torch.eye(16), 16), matrix)


@pytest.mark.parametrize(("size", "shape"), [(3, (6,)), (0, (6,)), (True, (6,)), (4, (6,)), (8192, (8192,))])
def test_what_cannot_be_rotated_is_refused(size: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError) as caught:
        rotate_blocks(torch.ones(shape), size)
    assert "\n" not in str(caught.value)


ROTATED = {"mxfp4": (16.50, 18.97), "mxint4": (14.85, 19.54), "nvfp4": (21.48, 20.39), "nvint4": (19.11, 23.24)}


@pytest.mark.parametrize("name", ROTATED)
def test_rotation_helps_integers_more_than_floats_on_heavy_tails(name: str) -> None:
    number_format = block_format(name)
    torch.manual_seed(0)
    x = torch.distributions.StudentT(2.5).sample((2**20,))
    plain = snr(x, number_format.quantize(x))
    rotated = rotate_blocks(x, number_format.size)
    after = snr(x, rotate_blocks(number_format.quantize(rotated), number_format.size))
    before_published, after_published = ROTATED[name]
    assert (after > plain) == (after_published > before_published)


def snr(x: torch.Tensor, rounded: torch.Tensor) -> float:
    error = rounded.double() - x
    return 10 * math.log10(x.double().square().sum().item() / error.square().sum().item())
