"""Products that are not exact: what a multiplier gives for every pair of codes, and which of several a layer uses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewbits.arguments import shown
from fewbits.errors import FormatError
from fewbits.formats.format import Format

LARGEST_OPERAND_BITS = 8
"""Of either format: a table of 8 by 8 bits has 65,536 products, 256 KiB, which stay in a processor's second cache."""

_LARGEST_PRODUCT = 2**31 - 1


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
    """2**weights.bits x 2**inputs.bits, by the unsigned patterns of the codes; int32, read-only."""

    def __post_init__(self) -> None:
        for what, one in (("weights", self.weights), ("inputs", self.inputs)):
            if one.arithmetic != "integer" or one.bits > LARGEST_OPERAND_BITS:
                raise FormatError(
                    f"a product table takes {what} of an integer format of at most {LARGEST_OPERAND_BITS} bits, not "
                    f"{one.name}"
                )
        given: NDArray[Any] = np.asarray(self.values)
        shape = (2**self.weights.bits, 2**self.inputs.bits)
        if given.shape != shape:
            raise FormatError(
                f"a product table of {self.weights.name} weights and {self.inputs.name} inputs has {shape[0]} x "
                f"{shape[1]} entries, not {' x '.join(map(str, given.shape)) or 'one number'}"
            )
        if not np.issubdtype(given.dtype, np.integer):
            raise FormatError(f"a product table holds integers, not {given.dtype}: {shown(self.name)}")
        if given.size and max(abs(int(given.min())), abs(int(given.max()))) > _LARGEST_PRODUCT:
            raise FormatError(
                f"products of table {shown(self.name)} exceed 32 bits: no multiplier of 8 bits gives them"
            )
        kept = np.ascontiguousarray(given.astype(np.int32))
        kept.setflags(write=False)
        object.__setattr__(self, "values", kept)

    @classmethod
    def exact(cls, weights: Format, inputs: Format) -> ProductTable:
        """That of an exact multiplier."""
        import torch  # late: descriptions of formats need none

        columns = [one.to_integers(torch.arange(2**one.bits)).numpy() for one in (weights, inputs)]
        return cls("exact", weights, inputs, np.multiply.outer(*columns))

    @cached_property
    def sha256(self) -> str:
        """Of formats and contents; the name is not in it."""
        digest = hashlib.sha256(f"{self.weights.name}/{self.inputs.name}".encode())
        digest.update(self.values.astype("<i4").tobytes())
        return digest.hexdigest()

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest product."""
        return int(self.values.min()), int(self.values.max())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProductTable) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)


@dataclass(frozen=True, eq=False)
class LayerProducts:
    """The product tables of a layer: one for all products, or one of several for each synapse of each output."""

    tables: tuple[ProductTable, ...]
    """All of the same two formats."""

    choice: NDArray[Any] | None = None
    """outputs x synapses (in the order of the weights' dimensions), the number of each product's table; uint8,
    read-only. None: the first table for all."""

    def __post_init__(self) -> None:
        if not self.tables or len({(one.weights.name, one.inputs.name) for one in self.tables}) != 1:
            raise FormatError("a layer's product tables are one or more, all of the same two formats")
        if self.choice is None:
            return
        given: NDArray[Any] = np.asarray(self.choice)
        if given.ndim != 2 or not np.issubdtype(given.dtype, np.integer):
            raise FormatError("the choice of product tables is a table of integers, outputs x synapses")
        if given.size and not 0 <= int(given.min()) <= int(given.max()) < len(self.tables) <= 256:
            raise FormatError(
                f"the choice of product tables names tables from 0 to {len(self.tables) - 1}, 256 at most"
            )
        kept = np.ascontiguousarray(given.astype(np.uint8))
        kept.setflags(write=False)
        object.__setattr__(self, "choice", kept)

    @classmethod
    def by_output(cls, tables: Sequence[ProductTable], outputs: Sequence[int], synapses: int) -> LayerProducts:
        """One table for all products of an output. outputs: the number of each output's table."""
        return cls(tuple(tables), np.repeat(np.asarray(outputs)[:, None], synapses, axis=1))
