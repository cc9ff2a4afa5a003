"""Products that are not exact, by name: the table of kinds, and what a layer computes with."""

from __future__ import annotations

from fewbits.errors import FormatError
from fewbits.formats.format import Format
from fewbits.formats.product_table import LayerProducts, ProductTable

Products = str | ProductTable | LayerProducts
"""What makes a layer's products: a named approximation, one table, or several and which of them makes which."""


def approximation(name: str, weights: Format, inputs: Format) -> ProductTable:
    """The table of a named approximation for two formats. Raises FormatError for a name or formats without one."""
    if name == "exact":
        return ProductTable.exact(weights, inputs)
    raise FormatError(f"no approximation {name!r}: give exact")


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
