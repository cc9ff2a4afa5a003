"""The best recipe for a precision, as far as measured (docs/training.md). Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fewbits.formats import Precision

BEST = "best"


def best_recipe(precision: Precision) -> str:
    """Name of the recipe that `best` stands for at a precision; it computes on the precision's own hardware.

    Trained for as long as the reproduction trains, nothing beat `fine-tune`; binary inputs need `binary-net`, since
    behind a ReLU all signs are equal.
    """
    return "binary-net" if precision.multiplies_signs else "fine-tune"


def trained_recipe(name: str, precision: Precision) -> str:
    """Name of the recipe that trains where `name` is asked for: what `best` stands for, every other one itself."""
    return best_recipe(precision) if name == BEST else name
