"""The recipes: names, what they do, where they come from, what they take; loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Start = Literal["nothing", "float", "scratch"]

_FIXED = ("fixed",)
_SCALABLE = ("fixed", "ternary", "binary")
_UNITS = ("ternary", "binary")


@dataclass(frozen=True)
class Recipe:
    """A way to bring a network to a precision."""

    summary: str
    """What it does, and the paper."""

    start: Start
    """`float`: trains on from the float network, with a study's `fine_tune` settings; `scratch`: from new weights, with
    its `from_scratch` settings; `nothing`: trains nothing."""

    weight_families: tuple[str, ...] = ()
    """Families of weight formats that it takes; all of them if empty."""

    input_families: tuple[str, ...] = ()
    """Families of input formats that it takes; all of them if empty."""

    options: tuple[str, ...] = ()
    """Fields of `RecipeOptions` that it reads."""

    @property
    def section(self) -> str | None:
        """The table of a study's file that holds its settings."""
        return {"nothing": None, "float": "fine_tune", "scratch": "from_scratch"}[self.start]

    def refusal(self, name: str, precision: str, weight_family: str, input_family: str) -> str | None:
        """Why the recipe, called `name`, does not take a precision; None if it does."""
        for what, family, allowed in (
            ("weights", weight_family, self.weight_families),
            ("inputs", input_family, self.input_families),
        ):
            if allowed and family not in allowed:
                return (
                    f"recipe {name!r} takes {' or '.join(allowed)} {what}, not those of {precision!r}: "
                    "give it such a precision, or another recipe"
                )
        return None


RECIPES: dict[str, Recipe] = {
    "post-training": Recipe(
        "quantize the trained float network, choose radix points from data, train nothing", "nothing"
    ),
    "fine-tune": Recipe(
        "start from the trained float weights, quantize forward, update float shadow weights "
        "(Hashemi et al., DATE 2017)",
        "float",
    ),
    "from-scratch": Recipe("the same from freshly initialized weights", "scratch"),
    "nearest-update": Recipe(
        "no float shadow: weights are rounded to nearest after each step (Gupta et al., arXiv:1502.02551)",
        "scratch",
        _FIXED,
    ),
    "stochastic-update": Recipe(
        "no float shadow: weights are rounded stochastically after each step (Gupta et al., arXiv:1502.02551)",
        "scratch",
        _FIXED,
    ),
}
"""By name."""
