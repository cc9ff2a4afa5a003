"""Products that are not exact: what a multiplier gives for every pair of codes, and which of several a layer uses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewbits.arguments import shown
from fewbits.errors import FormatError
from fewbits.formats.format import Format

LARGEST_OPERAND_BITS = 8
"""Of either format: a table of 8 by 8 bits has 65,536 products, 256 KiB, which stay in a processor's second cache."""

LARGEST_CHOICE = 256
"""Of tables in a layer: which of them makes a product is kept in a byte."""

_LARGEST_PRODUCT = 2**62 - 1
"""So that a product, and a sum of two, fits an int64; `pow2-7` and `pow2-8` alone reach further."""


def check_operands(weights: Format, inputs: Format) -> None:
    """Raise FormatError unless a table can be of these formats."""
    for what, one in (("weights", weights), ("inputs", inputs)):
        if one.arithmetic != "integer" or one.bits > LARGEST_OPERAND_BITS:
            raise FormatError(
                f"a product table takes {what} of an integer format of at most {LARGEST_OPERAND_BITS} bits, not "
                f"{one.name}"
            )


def integers_of(number_format: Format) -> dict[int, int]:
    """The integer of every code that a format uses, by the code."""
    import torch  # late: descriptions of formats need none

    codes = [code for code in range(2**number_format.bits) if code not in number_format.unused_codes]
    return dict(zip(codes, (int(number) for number in number_format.decode(torch.tensor(codes)).tolist()), strict=True))


@dataclass(frozen=True, eq=False)
class ProductTable:
    """T[w, x]: what a multiplier makes of a weight's code and an input's code.

    Products are integers in the units of the two formats' integers, as `weight integer * input integer` is, whatever
    the multiplier makes of them. Two tables are equal where their contents are.
    """

    name: str
    """What made it: a named approximation, a file, a netlist with a fault."""

    weights: Format
    inputs: Format
    values: NDArray[Any]
    """2**weights.bits x 2**inputs.bits, by the unsigned patterns of the codes; int32, int64 where products are wider
    (`pow2-6/fixed8`); read-only. Rows and columns of codes that a format does not use are zeros."""

    def __post_init__(self) -> None:
        check_operands(self.weights, self.inputs)
        given: NDArray[Any] = np.asarray(self.values)
        shape = (2**self.weights.bits, 2**self.inputs.bits)
        if given.shape != shape:
            raise FormatError(
                f"a product table of {self.weights.name} weights and {self.inputs.name} inputs has {shape[0]} x "
                f"{shape[1]} entries, not {' x '.join(map(str, given.shape)) or 'one number'}"
            )
        if not np.issubdtype(given.dtype, np.integer):
            raise FormatError(f"a product table holds integers, not {given.dtype}: {shown(self.name)}")
        largest = max(int(given.max()), -int(given.min()))
        if largest > _LARGEST_PRODUCT:
            raise FormatError(
                f"products of table {shown(self.name)} reach {largest}: at most 2**62 - 1 is computed; give formats of "
                "narrower products"
            )
        kept: NDArray[Any] = np.array(given, dtype=np.int32 if largest < 2**31 else np.int64, order="C")
        kept[list(self.weights.unused_codes)] = 0
        kept[:, list(self.inputs.unused_codes)] = 0
        kept.setflags(write=False)
        object.__setattr__(self, "values", kept)

    @classmethod
    def exact(cls, weights: Format, inputs: Format) -> ProductTable:
        """That of an exact multiplier. Raises FormatError for formats that no table is of."""
        return _exact(weights, inputs)

    @classmethod
    def of(cls, name: str, weights: Format, inputs: Format, product: Callable[[int, int], int]) -> ProductTable:
        """What a function gives for every weight's and every input's integer.

        Raises FormatError for formats that no table is of.
        """
        check_operands(weights, inputs)
        rows, columns = (integers_of(one) for one in (weights, inputs))
        values: NDArray[Any] = np.zeros((2**weights.bits, 2**inputs.bits), dtype=object)
        for w, weight in rows.items():
            for x, value in columns.items():
                values[w, x] = product(weight, value)
        largest = max(abs(int(value)) for value in values.flat)
        if largest > _LARGEST_PRODUCT:
            raise FormatError(
                f"products of {weights.name} and {inputs.name} reach {largest}: a table holds at most 2**62 - 1; give "
                "formats of narrower products"
            )
        return cls(name, weights, inputs, values.astype(np.int64))

    @cached_property
    def sha256(self) -> str:
        """Of formats and contents; the name is not in it."""
        digest = hashlib.sha256(f"{self.weights.name}/{self.inputs.name}".encode())
        digest.update(self.values.astype("<i8").tobytes())
        return digest.hexdigest()

    @cached_property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest product of any weight and input."""
        ranges = self.ranges[[code for code in range(len(self.ranges)) if code not in self.weights.unused_codes]]
        return int(ranges[:, 0].min()), int(ranges[:, 1].max())

    @cached_property
    def ranges(self) -> NDArray[np.int64]:
        """Smallest and largest product of each weight's code, with any input: 2**weights.bits x 2, read-only."""
        used = [code for code in range(2**self.inputs.bits) if code not in self.inputs.unused_codes]
        products = self.values[:, used].astype(np.int64)
        ranges = np.stack([products.min(axis=1), products.max(axis=1)], axis=1)
        ranges.setflags(write=False)
        return ranges

    @cached_property
    def is_exact(self) -> bool:
        """Whether every product is weight times input."""
        return self == ProductTable.exact(self.weights, self.inputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProductTable) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)


