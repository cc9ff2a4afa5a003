"""Integers too wide for float64, as tensors of limbs: exact sums of split products, ReLU, rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewbits.graph.operations import ObjectArray

LIMB_BITS = 16
"""Width of a limb. Products of two limbs and 2**20 sums of them fit the 53 bits of float64."""

_BASE = 1 << LIMB_BITS


@dataclass(frozen=True, eq=False)
class WideIntegers:
    """Two's complement integers: the sum of limbs[i] * 2**(16 * i).

    All limbs but the last lie from 0 to 2**16 - 1; the last one carries the sign.
    """

    limbs: Tensor
    """int64, limbs first, then the shape of the integers."""

    @classmethod
    def from_sums(cls, sums: list[Tensor], bits: int) -> WideIntegers:
        """Carry sums of limb products into limbs.

        sums: int64 tensors of one shape; entry i counts 2**(16 * i) and stays below 2**62. bits: a two's complement
        width that holds every result.
        """
        count = max(len(sums), -(-bits // LIMB_BITS))
        limbs = torch.zeros((count, *sums[0].shape), dtype=torch.int64, device=sums[0].device)
        carry = torch.zeros_like(sums[0])
        for index in range(count - 1):
            total = carry + sums[index] if index < len(sums) else carry
            limbs[index] = total & (_BASE - 1)
            carry = total >> LIMB_BITS
        limbs[-1] = carry + sums[-1] if len(sums) == count else carry
        return cls(limbs)

    def relu(self) -> WideIntegers:
        """Negatives to zero."""
        return WideIntegers(torch.where(self.limbs[-1] < 0, 0, self.limbs))

    def reshape(self, *shape: int) -> WideIntegers:
        """The same integers in another shape."""
        return WideIntegers(self.limbs.reshape(len(self.limbs), *shape))

    def rounded_to_odd(self) -> Tensor:
        """float64, exact below 2**36; above, cut to at least 36 bits and made odd if anything was cut.

        Rounding that to 34 bits or fewer gives what rounding the exact integer gives (Boldo and Melquiond, "When
        double rounding is odd", IMACS 2005).
        """
        negative = self.limbs[-1] < 0
        magnitude = WideIntegers.from_sums([torch.where(negative, -limb, limb) for limb in self.limbs], 0).limbs
        head = magnitude[-1]
        dropped = torch.zeros_like(head, dtype=torch.bool)
        scale = torch.ones_like(head, dtype=torch.float64)
        for limb in reversed(magnitude[:-1].unbind()):
            is_full = head >= 1 << (52 - LIMB_BITS)
            dropped |= is_full & (limb != 0)
            scale = torch.where(is_full, scale * _BASE, scale)
            head = torch.where(is_full, head, head * _BASE + limb)
        result = (head | dropped.to(torch.int64)).to(torch.float64) * scale
        return torch.where(negative, -result, result)

    def to_objects(self) -> ObjectArray:
        """Python integers."""
        limbs = self.limbs.cpu().numpy().astype(object)
        total: ObjectArray = limbs[-1]
        for limb in limbs[-2::-1]:
            total = total * _BASE + limb
        return np.asarray(total, dtype=object)


def as_objects(numbers: NDArray[Any]) -> ObjectArray:
    """Integers of any type, floats that are integers among them, as Python integers in the same shape."""
    result: ObjectArray = np.empty(numbers.size, dtype=object)
    result[:] = [int(number) for number in numbers.flat]
    return result.reshape(numbers.shape)


def split_weight(weight: NDArray[Any]) -> list[NDArray[np.float64]]:
    """Weights as signed limbs: their sum of limb[i] * 2**(16 * i), each of at most 2**15 in magnitude.

    Signed limbs keep the sums of products half as large as unsigned ones would.
    weight: integers of any width.
    """
    rest: Any = weight.astype(object) if weight.dtype == object else weight.astype(np.int64)
    limbs: list[NDArray[np.float64]] = []
    while True:
        low = (rest + _BASE // 2) % _BASE - _BASE // 2
        if not np.any(abs(rest) > _BASE // 2):
            limbs.append(rest.astype(np.float64))
            return limbs
        limbs.append(low.astype(np.float64))
        rest = (rest - low) // _BASE


def split_values(values: Tensor, limbs: int) -> list[Tensor]:
    """Integers as limbs: all but the last from 0 to 2**16 - 1, the last one signed.

    values: integers in float64 or as limbs of WideIntegers, below 2**(16 * limbs - 1) in magnitude.
    """
    parts: list[Tensor] = []
    for _ in range(limbs - 1):
        above = torch.floor(values / _BASE)
        parts.append(values - above * _BASE)
        values = above
    return [*parts, values]
