"""Products that are computed approximately, switched by what a tile of 16 neurons takes in the same cycle.

A *unit* is 16 neighbouring outputs, which the tile's neurons compute together. A *chunk* is 16 neighbouring synapses of
them, in the order of the weights' dimensions, which they take in one cycle: a row of the tile's memory of weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from fewbits.arguments import shown
from fewbits.errors import FormatError
from fewbits.formats.approximations import approximation, parse_approximation
from fewbits.formats.format import Format
from fewbits.formats.product_table import LayerProducts, ProductTable
from fewbits.formats.registry import parse_format

OUTPUTS_OF_A_UNIT = 16
"""Neurons of the default accelerator, which compute neighbouring outputs in the same cycles (DianNao's Tn)."""

SYNAPSES_OF_A_CHUNK = 16
"""Synapses that each of its neurons takes in a cycle (DianNao's Ti)."""

DROPPED = "dropped"
"""Products are not computed: an output without any is its bias."""

_LONGEST = 200_000
"""Characters of a text that `SwitchedUnits.parse` takes."""

_MOST_CHUNKS = 1_000_000
"""Chunks of a layer that it takes: 256 million weights."""


def reduced_operands(name: str, weights: Format, inputs: Format) -> ProductTable:
    """Products of operands of fewer bits.

    name: a fixed point that is narrower than both, such as `fixed4`. Weights are stored in it, rounded half to even and
    saturating. Of inputs, which other outputs take whole, the top bits are wired to the narrow datapath: the low ones
    are cut. The product moves left by the bits that are missing. Raises FormatError for another format.
    """
    narrow = parse_format(name)
    for what, one in (("weights", weights), ("inputs", inputs)):
        if not one.narrows_to(narrow):
            raise FormatError(
                f"{name} is not the top bits of a wider fixed point: the {what} are {one.name}; give a fixed point of "
                "fewer bits than both have"
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
    """What a switched product is computed by.

    name: `dropped`, a narrower fixed point (`reduced_operands`) or a named approximation. Raises FormatError for
    others, and for formats that no table is of.
    """
    check_name(name)
    if name == DROPPED:
        return ProductTable.of(name, weights, inputs, lambda _, __: 0)
    if narrow_format(name) is not None:
        return reduced_operands(name, weights, inputs)
    return approximation(name, weights, inputs)


def check_name(name: str) -> None:
    """Raise FormatError for a name that is no approximation of outputs."""
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise FormatError(f"an approximation is a name such as 'fixed4', not {shown(name)}")
    if name == DROPPED or narrow_format(name) is not None:
        return
    try:
        parse_approximation(name)
    except FormatError as error:
        raise FormatError(f"{error}; or 'dropped', or a narrower fixed point such as 'fixed4'") from None


def narrow_format(name: str) -> Format | None:
    """The format that an approximation by operands of fewer bits is named after; None for other approximations."""
    try:
        return parse_format(name)
    except FormatError:
        return None


@dataclass(frozen=True)
class SwitchedUnits:
    """The products of a layer that are computed approximately: whole units, and chunks of others. At least one."""

    approximation: str
    """As `approximate_table` takes it."""

    units: tuple[int, ...] = ()
    """Numbers of the units that are approximate in all chunks, rising: unit n holds outputs 16 n to 16 n + 15."""

    chunks: tuple[tuple[int, int], ...] = ()
    """Of other units: the unit and the chunk, rising: chunk n holds synapses 16 n to 16 n + 15."""

    def __post_init__(self) -> None:
        """Check all."""
        check_name(self.approximation)
        if not _rises(self.units) or not _rises(self.chunks) or not (self.units or self.chunks):
            raise FormatError(
                f"switched units and chunks are rising numbers from 0, at least one, not {shown(self.units)} and "
                f"{shown(self.chunks[:4])}"
            )
        if twice := {unit for unit, _ in self.chunks}.intersection(self.units):
            raise FormatError(f"unit {min(twice)} is switched as a whole, and chunks of it once more: name it once")

    def of_chunks(self, outputs: int, synapses: int) -> NDArray[np.bool_]:
        """Which are switched: units x chunks. Raises FormatError for a unit or a chunk that is not there."""
        switched: NDArray[np.bool_] = np.zeros(
            (-(-outputs // OUTPUTS_OF_A_UNIT), -(-synapses // SYNAPSES_OF_A_CHUNK)), dtype=np.bool_
        )
        units, chunks = switched.shape
        last = max((*self.units, *(unit for unit, _ in self.chunks)))
        if last >= units:
            raise FormatError(
                f"{outputs} outputs are {units} units of {OUTPUTS_OF_A_UNIT}, counted from 0: there is no unit {last}"
            )
        last = max((chunk for _, chunk in self.chunks), default=0)
        if last >= chunks:
            raise FormatError(
                f"{synapses} synapses are {chunks} chunks of {SYNAPSES_OF_A_CHUNK}, counted from 0: there is no chunk "
                f"{last}"
            )
        switched[list(self.units)] = True
        for unit, chunk in self.chunks:
            switched[unit, chunk] = True
        return switched

    def of_products(self, outputs: int, synapses: int) -> NDArray[np.bool_]:
        """Which are switched: outputs x synapses. Raises what `of_chunks` raises."""
        by_output = np.repeat(self.of_chunks(outputs, synapses), OUTPUTS_OF_A_UNIT, axis=0)[:outputs]
        return np.repeat(by_output, SYNAPSES_OF_A_CHUNK, axis=1)[:, :synapses]

    def products(self, weights: Format, inputs: Format, outputs: int, synapses: int) -> LayerProducts:
        """Exact products, and approximate ones where they are switched. Raises FormatError for what is not there."""
        choice = self.of_products(outputs, synapses).astype(np.uint8)
        tables = (
            ProductTable.exact(weights, inputs),
            approximate_table(self.approximation, weights, inputs),
        )
        return LayerProducts(tables, choice)

    @property
    def text(self) -> str:
        """As `parse` takes it: `fixed4:0,3`, `dropped:1,2.0,2.4-7` with chunks 0 and 4 to 7 of unit 2."""
        return f"{self.approximation}:{','.join((*map(str, self.units), *_runs(self.chunks)))}"

    @classmethod
    def parse(cls, text: str) -> SwitchedUnits:
        """What `text` wrote. Raises FormatError for anything else."""
        number = "[0-9]{1,6}"
        one = rf"{number}(?:\.{number}(?:-{number})?)?"
        found = re.fullmatch(f"([a-z0-9-]+):({one}(?:,{one})*)", text) if len(text) <= _LONGEST else None
        if found is None:
            raise FormatError(f"switched units are written as 'fixed4:0,3' or 'fixed4:2.0-7', not {shown(text[:100])}")
        units: list[int] = []
        chunks: list[tuple[int, int]] = []
        for each in found[2].split(","):
            unit, _, places = each.partition(".")
            first, _, last = places.partition("-")
            if not places:
                units.append(int(unit))
                continue
            run = range(int(first), int(last or first) + 1)
            if not run or len(chunks) + len(run) > _MOST_CHUNKS:
                raise FormatError(f"switched chunks are runs such as '2.4-7', up to {_MOST_CHUNKS:,}, not {each!r}")
            chunks += ((int(unit), chunk) for chunk in run)
        return cls(found[1], tuple(units), tuple(chunks))

    @classmethod
    def of(cls, approximation: str, switched: NDArray[np.bool_]) -> SwitchedUnits | None:
        """What `of_chunks` gives; None where nothing is switched."""
        if not switched.any():
            return None
        whole = switched.all(axis=1)
        units = tuple(int(unit) for unit in np.flatnonzero(whole))
        chunks = tuple((int(unit), int(chunk)) for unit, chunk in np.argwhere(switched & ~whole.reshape(-1, 1)))
        return cls(approximation, units, chunks)


def _rises(numbers: tuple[int, ...] | tuple[tuple[int, int], ...]) -> bool:
    """Whether numbers, or pairs of them, rise from 0 or more."""
    flat = [one if isinstance(one, tuple) else (one,) for one in numbers]
    return all(min(one) >= 0 for one in flat) and all(low < high for low, high in pairwise(flat))


def _runs(chunks: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Neighbouring chunks of a unit in one text."""
    numbered = enumerate(chunks)
    for (unit, _), run in groupby(numbered, key=lambda at: (at[1][0], at[1][1] - at[0])):
        numbers = [chunk for _, (_, chunk) in run]
        yield f"{unit}.{numbers[0]}" + (f"-{numbers[-1]}" if len(numbers) > 1 else "")
