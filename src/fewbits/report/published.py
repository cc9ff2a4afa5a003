"""Published savings beside those computed here; where they differ, what is known of the reasons.

What was published, how it came here and what sets the designs apart is data: `study/presets/published.json`.
"""

from __future__ import annotations

import json
from collections import UserDict
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import TYPE_CHECKING, Any

from fewbits.report.rows import BASELINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fewbits.report.rows import Group, Row

_AREA = "area_mm2_by_component"


@dataclass(frozen=True)
class PublishedDesign:
    """Area and power of one precision as published."""

    area_mm2: float
    power_mw: float


@dataclass(frozen=True)
class Published:
    """What a study published."""

    name: str
    """Such as `DATE 2017`."""

    mark: str
    """Stands beside every published figure that is shown."""

    provenance: str
    """How the figures came into this package."""

    accelerator: str
    """The published design in words."""

    memories: tuple[str, ...]
    """Components of the chip that are memory, as fewbits names them; the others are logic."""

    designs: Mapping[str, PublishedDesign]
    """By precision."""

    differences: tuple[str, ...]
    """What sets the two designs apart; fields in braces are filled with figures of the study (see `_differences`)."""


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


@cache
def published_study() -> Published:
    """What stands beside the figures of studies."""
    read: dict[str, Any] = json.loads(
        files("fewbits.study").joinpath("presets", "published.json").read_text(encoding="utf-8")
    )
    return Published(
        name=read["name"],
        mark=read["mark"],
        provenance=read["provenance"],
        accelerator=read["accelerator"],
        memories=tuple(read["memories"]),
        designs={
            _short_name(name): PublishedDesign(design["area_mm2"], design["power_mW"])
            for name, design in read["design"].items()
        },
        differences=tuple(read["differences"]),
    )


def compare(groups: Sequence[Group]) -> Comparison | None:
    """The comparison for the first group (and study) with a float32 row and another published one; None without one.

    One group is enough: area does not depend on the network, and power hardly. All rows are of one accelerator; those
    whose accelerator has other memories than the published one are left out.
    """
    studies = (_of_study(group, study) for group in groups for study in group.studies or ("",))
    for rows_of_one in (one for rows in studies for one in _by_accelerator(rows)):
        rows = {
            row.precision: row
            for row in rows_of_one
            if row.precision in published_study().designs and row.parts[_AREA].keys() >= set(published_study().memories)
        }
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


def _by_accelerator(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each accelerator: savings are against float32 on the same one."""
    return [[row for row in rows if row.accelerator == one] for one in dict.fromkeys(row.accelerator for row in rows)]


def _of_study(group: Group, study: str) -> list[Row]:
    return [row for row in group.rows if row.study == study]


def savings_pairs(rows: dict[str, Row]) -> tuple[SavingsPair, ...]:
    """One pair for each published precision other than float32, whose row must be there."""
    designs = published_study().designs
    ours, theirs = rows[BASELINE], designs[BASELINE]
    return tuple(
        SavingsPair(
            precision=name,
            area_percent=_saving(row.mean("area_mm2"), ours.mean("area_mm2")),
            published_area_percent=_saving(designs[name].area_mm2, theirs.area_mm2),
            power_percent=_saving(row.mean("power_mw"), ours.mean("power_mw")),
            published_power_percent=_saving(designs[name].power_mw, theirs.power_mw),
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
    """The published words with the study's figures in them, then where the parts make the difference in order."""
    smallest = min(rows.values(), key=lambda row: row.mean("area_mm2"))
    by_area = _swapped(pairs, lambda pair: (pair.area_percent, pair.published_area_percent))
    figures = {
        "baseline": BASELINE,
        "baseline_buffers": _buffer_percent(rows[BASELINE]),
        "smallest": smallest.precision,
        "smallest_buffers": _buffer_percent(smallest),
        "product_bits": _ProductBits(),
    }
    return (
        *(line.format_map(figures) for line in published_study().differences),
        *(_where_area_differs(rows[more], rows[less]) for more, less in by_area),
    )


class _ProductBits(UserDict[str, int]):
    """Width of a product by precision, found when it is asked for."""

    def __missing__(self, precision: str) -> int:
        from fewbits.hardware.datapath.neuron_design import design  # loads torch's formats: late

        return design(precision).product_bits


def _where_area_differs(smaller: Row, larger: Row) -> str:
    def parts(row: Row) -> tuple[float, float]:
        memory = _buffer_mm2(row)
        return row.mean("area_mm2") - memory, memory

    (logic, memory), (larger_logic, larger_memory) = parts(smaller), parts(larger)
    return (
        f"{larger.precision} against {smaller.precision}: {larger_logic - logic:+.2f} mm² of logic and "
        f"{larger_memory - memory:+.2f} mm² of buffers."
    )


def _buffer_percent(row: Row) -> float:
    return 100 * _buffer_mm2(row) / row.mean("area_mm2")


def _buffer_mm2(row: Row) -> float:
    return sum(row.parts[_AREA][name] for name in published_study().memories)


def _saving(value: float, baseline: float) -> float:
    return 100 * (1 - value / baseline)


def _short_name(pair: str) -> str:
    """`fixed8/fixed8` is `fixed8` in fewbits."""
    weights, inputs = pair.split("/")
    return weights if weights == inputs else pair
