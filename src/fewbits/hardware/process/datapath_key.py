"""What names a datapath: its key, from which the names in technology tables, files and figures are printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fewbits.arguments import shown
from fewbits.errors import HardwareError
from fewbits.formats import FixedPoint, Precision

Architecture = Literal["booth", "array", "operator"]
"""How products are made: of partial products by radix-4 Booth recoding, or one for each bit of the weight; or by a
plain `a * b`, which is left to synthesis: mappers for FPGAs put it into DSP blocks."""

ARCHITECTURES: Mapping[Architecture, str] = {
    "booth": "radix-4 Booth",
    "array": "array",
    "operator": "multiplication left to synthesis",
}
"""In words."""

ONE_ROW: frozenset[Architecture] = frozenset({"operator"})
"""Those that give a product as one row: they have no carry-save form."""

Accumulation = Literal["integer", "float32"]
"""What sums are held in: integers, wide enough for every sum; float32, where each addition rounds."""


@dataclass(frozen=True)
class DatapathKey:
    """The datapath of a precision, and what differs from Booth multipliers with whole products.

    Names are printed from keys and never parsed back: who needs a part of a name holds the key.
    """

    precision: Precision
    multiplier: Architecture = "booth"
    product_bits: int | None = None
    """Width that products are truncated to; None keeps them whole."""

    accumulation: Accumulation | None = None
    """What sums are held in; None for what the precision's datapath has by itself."""

    @property
    def name(self) -> str:
        """Its entry in a technology table: `fixed16`, `fixed16 array`, `fixed16 product20`."""
        return " ".join(
            [
                self.precision.name,
                *([self.multiplier] if self.multiplier != "booth" else []),
                *([f"product{self.product_bits}"] if self.product_bits is not None else []),
                *([f"{self.accumulation} sums"] if self.accumulation is not None else []),
            ]
        )

    @property
    def arguments(self) -> str:
        """What asks a command for it, behind `rtl` or `characterize --precision`: `fixed16 --product-bits 20`."""
        return " ".join(
            [
                self.precision.name,
                *([f"--multiplier {self.multiplier}"] if self.multiplier != "booth" else []),
                *([f"--product-bits {self.product_bits}"] if self.product_bits is not None else []),
            ]
        )

    def __str__(self) -> str:
        return self.name


def equal_widths(bits: int) -> DatapathKey:
    """The key of fixedN."""
    fixed = FixedPoint(bits)
    return DatapathKey(Precision(fixed, fixed))


def architecture(multiplier: str) -> Architecture:
    """An architecture of multipliers by its name. Raises HardwareError for another."""
    for known in ARCHITECTURES:
        if multiplier == known:
            return known
    *names, last = map(repr, ARCHITECTURES)
    raise HardwareError(f"multiplier must be {', '.join(names)} or {last}, not {shown(multiplier)}")
