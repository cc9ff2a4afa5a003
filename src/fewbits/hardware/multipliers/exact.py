"""The exact multipliers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewbits.hardware.multipliers.kinds import MultiplierKind
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value

_Rows = tuple["Value", "Value"]


@dataclass(frozen=True)
class _Exact(MultiplierKind):
    """A multiplier of `circuits.exact`, whose circuits are loaded when they are built."""

    name: str
    words: str
    circuit: Callable[..., _Rows]

    def rows(
        self, m: Module, multiplier: Value, multiplicand: Value, width: int, registers: int = 0
    ) -> tuple[Value, Value]:
        """As its circuit makes them."""
        return self.circuit(m, multiplier, multiplicand, width, registers)


class _Booth(_Exact):
    def excess(self, multiplier_bits: int, multiplicand_bits: int) -> int:
        """Nothing takes up the sign of the last row (`circuits.exact.booth`)."""
        return 2 ** (multiplicand_bits + 2 * ((multiplier_bits + 1) // 2))


class _OneRow(_Exact):
    is_one_row = True
    fits_dsp_blocks = True


def _booth(*operands: Module | Value | int) -> _Rows:
    from fewbits.hardware.multipliers.circuits.exact import booth  # loads Amaranth: late, as a cost builds no circuit

    return booth(*operands)  # pyright: ignore[reportArgumentType]


def _array(*operands: Module | Value | int) -> _Rows:
    from fewbits.hardware.multipliers.circuits.exact import array

    return array(*operands)  # pyright: ignore[reportArgumentType]


def _operator(*operands: Module | Value | int) -> _Rows:
    from fewbits.hardware.multipliers.circuits.exact import operator

    return operator(*operands)  # pyright: ignore[reportArgumentType]


EXACT: Mapping[str, MultiplierKind] = {
    one.name: one
    for one in (
        _Booth(DEFAULT_MULTIPLIER, "radix-4 Booth", _booth),
        _Exact("array", "array", _array),
        _OneRow("operator", "multiplication left to synthesis", _operator),
    )
}
"""By name: products made of partial products by radix-4 Booth recoding, or one for each bit of the weight; or by a
plain `a * b`, which is left to synthesis: mappers for FPGAs put it into DSP blocks."""