@lru_cache(maxsize=64)
def _exact(weights: Format, inputs: Format) -> ProductTable:
    return ProductTable.of("exact", weights, inputs, lambda w, x: w * x)


@dataclass(frozen=True, eq=False)
class LayerProducts:
    """The product tables of a layer: one for all products, or one of several for each synapse of each output."""

    tables: tuple[ProductTable, ...]
    """All of the same two formats; 256 at most."""

    choice: NDArray[Any] | None = None
    """outputs x synapses (in the order of the weights' dimensions), the number of each product's table; uint8,
    read-only. None: the first table for all, and then there is one."""

    def __post_init__(self) -> None:
        if len({(one.weights.name, one.inputs.name) for one in self.tables}) != 1:
            raise FormatError("a layer's product tables are one or more, all of the same two formats")
        if len(self.tables) > LARGEST_CHOICE:
            raise FormatError(f"a layer has at most {LARGEST_CHOICE} product tables, not {len(self.tables)}")
        if self.choice is None:
            if len(self.tables) > 1:
                raise FormatError(
                    f"a layer of {len(self.tables)} product tables needs the choice, outputs x synapses, of which "
                    "makes each product"
                )
            return
        given: NDArray[Any] = np.asarray(self.choice)
        if given.ndim != 2 or not given.size or not np.issubdtype(given.dtype, np.integer):
            raise FormatError("the choice of product tables is a table of integers, outputs x synapses")
        low, high = int(given.min()), int(given.max())
        if not 0 <= low <= high < len(self.tables):
            raise FormatError(
                f"the choice of product tables names {low} to {high}: there are tables 0 to {len(self.tables) - 1}"
            )
        kept = np.ascontiguousarray(given.astype(np.uint8))
        kept.setflags(write=False)
        object.__setattr__(self, "choice", kept)

    @classmethod
    def by_output(cls, tables: Sequence[ProductTable], outputs: Sequence[int], synapses: int) -> LayerProducts:
        """One table for all products of an output. outputs: the number of each output's table."""
        return cls(tuple(tables), np.repeat(np.asarray(outputs)[:, None], synapses, axis=1))

    @property
    def weights(self) -> Format:
        """Format of the weights."""
        return self.tables[0].weights

    @property
    def inputs(self) -> Format:
        """Format of the inputs."""
        return self.tables[0].inputs

    @cached_property
    def is_exact(self) -> bool:
        """Whether every product of every table is exact."""
        return all(table.is_exact for table in self.tables)

    def leaves_out(self, codes: NDArray[Any]) -> bool:
        """Whether some products are left out, those of weights that are zero, and all others are exact.

        codes: of the weights, outputs first. A layer of such weights computes with exact products.
        """
        if not any(not table.values.any() for table in self.tables):
            return False
        exact = ProductTable.exact(self.weights, self.inputs).values
        is_exact = np.concatenate([(table.values == exact).all(axis=1) for table in self.tables])
        return bool(is_exact[self.rows(codes)].all())

    @property
    def name(self) -> str:
        """Names of the tables, each once."""
        return ", ".join(dict.fromkeys(table.name for table in self.tables))

    def refusal(self, weights: Format, inputs: Format, outputs: int, synapses: int) -> str | None:
        """Why a layer of these formats and sizes cannot take the tables, as a sentence's end; None if it can."""
        if (self.weights, self.inputs) != (weights, inputs):
            return (
                f"has {weights.name} weights and {inputs.name} inputs, its product tables are of {self.weights.name} "
                f"and {self.inputs.name}"
            )
        if self.choice is not None and self.choice.shape != (outputs, synapses):
            return (
                f"has {outputs} outputs of {synapses} synapses, the choice of its product tables is "
                f"{self.choice.shape[0]} x {self.choice.shape[1]}"
            )
        return None

    def rows(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Of all tables one below another, the row of each weight. codes: of the weights, outputs first."""
        flat = codes.reshape(len(codes), -1).astype(np.int64)
        return flat if self.choice is None else flat + self.choice.astype(np.int64) * 2**self.weights.bits

    def ranges(self, codes: NDArray[Any]) -> NDArray[np.int64]:
        """Smallest and largest product of each weight, with any input: outputs x synapses x 2."""
        stacked = np.concatenate([table.ranges for table in self.tables])
        return stacked[self.rows(codes)]

    @cached_property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest product of any weight and input with any of the tables."""
        return min(table.limits[0] for table in self.tables), max(table.limits[1] for table in self.tables)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LayerProducts) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    @cached_property
    def sha256(self) -> str:
        """Of the tables' contents and the choice."""
        digest = hashlib.sha256("".join(table.sha256 for table in self.tables).encode())
        if self.choice is not None:
            digest.update(str(self.choice.shape).encode() + self.choice.tobytes())
        return digest.hexdigest()
