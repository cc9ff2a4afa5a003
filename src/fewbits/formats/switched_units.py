"""Outputs whose products are computed approximately, switched by units of 16: what a tile of 16 neurons can switch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fewbits.arguments import shown
from fewbits.errors import FormatError
from fewbits.formats.approximations import approximation, parse_approximation
from fewbits.formats.format import Format
from fewbits.formats.product_table import LayerProducts, ProductTable
from fewbits.formats.registry import parse_format

OUTPUTS_OF_A_UNIT = 16
"""Neurons of the default accelerator, which compute neighbouring outputs in the same cycles (DianNao's Tn)."""

DROPPED = "dropped"
"""Products are not computed: the outputs are their biases."""

_LONGEST = 10_000
"""Characters of a text that `SwitchedUnits.parse` takes."""


def reduced_operands(name: str, weights: Format, inputs: Format) -> ProductTable:
    """Products of operands of fewer bits.

    name: a fixed point that is narrower than both, such as `fixed4`. Weights are stored in it, rounded half to even and
    saturating. Of inputs, which other outputs take whole, the top bits are wired to the narrow datapath: the low ones
    are cut. The product moves left by the bits that are missing. Raises FormatError for another format.
    """
    narrow = parse_format(name)
    for what, one in (("weights", weights), ("inputs", inputs)):
        if narrow.family != "fixed" or one.family != "fixed" or narrow.bits >= one.bits:
            raise FormatError(
                f"{name} reduces fixed point to fewer bits: the {what} are {one.name}; give a fixed point of fewer"
            )
    rows, columns = weights.bits - narrow.bits, inputs.bits - narrow.bits
    low, high = -(2 ** (narrow.bits - 1)), 2 ** (narrow.bits - 1) - 1

    def product(weight: int, value: int) -> int:
        floor, rest = divmod(weight, 2**rows)
        half = 2 ** (rows - 1)
        rounded = floor + (rest > half or (rest == half and floor % 2 == 1))
        return (min(max(rounded, low), high) * (value >> columns)) << (rows + columns)

    return ProductTable.of(name, weights, inputs, product)


def approximate_table(name: str, weights: Format, inputs: Format) -> ProductTable:
    """What a switched output computes with.

    name: `dropped`, a narrower fixed point (`reduced_operands`) or a named approximation. Raises FormatError for
    others, and for formats that no table is of.
    """
    check_name(name)
    if name == DROPPED:
        return ProductTable.of(name, weights, inputs, lambda _, __: 0)
    if _is_format(name):
        return reduced_operands(name, weights, inputs)
    return approximation(name, weights, inputs)


def check_name(name: str) -> None:
    """Raise FormatError for a name that is no approximation of outputs."""
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise FormatError(f"an approximation is a name such as 'fixed4', not {shown(name)}")
    if name == DROPPED:
        return
    if _is_format(name):
        parse_format(name)
        return
    try:
        parse_approximation(name)
    except FormatError as error:
        raise FormatError(f"{error}; or 'dropped', or a narrower fixed point such as 'fixed4'") from None


def _is_format(name: str) -> bool:
    return re.fullmatch("fixed[0-9]{1,3}", name) is not None


@dataclass(frozen=True)
class SwitchedUnits:
    """The units of a layer that compute approximately."""

    approximation: str
    """As `approximate_table` takes it."""

    units: tuple[int, ...]
    """Their numbers, rising: unit n holds outputs 16 n to 16 n + 15. At least one."""

    def __post_init__(self) -> None:
        """Check both."""
        check_name(self.approximation)
        rising = all(low < high for low, high in zip(self.units, self.units[1:], strict=False))
        if not self.units or self.units[0] < 0 or not rising:
            raise FormatError(f"switched units are rising numbers from 0, at least one, not {shown(self.units)}")

    def products(self, weights: Format, inputs: Format, outputs: int, synapses: int) -> LayerProducts:
        """Exact products, and approximate ones in the units. Raises FormatError for a unit that is not there."""
        if self.units[-1] * OUTPUTS_OF_A_UNIT >= outputs:
            raise FormatError(
                f"{outputs} outputs are {-(-outputs // OUTPUTS_OF_A_UNIT)} units of {OUTPUTS_OF_A_UNIT}, counted from "
                f"0: there is no unit {self.units[-1]}"
            )
        tables = (
            ProductTable.exact(weights, inputs),
            approximate_table(self.approximation, weights, inputs),
        )
        switched = frozenset(self.units)
        chosen = [int(output // OUTPUTS_OF_A_UNIT in switched) for output in range(outputs)]
        return LayerProducts.by_output(tables, chosen, synapses)

    @property
    def text(self) -> str:
        """As `parse` takes it: `fixed4:0,3`."""
        return f"{self.approximation}:{','.join(map(str, self.units))}"

    @classmethod
    def parse(cls, text: str) -> SwitchedUnits:
        """What `text` wrote. Raises FormatError for anything else."""
        found = re.fullmatch("([a-z0-9-]+):([0-9]{1,6}(?:,[0-9]{1,6})*)", text) if len(text) <= _LONGEST else None
        if found is None:
            raise FormatError(f"switched units are written as 'fixed4:0,3', not {shown(text[:100])}")
        return cls(found[1], tuple(int(number) for number in found[2].split(",")))
