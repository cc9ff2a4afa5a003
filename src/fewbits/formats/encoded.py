"""Encoded tensors: codes with their format and scale, which is what hardware holds of a layer's weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fewbits.formats.format import Format
from fewbits.formats.scale import Scale

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Encoded:
    """A tensor as codes of a format, with a scale: made once by `of`, read by all that computes with it."""

    codes: NDArray[Any]
    """The tensor's codes, of the smallest unsigned dtype, in its shape; read-only."""

    number_format: Format
    scale: Scale

    def __post_init__(self) -> None:
        narrow = np.ascontiguousarray(self.codes.astype(np.min_scalar_type(2**self.number_format.bits - 1)))
        narrow.setflags(write=False)
        object.__setattr__(self, "codes", narrow)

    @classmethod
    def of(cls, values: Tensor, number_format: Format, scale: Scale) -> Encoded:
        """The nearest values' codes.

        values: float, any shape; with a scale of channels, those first. Raises what `Format.encoded` raises.
        """
        return number_format.encoded(values, scale)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return self.codes.shape

    def __len__(self) -> int:
        """Entries of the first dimension: outputs."""
        return len(self.codes)

    @property
    def fraction_bits(self) -> int:
        """Radix point of the numbers; with one a channel, the finest, to which all are moved."""
        return self.scale.finest

    @property
    def stored_bits(self) -> int:
        """Bits of memory: the codes, and the scale of each channel or block that has its own."""
        return self.codes.size * self.number_format.bits + self.scale.factors.count * self.scale.stored_bits

    @cached_property
    def numbers(self) -> NDArray[Any]:
        """What is multiplied: value times 2**fraction_bits, integers, or float32 of a float format. Read-only.

        With a scale of blocks, the elements: value divided by the block's factor.
        """
        import torch

        codes = torch.from_numpy(self.codes.astype(np.int64))
        if self.number_format.arithmetic == "integer":
            numbers = _integers(codes, self.number_format, self.scale.moves)
        else:
            numbers = self.number_format.decode(codes).to(torch.float32).numpy()
        numbers.setflags(write=False)
        return numbers

    @property
    def integers(self) -> NDArray[Any]:
        """The numbers of an integer format: int8 to int64, the smallest that holds all of the format's; Python integers
        if none does. Raises FormatError for another format.
        """
        self.number_format.integer_limits  # noqa: B018 - refuses what has no integers
        return self.numbers

    def values(self) -> Tensor:
        """The values, float64, in the tensor's shape."""
        import torch

        numbers = torch.from_numpy(self.numbers.astype(np.float64))
        if self.scale.block is not None:
            return self.scale.of_numbers(numbers)
        return numbers * 2.0**-self.fraction_bits

    def codes_in(self, number_format: Format) -> NDArray[np.int64]:
        """Codes of the same numbers in a format that holds them, such as that of a datapath for wider ones."""
        import torch

        if number_format == self.number_format and not any(self.scale.moves or ()):
            return self.codes.astype(np.int64)
        return number_format.encode(torch.from_numpy(self.numbers.astype(np.float64))).numpy()


def _integers(codes: Tensor, number_format: Format, moves: tuple[int, ...] | None) -> NDArray[Any]:
    """Integers of codes, each channel's moved left; in the smallest dtype that holds all of the format's so moved."""
    import torch

    widest = max(number_format.integer_limits)
    dtype = _smallest(widest)
    if dtype is None:  # only pow2-8 is so wide: its powers are exact in float64
        integers = _as_objects(number_format.decode(codes))
    else:
        integers = number_format.decode(codes).to(torch.int64).numpy().astype(dtype)
    if moves is None:
        return integers
    factors = np.array([1 << move for move in moves], dtype=object).reshape(-1, *(1,) * (integers.ndim - 1))
    moved: NDArray[Any] = integers.astype(object) * factors
    dtype = _smallest(widest << max(moves))
    return moved if dtype is None else moved.astype(dtype)


def _smallest(widest: int) -> type[np.signedinteger[Any]] | None:
    return next((dtype for dtype in (np.int8, np.int16, np.int32, np.int64) if widest <= np.iinfo(dtype).max), None)


def _as_objects(numbers: Tensor) -> NDArray[Any]:
    result: NDArray[Any] = np.empty(numbers.numel(), dtype=object)
    result[:] = [int(number) for number in numbers.reshape(-1).tolist()]
    return result.reshape(tuple(numbers.shape))
