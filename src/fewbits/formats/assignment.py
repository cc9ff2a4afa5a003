"""An assignment: a precision for each layer of a network, under a name; what a search finds and a study takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fewbits.formats.registry import Precision


@dataclass(frozen=True)
class Assignment:
    """What each layer of a network computes with."""

    name: str
    """As tables and charts print it; that of the precision where no layer has its own."""

    precision: Precision
    """Of the layers that `layers` does not name."""

    layers: Mapping[str, Precision] = field(default_factory=dict[str, Precision])
    """By a layer's name in the network."""

    product: str | None = None
    """The multiplier that makes the products: a named approximation (`formats/approximations.py`) or the path of a
    circuit; None where they are exact."""

    @property
    def is_uniform(self) -> bool:
        """Whether all layers have one precision, with exact products."""
        return self.product is None and all(one == self.precision for one in self.layers.values())

    def of(self, layer: str) -> Precision:
        """The precision of a layer."""
        return self.layers.get(layer, self.precision)
