"""The savings that the DATE 2017 study published, put beside those computed here; where they differ, what is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import TYPE_CHECKING, TypedDict, cast

from fewbits.report.rows import BASELINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fewbits.report.rows import Group, Row

MARK = "published, transcription unverified"
"""Stands beside every published figure that is shown: the study's text was not at hand when they were written down."""

BUFFERS = ("bin", "sb", "bout")
"""Components that are memory; the others are logic."""


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


@dataclass(frozen=True)
class Comparison:
    """All pairs of a study, and what to know about them."""

    pairs: tuple[SavingsPair, ...]

    order: tuple[str, ...]
    """For area and for power: whether the precisions stand in the published order, and which do not."""

    differences: tuple[str, ...]
    """What sets the two designs apart, as far as it is known. It explains directions, not sizes."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Both, line by line."""
        return (*self.order, *(f"- {line}" for line in self.differences))


class _Design(TypedDict):
    area_mm2: float
    power_mW: float


class _Published(TypedDict):
    what: str
    provenance: str
    accelerator: str
    design: dict[str, _Design]


@cache
def _published() -> _Published:
    text = files("fewbits.report").joinpath("published_date2017.json").read_text(encoding="utf-8")
    return cast("_Published", json.loads(text))


def published_designs() -> dict[str, PublishedDesign]:
    """Area and power by precision name, from `published_date2017.json`, which tells where they come from."""
    return {
        _short_name(name): PublishedDesign(figures["area_mm2"], figures["power_mW"])
        for name, figures in _published()["design"].items()
    }


def provenance() -> str:
    """How the published figures came into this package, in the words of the file."""
    return _published()["provenance"]


def accelerator() -> str:
    """The published design in words."""
    return _published()["accelerator"]


def compare(groups: Sequence[Group]) -> Comparison | None:
    """The comparison for the first group with a float32 row and another one that was published; None without one.

    One group is enough: area does not depend on the network, and power hardly.
    """
    for group in groups:
        rows = {row.precision: row for row in group.rows if row.precision in published_designs()}
        if BASELINE in rows and len(rows) > 1:
            pairs = savings_pairs(rows)
            return Comparison(
                pairs=pairs,
                order=(
                    _order("area", pairs, lambda p: (p.area_percent, p.published_area_percent)),
                    _order("power", pairs, lambda p: (p.power_percent, p.published_power_percent)),
                ),
                differences=_differences(rows, pairs),
            )
    return None


def savings_pairs(rows: dict[str, Row]) -> tuple[SavingsPair, ...]:
    """One pair for each published precision other than float32, whose row must be there."""
    published = published_designs()
    ours, theirs = rows[BASELINE], published[BASELINE]
    return tuple(
        SavingsPair(
            precision=name,
            area_percent=_saving(row.mean("area_mm2"), ours.mean("area_mm2")),
            published_area_percent=_saving(published[name].area_mm2, theirs.area_mm2),
            power_percent=_saving(row.mean("power_mw"), ours.mean("power_mw")),
            published_power_percent=_saving(published[name].power_mw, theirs.power_mw),
        )
        for name, row in rows.items()
        if name != BASELINE
    )


def cells(pair: SavingsPair) -> tuple[str, ...]:
    """Precision, then area and power, each computed and published, as text."""
    figures = (pair.area_percent, pair.published_area_percent, pair.power_percent, pair.published_power_percent)
    return (pair.precision, *(f"{figure:.1f}" for figure in figures))


def _order(quantity: str, pairs: Sequence[SavingsPair], savings: Callable[[SavingsPair], tuple[float, float]]) -> str:
    swapped = _swapped(pairs, savings)
    if not swapped:
        return f"By {quantity} saved, all {len(pairs)} precisions stand in the published order."
    which = "; ".join(f"{more} saves more than {less} here, less as published" for more, less in swapped)
    return f"By {quantity} saved, the precisions stand in the published order but for this: {which}."


def _swapped(
    pairs: Sequence[SavingsPair], savings: Callable[[SavingsPair], tuple[float, float]]
) -> list[tuple[str, str]]:
    """Precisions that stand the other way round than published, the one that saves more here first."""
    found: list[tuple[str, str]] = []
    for one, other in combinations(pairs, 2):
        (ours, theirs), (our_other, their_other) = savings(one), savings(other)
        if (ours - our_other) * (theirs - their_other) < 0:
            found.append((one.precision, other.precision) if ours > our_other else (other.precision, one.precision))
    return found


def _differences(rows: dict[str, Row], pairs: Sequence[SavingsPair]) -> tuple[str, ...]:
    smallest = min(rows.values(), key=lambda row: row.mean("area_mm2"))
    by_area = _swapped(pairs, lambda pair: (pair.area_percent, pair.published_area_percent))
    return (
        "process: the published design is at 65 nm, this one on the technology of this study. Memory and logic do not "
        "shrink alike from one process to the next, so even ratios differ.",
        f"buffers: SRAM macros with two ports here; they take {_buffer_percent(rows[BASELINE]):.0f} % of the area at "
        f"{BASELINE} and {_buffer_percent(smallest):.0f} % at {smallest.precision}. How the published ones are built "
        "is not known.",
        "multipliers: radix-4 Booth for fixed point and for the mantissa of float32, a shifter for powers of two, a "
        "sign selection for binary; the published architecture is not known.",
        "products keep their full width here, up to the rounding of the output. A pow2-6 weight shifts an input by up "
        f"to 30 places, so a product of pow2-6/fixed16 has {_product_bits('pow2-6/fixed16')} bits, one of fixed8 has "
        f"{_product_bits('fixed8')}, and the adders and registers after it are wider accordingly.",
        *(_where_area_differs(rows[more], rows[less]) for more, less in by_area),
    )


def _product_bits(precision: str) -> int:
    from fewbits.hardware.datapath.neuron_design import design  # loads torch's formats: late

    return design(precision).product_bits


def _where_area_differs(smaller: Row, larger: Row) -> str:
    def parts(row: Row) -> tuple[float, float]:
        memory = sum(row.parts["area_mm2_by_component"][name] for name in BUFFERS)
        return row.mean("area_mm2") - memory, memory

    (logic, memory), (larger_logic, larger_memory) = parts(smaller), parts(larger)
    return (
        f"{larger.precision} against {smaller.precision}: {larger_logic - logic:+.2f} mm² of logic and "
        f"{larger_memory - memory:+.2f} mm² of buffers."
    )


def _buffer_percent(row: Row) -> float:
    return 100 * sum(row.parts["area_mm2_by_component"][name] for name in BUFFERS) / row.mean("area_mm2")


def _saving(value: float, baseline: float) -> float:
    return 100 * (1 - value / baseline)


def _short_name(pair: str) -> str:
    """`fixed8/fixed8` is `fixed8` in fewbits."""
    weights, inputs = pair.split("/")
    return weights if weights == inputs else pair
