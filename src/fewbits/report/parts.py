"""How the parts of a chip are shown: words, colour and order, one entry a part; others under their own names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAKAGE = "leakage"
"""Beside the parts of a chip: what all of them leak; the parts' own figures are then without it."""


@dataclass(frozen=True)
class Shown:
    """A part as people see it."""

    words: str
    colour: str
    column: str = ""
    """Its heading over two lines in a narrow table; empty for one line, its name."""


_SHOWN = {
    "multipliers": Shown("multipliers", "#0072B2", "multi-\npliers"),
    "adder_tree": Shown("adder trees", "#56B4E9", "adder\ntrees"),
    "registers": Shown("registers", "#009E73", "regis-\nters"),
    "rest": Shown("rest of the neurons", "#999999"),
    "control": Shown("control", "#CC79A7"),
    "clock": Shown("clock", "#000000"),
    "bin": Shown("Bin (inputs)", "#F0E442"),
    "sb": Shown("SB (weights)", "#E69F00"),
    "bout": Shown("Bout (outputs)", "#D55E00"),
    "conversions": Shown("conversions of formats", "#44AA99", "conver-\nsions"),
}
"""In the order in which they are shown; others follow, leakage last. Colours: see `accuracy_chart.FAMILIES`."""

_LEAKAGE = Shown("leakage", "#5B4B8A")

_OTHER_COLOUR = "#882255"
"""Of a part that has no entry."""


def shown(part: str) -> Shown:
    """How a part is shown."""
    return _LEAKAGE if part == LEAKAGE else _SHOWN.get(part, Shown(part, _OTHER_COLOUR))


def ordered(parts: Iterable[str]) -> tuple[str, ...]:
    """Parts in the order in which they are shown, each once."""
    found = list(dict.fromkeys(parts))
    known = [part for part in _SHOWN if part in found]
    others = [part for part in found if part not in _SHOWN and part != LEAKAGE]
    return (*known, *others, *({LEAKAGE} & set(found)))
