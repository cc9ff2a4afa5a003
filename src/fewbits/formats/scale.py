"""Scales: what the numbers of a format are multiplied by, for a tensor, for each output channel or for each block.

`PowersOfTwo` and `Multipliers` are a tensor's or a channel's, `BlockCodes` a block's. Zero points have a place, and
are refused by name where they would be computed with (`Scale.refusal`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from fewbits.arguments import is_integer, is_real, shown
from fewbits.errors import FormatError

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.formats.scale_formats import ScaleFormat

CHANNEL_SHIFT_BITS = 4
"""Bits that the hardware stores for each output: by how many places more its accumulator moves right before it is
rounded. Four bits span 15 places; a channel whose weights are smaller still loses its last bits instead."""


@dataclass(frozen=True)
class SummedDimension:
    """The dimension of a tensor along which a layer sums products, and along which blocks lie."""

    dim: int = -1
    groups: int = 1
    """So many parts of equal length are summed by themselves, as in a grouped convolution: no block reaches over."""


LAST = SummedDimension()
"""That of a linear layer, and of a tensor that no layer takes."""


@dataclass(frozen=True)
class Block:
    """So many neighbours along a dimension, the summed one, share a factor; the last block may be shorter."""

    size: int
    dim: int = -1

    def __post_init__(self) -> None:
        if not is_integer(self.size, 2, 2**20):
            raise FormatError(f"a block has 2 to {2**20} values, not {shown(self.size)}")
        if not is_integer(self.dim, -64, 63):
            raise FormatError(f"a block lies along a dimension, a whole number, not {shown(self.dim)}")


Granularity = Literal["tensor", "channel"] | Block
"""What shares a factor; a channel is an entry of the first dimension, an output."""


@dataclass(frozen=True)
class PowersOfTwo:
    """Factors 2**-fraction_bits: radix points."""

    points: tuple[int, ...]
    """The fraction_bits of each factor."""

    @property
    def count(self) -> int:
        """How many factors there are."""
        return len(self.points)


@dataclass(frozen=True)
class Multipliers:
    """Factors m * 2**-fraction_bits with whole numbers m: a multiplier and a shift."""

    bits: int
    """Width of each m, without sign."""

    fraction_bits: int
    integers: tuple[int, ...] | None = None
    """Each m, from 1 to 2**bits - 1. None where the tensor's integers hold it already, in a format that is wider by as
    many bits: multiplication distributes over the sum, so that the results are the same."""

    def __post_init__(self) -> None:
        if not is_integer(self.bits, 1, 32):
            raise FormatError(f"a multiplier has 1 to 32 bits, not {shown(self.bits)}")
        for integer in self.integers or ():
            if not is_integer(integer, 1, 2**self.bits - 1):
                raise FormatError(
                    f"a multiplier of {self.bits} bits lies from 1 to {2**self.bits - 1}, not {shown(integer)}"
                )

    @classmethod
    def nearest(cls, wanted: Tensor, bits: int) -> Multipliers:
        """The ones nearest to positive factors; the largest uses all bits, so it sets the shift of all."""
        largest = 2**bits - 1
        fraction_bits = math.floor(math.log2(largest / wanted.max().item()))
        rounded = (wanted.detach() / 2.0**-fraction_bits).round().clamp_(1, largest)
        return cls(bits, fraction_bits, tuple(int(value) for value in rounded.reshape(-1).tolist()))

    @property
    def count(self) -> int:
        """How many factors there are; 1 where they are merged."""
        return 1 if self.integers is None else len(self.integers)


@dataclass(frozen=True)
class BlockCodes:
    """Factors that are codes of a scale format of at most eight bits, all times one of the tensor."""

    codes: bytes
    """One for each block: the tensor with the blocks' dimension last, its blocks in the order of memory."""

    format_name: str
    """`e8m0`, `e4m3`, or `e2m0` to `e7m0`; see `scale_formats.py`."""

    fraction_bits: int = 0
    """All factors are times 2**-fraction_bits."""

    factor: float = 1.0
    """And times this, a float32: NVFP4's scale of the tensor."""

    def __post_init__(self) -> None:
        check_fraction_bits(self.fraction_bits)
        if not is_real(self.factor, 0, open_low=True):
            raise FormatError(f"a tensor's factor is a positive number, not {shown(self.factor)}")

    @property
    def count(self) -> int:
        """How many factors there are."""
        return len(self.codes)

    @property
    def scale_format(self) -> ScaleFormat:
        """That of the codes. Raises FormatError for an unknown name."""
        from fewbits.formats.scale_formats import scale_format

        return scale_format(self.format_name)


