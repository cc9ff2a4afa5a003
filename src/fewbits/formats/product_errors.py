"""How far the products of a table are from exact ones, by the figures of the EvoApproxLib library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewbits.formats.product_table import ProductTable, integers_of


@dataclass(frozen=True)
class ProductErrors:
    """Errors over all pairs of codes, each as likely as any other.

    As Mrazek, Hrbacek, Vasicek and Sekanina, "EvoApproxSb: Library of approximate adders and multipliers" (DATE 2017),
    define them.
    """

    mean_absolute: float
    """Mean of |product - exact|, in units of the product's last place."""

    worst_case: int
    """Largest |product - exact|, in the same units."""

    probability: float
    """Share of the pairs whose product is not exact."""

    mean_relative: float
    """Mean of |product - exact| / max(1, |exact|)."""

    bias: float
    """Mean of product - exact, in units of the last place."""

    product_bits: int
    """Of weights and inputs together: shares are of 2**product_bits."""

    @property
    def mean_absolute_share(self) -> float:
        """Mean absolute error as a share of all products: MAE% is a hundred times as much."""
        return self.mean_absolute / 2**self.product_bits

    @property
    def worst_case_share(self) -> float:
        """Worst case error as a share of all products: WCE% is a hundred times as much."""
        return self.worst_case / 2**self.product_bits


def product_errors(table: ProductTable) -> ProductErrors:
    """The errors of a table."""
    rows, columns = (list(integers_of(one)) for one in (table.weights, table.inputs))
    used = np.ix_(rows, columns)
    exact = ProductTable.exact(table.weights, table.inputs).values[used].astype(np.int64)
    differences = table.values[used].astype(np.int64) - exact
    distances = np.abs(differences)
    return ProductErrors(
        mean_absolute=float(distances.mean()),
        worst_case=int(distances.max()),
        probability=float((distances != 0).mean()),
        mean_relative=float((distances / np.maximum(1, np.abs(exact))).mean()),
        bias=float(differences.mean()),
        product_bits=table.weights.bits + table.inputs.bits,
    )
