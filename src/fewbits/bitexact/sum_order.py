"""The order in which a float network's products are summed, on which its results depend to the last bit."""

from __future__ import annotations

from dataclasses import dataclass

from fewbits.arguments import is_integer, shown
from fewbits.errors import ModelError

LARGEST_TREE = 1 << 16
"""Products that one tree takes at most: it is kept whole in memory, once for each of the outputs computed together."""


@dataclass(frozen=True)
class SumOrder:
    """Products in chunks: each chunk in a balanced tree of neighbours, chunk sums in order, starting at the bias.

    The products of an output come in the order (input channel, kernel row, kernel column); what a last chunk lacks is
    filled with +0. docs/architecture.md, "Arithmetic", has the whole definition.
    """

    products: int = 16
    """Products of a tree, ((p0 + p1) + (p2 + p3)) + ...: a power of two; 1 adds one after another."""

    def __post_init__(self) -> None:
        if not is_integer(self.products, 1, LARGEST_TREE) or self.products & (self.products - 1):
            raise ModelError(
                f"a sum order takes a power of two from 1 to {LARGEST_TREE} of products a tree, not "
                f"{shown(self.products)}: give 1 for sums of one product after another"
            )

    def padded(self, synapses: int) -> int:
        """So many products and what fills their last chunk."""
        return -(-synapses // self.products) * self.products

    def __str__(self) -> str:
        return f"{self.products} at a time"


DEFAULT = SumOrder()
"""That of the default accelerator, whose neurons take 16 synapses a cycle (DianNao, Chen et al., ASPLOS 2014)."""
