"""Approximate products by name, and what a layer computes with."""

from __future__ import annotations

import difflib
import re

import numpy as np

from fewbits.arguments import shown
from fewbits.errors import FormatError
from fewbits.formats.approximation_kinds import APPROXIMATIONS, ApproximationKind
from fewbits.formats.format import Format
from fewbits.formats.product_table import LayerProducts, ProductTable, check_operands, integers_of

Products = str | ProductTable | LayerProducts
"""What makes a layer's products: a named approximation, one table, or several and which of them makes which."""

_NUMBER = "0|[1-9][0-9]{0,2}"


def parse_approximation(name: str) -> tuple[ApproximationKind, tuple[int, ...]]:
    """The kind of an approximation and the parameters in its name. Raises FormatError for another name."""
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise FormatError(f"an approximation is a name such as 'truncated-6', not {shown(name)}")
    found = re.fullmatch(rf"([a-z]+(?:-[a-z]+)*)((?:-(?:{_NUMBER}))*)", name)
    kind = APPROXIMATIONS.get(found[1]) if found else None
    if found is None or kind is None:
        nearest = difflib.get_close_matches(re.sub("[^a-z]+$", "", name.lower()), APPROXIMATIONS, n=1)
        hint = f"; did you mean {APPROXIMATIONS[nearest[0]].pattern}?" if nearest else ""
        raise FormatError(f"no approximation {shown(name)}: give {', '.join(approximation_patterns())}{hint}")
    given = tuple(int(number) for number in found[2].split("-")[1:])
    defaults = [parameter.default for parameter in kind.parameters[len(given) :]]
    if len(given) > len(kind.parameters) or None in defaults:
        raise FormatError(f"{shown(name)} has {len(given)} numbers: an approximation of its kind is {kind.pattern}")
    return kind, (*given, *(default for default in defaults if default is not None))


def approximation_patterns() -> tuple[str, ...]:
    """How the names of all approximations look."""
    return tuple(kind.pattern for kind in APPROXIMATIONS.values())


def approximation(name: str, weights: Format, inputs: Format) -> ProductTable:
    """The table of a named approximation for two formats.

    name: such as `truncated-6`, `broken-array-4-2`, `perforated-2`, `mitchell` (docs/approximate.md). Raises
    FormatError for a name, a number in it or formats that it does not have.
    """
    kind, parameters = parse_approximation(name)
    check_operands(weights, inputs)
    if (refusal := kind.refusal(weights, inputs)) is not None:
        raise FormatError(f"{name} {refusal}")
    if (misfit := kind.misfit(weights.bits, inputs.bits, *parameters)) is not None:
        raise FormatError(f"{name}, of {weights.name} weights and {inputs.name} inputs, {misfit}")
    rows, columns = integers_of(weights), integers_of(inputs)
    exact = ProductTable.exact(weights, inputs)  # refuses products that no table holds
    values = np.zeros_like(exact.values, dtype=np.int64)
    made = kind.products(
        np.array(list(rows.values()), dtype=np.int64)[:, None],
        np.array(list(columns.values()), dtype=np.int64)[None],
        weights.bits,
        inputs.bits,
        *parameters,
    )
    values[np.ix_(list(rows), list(columns))] = made
    return ProductTable(name, weights, inputs, values)


def layer_products(given: Products, weights: Format, inputs: Format) -> LayerProducts:
    """What makes the products of a layer of two formats. Raises FormatError for what names or is no table of them."""
    if isinstance(given, LayerProducts):
        return given
    if isinstance(given, str):
        given = approximation(given, weights, inputs)
    if not isinstance(given, ProductTable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise FormatError(
            f"products are an approximation's name, a ProductTable or LayerProducts, not {type(given).__name__}"
        )
    return LayerProducts((given,))
