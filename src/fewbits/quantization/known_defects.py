"""What a training can know of defective hardware: product tables of layers, and bits of weights that cells hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from fewbits.formats.product_table import LayerProducts


@dataclass(frozen=True, eq=False)
class HeldBits:
    """Bits of a layer's stored weights that their cells hold, whatever is written."""

    mask: NDArray[Any]
    """In the shape of the weights: the bits of each code that are held; unsigned patterns, int64."""

    values: NDArray[Any]
    """In the same shape: their values; zero in all other bits."""


@dataclass(frozen=True, eq=False)
class KnownDefects:
    """What a training computes with in its forward pass."""

    products: Mapping[str, LayerProducts | None] = field(default_factory=dict[str, "LayerProducts | None"])
    """By a layer's name, the tables that make its products; layers without one multiply exactly."""

    held: Mapping[str, HeldBits] = field(default_factory=dict[str, HeldBits])
    """By a layer's name, the bits of its weights that are held."""