@dataclass(frozen=True)
class Scale:
    """What stands between a tensor's numbers and its values: value = (number - zero point) * factor."""

    granularity: Granularity
    factors: PowersOfTwo | Multipliers | BlockCodes
    zero_points: tuple[int, ...] = ()
    """For formats that are asymmetric: one for each factor."""

    def __post_init__(self) -> None:
        count = self.factors.count
        if self.granularity == "tensor" and count != 1:
            raise FormatError(f"a tensor has one factor, not {count}: give the granularity 'channel' or a Block")
        if not count:
            raise FormatError("a scale has a factor for each of its channels or blocks: none is given")
        if len(self.zero_points) not in (0, count):
            raise FormatError(f"{count} factors take {count} zero points or none, not {len(self.zero_points)}")

    @classmethod
    def power_of_two(cls, fraction_bits: int) -> Scale:
        """A tensor's radix point. Raises FormatError unless it is an integer from -512 to 512."""
        return cls("tensor", PowersOfTwo((check_fraction_bits(fraction_bits),)))

    @classmethod
    def of_channels(cls, fraction_bits: tuple[int, ...]) -> Scale:
        """A radix point for each output. Raises FormatError unless all are integers from -512 to 512."""
        return cls("channel", PowersOfTwo(tuple(map(check_fraction_bits, fraction_bits))))

    @classmethod
    def merged(cls, bits: int, fraction_bits: int) -> Scale:
        """Multipliers of so many bits that the integers hold already."""
        return cls("tensor", Multipliers(bits, check_fraction_bits(fraction_bits)))

    @cached_property
    def refusal(self) -> str | None:
        """Why nothing can be computed with the scale yet; None if it can."""
        if isinstance(self.granularity, Block) != isinstance(self.factors, BlockCodes):
            return "blocks have codes of a scale format, and nothing else has: give a Block with BlockCodes"
        if self.zero_points:
            return "zero points have no arithmetic yet: take a scale without them"
        return None

    @cached_property
    def block(self) -> Block | None:
        """What shares a factor, if blocks do. Raises FormatError with the `refusal`."""
        if self.refusal is not None:
            raise FormatError(self.refusal)
        return self.granularity if isinstance(self.granularity, Block) else None

    @property
    def fraction_bits(self) -> int:
        """The radix point that all values share. Raises FormatError where there is none, as with one a channel."""
        if self.shifts is not None:
            raise FormatError(
                f"there is a radix point for each of {self.factors.count} channels: ask for the coarsest or the finest"
            )
        return self.coarsest

    @cached_property
    def coarsest(self) -> int:
        """The fewest fraction bits of a channel. Raises FormatError for what has no radix point, with its reason."""
        return min(self._points)

    @cached_property
    def finest(self) -> int:
        """The most fraction bits of a channel: at that radix point all numbers are integers."""
        return max(self._points)

    @cached_property
    def shifts(self) -> tuple[int, ...] | None:
        """Places by which each channel's radix point is finer than the coarsest; None for one radix point."""
        if self.granularity == "tensor":
            return None
        return tuple(point - self.coarsest for point in self._points)

    @cached_property
    def moves(self) -> tuple[int, ...] | None:
        """Places by which each channel's integers move left to the finest radix point; None for one radix point.

        Blocks have none, and None.
        """
        if self.granularity == "tensor" or isinstance(self.granularity, Block):
            return None
        return tuple(self.finest - point for point in self._points)

    @cached_property
    def multiplies(self) -> bool:
        """Whether factors are multipliers that the integers do not hold. Raises FormatError with the `refusal`."""
        if self.refusal is not None:
            raise FormatError(self.refusal)
        return isinstance(self.factors, Multipliers) and self.factors.integers is not None

    @cached_property
    def multiplier_bits(self) -> int:
        """Width of the multiplier behind each sum; 0 without one."""
        return self.factors.bits if isinstance(self.factors, Multipliers) else 0

    @property
    def stored_bits(self) -> int:
        """Bits in memory for each factor of its own: a channel's shift, a multiplier or a block's code; none for what a
        tensor shares, which is part of the program.
        """
        if isinstance(self.factors, BlockCodes):
            return self.factors.scale_format.bits
        return self.multiplier_bits if self.multiplier_bits or self.granularity == "tensor" else CHANNEL_SHIFT_BITS

    def shift_factors(self, like: Tensor) -> Tensor:
        """2**shift of each channel, for a tensor to be multiplied by, in its dtype; see `shifts`.

        Raises FormatError where the tensor has another number of channels.
        """
        import torch

        from fewbits.formats.format import exact_power

        shifts = torch.tensor(self.shifts or (0,), device=like.device)
        return self._broadcast(exact_power(shifts).to(like.dtype), like)

    def aligned(self, x: Tensor) -> Tensor:
        """A tensor times 2**shift of each channel: as it compares with the format at the coarsest radix point."""
        return x if self.shifts is None else x * self.shift_factors(x)

    def multiplier_values(self, like: Tensor) -> Tensor:
        """The multipliers' factors for a tensor, in its dtype; see `Multipliers`.

        Raises FormatError where there are none, or the tensor has another number of channels.
        """
        import torch

        factors = self.factors
        if not isinstance(factors, Multipliers) or factors.integers is None:
            raise FormatError("the scale has no multipliers of its own: none, or they are part of the integers")
        integers = torch.tensor(factors.integers, dtype=like.dtype, device=like.device)
        return self._broadcast(integers.mul_(2.0**-factors.fraction_bits), like)

    def block_values(self, like: Tensor) -> Tensor:
        """The factor of each element, float64, in a tensor's shape; NaN where the code is.

        Raises FormatError where the scale is not of blocks, or the tensor has another number of them.
        """
        from fewbits.formats.block_layout import from_blocks, to_blocks

        block, factors = self.block, self.factors
        if block is None or not isinstance(factors, BlockCodes):
            raise FormatError("the scale is not of blocks: ask for its radix point or its multipliers")
        along = SummedDimension(block.dim)
        blocks = to_blocks(like, block.size, along)
        count = blocks[..., 0].numel()
        if factors.count != count:
            raise FormatError(
                f"a scale of {factors.count} blocks does not fit a tensor of shape {tuple(like.shape)}: it has {count} "
                f"of {block.size} along dimension {block.dim}"
            )
        values = factors.scale_format.of_bytes(factors.codes, like.device)
        values = values.mul_(2.0**-factors.fraction_bits).mul_(factors.factor)
        return from_blocks(values.view(blocks.shape[:-1]).unsqueeze(-1).expand(blocks.shape), like.shape, along)

    def _broadcast(self, entries: Tensor, like: Tensor) -> Tensor:
        """One entry for each factor, in a shape that broadcasts with a tensor, outputs first."""
        if self.granularity == "tensor":
            return entries.view(())
        if len(entries) != (like.shape[0] if like.ndim else 0):
            shape = tuple(like.shape)
            raise FormatError(f"a scale of {len(entries)} channels does not fit a tensor of shape {shape}")
        return entries.view(-1, *(1,) * (like.ndim - 1))

    def of_numbers(self, numbers: Tensor) -> Tensor:
        """Values of a format's numbers, outputs first; in the same dtype. Raises FormatError as `coarsest` does.

        A block whose scale is NaN is NaN.
        """
        if self.block is not None:
            return numbers * self.block_values(numbers)
        if self.multiplies:
            return numbers * self.multiplier_values(numbers)
        scaled = numbers * 2.0**-self.coarsest
        return scaled if self.shifts is None else scaled / self.shift_factors(numbers)

    @cached_property
    def _points(self) -> tuple[int, ...]:
        if self.refusal is not None:
            raise FormatError(self.refusal)
        factors = self.factors
        if isinstance(factors, PowersOfTwo):
            return factors.points
        if isinstance(factors, Multipliers) and factors.integers is None:
            return (factors.fraction_bits,)
        what = (
            "multipliers are no powers of two" if isinstance(factors, Multipliers) else "each block has its own factor"
        )
        raise FormatError(f"{what}: such a scale has no radix point")


def check_fraction_bits(fraction_bits: object) -> int:
    """The same int, or FormatError if it is not one of a sane size."""
    if isinstance(fraction_bits, bool) or not isinstance(fraction_bits, int):
        raise FormatError(f"fraction_bits must be an integer, not {fraction_bits!r}")
    if abs(fraction_bits) > 512:
        raise FormatError(f"fraction_bits must lie from -512 to 512, not {fraction_bits}")
    return fraction_bits
