"""The savings that the DATE 2017 study published, put beside those computed here, and whether their order agrees."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, TypedDict, cast

from fewbits.report.rows import BASELINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fewbits.report.rows import Group, Row

MARK = "published, transcription unverified"
"""Stands beside every published figure that is shown: the study's text was not at hand when they were written down."""

DIFFERENCES = (
    "process: the published design is at 65 nm, this one at the technology named above; wires and leakage weigh "
    "differently",
    "buffers: these are composed of the technology's SRAM macros, whose smallest size and shape leave bits unused at "
    "narrow precisions; the published ones follow the precision more closely",
    "multipliers: their architecture alone moves a datapath's area by about a third; the one used here is named in "
    "the notes for each precision, the published one is not known",
    "products: these keep their full width up to the rounding of the output, so adder trees grow with both operands",
)
"""What is known to set the two designs apart. It explains the direction of a difference, not its size."""


class _Design(TypedDict):
    area_mm2: float
    power_mW: float


@dataclass(frozen=True)
class PublishedDesign:
    """Area and power of one precision as published."""

    area_mm2: float
    power_mw: float


@dataclass(frozen=True)
class SavingsPair:
    """What one precision saves against float32, computed here and published, in percent."""

    precision: str
    area_percent: float
    published_area_percent: float
    power_percent: float
    published_power_percent: float


@cache
def published_designs() -> dict[str, PublishedDesign]:
    """Area and power by precision name, from `published_date2017.json`, which tells where they come from."""
    text = files("fewbits.report").joinpath("published_date2017.json").read_text(encoding="utf-8")
    design = cast("dict[str, _Design]", json.loads(text)["design"])
    return {
        _short_name(name): PublishedDesign(figures["area_mm2"], figures["power_mW"]) for name, figures in design.items()
    }


def provenance() -> str:
    """How the published figures came into this package, in the words of the file."""
    text = files("fewbits.report").joinpath("published_date2017.json").read_text(encoding="utf-8")
    return cast("str", json.loads(text)["provenance"])


def accelerator() -> str:
    """The published design in words."""
    text = files("fewbits.report").joinpath("published_date2017.json").read_text(encoding="utf-8")
    return cast("str", json.loads(text)["accelerator"])


def savings_of_first(groups: Sequence[Group]) -> tuple[SavingsPair, ...]:
    """The pairs of the first group that has any: area and power hardly depend on the network."""
    return next((pairs for group in groups if (pairs := savings_pairs(group.rows))), ())


def cells(pair: SavingsPair) -> tuple[str, ...]:
    """Precision, then area and power, computed and published, as text."""
    figures = (pair.area_percent, pair.published_area_percent, pair.power_percent, pair.published_power_percent)
    return (pair.precision, *(f"{figure:.1f}" for figure in figures))


def savings_pairs(rows: Iterable[Row]) -> tuple[SavingsPair, ...]:
    """One pair for each row whose precision was published too; empty without a float32 row to compare with."""
    found = {row.precision: row for row in rows}
    published = published_designs()
    if BASELINE not in found:
        return ()
    ours, theirs = found[BASELINE], published[BASELINE]
    return tuple(
        SavingsPair(
            precision=name,
            area_percent=_saving(row.area_mm2.mean, ours.area_mm2.mean),
            published_area_percent=_saving(published[name].area_mm2, theirs.area_mm2),
            power_percent=_saving(row.power_mw.mean, ours.power_mw.mean),
            published_power_percent=_saving(published[name].power_mw, theirs.power_mw),
        )
        for name, row in found.items()
        if name in published and name != BASELINE
    )


def order_sentence(pairs: Sequence[SavingsPair]) -> str:
    """Says for area and for power whether the precisions stand in the published order, and where not."""
    return " ".join(
        (
            _order("area", [(p.precision, p.area_percent, p.published_area_percent) for p in pairs]),
            _order("power", [(p.precision, p.power_percent, p.published_power_percent) for p in pairs]),
        )
    )


def _order(quantity: str, savings: list[tuple[str, float, float]]) -> str:
    ours = [name for name, _, _ in sorted(savings, key=lambda one: one[1])]
    theirs = [name for name, _, _ in sorted(savings, key=lambda one: one[2])]
    if ours == theirs:
        return f"By {quantity} saved, all {len(ours)} stand in the published order: {' < '.join(ours)}."
    return f"By {quantity} saved the order differs: {' < '.join(ours)} here, {' < '.join(theirs)} published."


def _saving(value: float, baseline: float) -> float:
    return 100 * (1 - value / baseline)


def _short_name(pair: str) -> str:
    """`fixed8/fixed8` is `fixed8` in fewbits."""
    weights, inputs = pair.split("/")
    return weights if weights == inputs else pair
