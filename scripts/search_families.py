"""What a search by bit operations would build beside one by energy, where formats are of several families.

`python scripts/search_fronts.py families --folder DIR` evaluates every assignment of LeNet's four layers over FORMATS
on the digits and stores how many images each classifies right; `scripts/docs_figures.py` makes the table and the
picture of docs/search.md of that file, at the costs of the day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import altair as alt

from fewbits.report.chart import FAINT, HEIGHT, INK, Chart, styled
from fewbits.search.engine import Engine, Evaluation
from fewbits.search.front import undominated
from fewbits.search.settings import SearchSettings

FAMILIES = Path(__file__).resolve().parents[1] / "docs" / "search" / "lenet-families.json"
FORMATS = ("fixed8", "fp8-e4m3", "pow2-4/fixed8", "ternary/fixed8", "fixed4")
LOSSES = (0.0, 0.5, 0.75, 1.0, 4.0)
"""Points below the float network that a user may allow; one of 400 images is 0.25."""

LOWEST_PERCENT = 85.0
"""Accuracy from which on the picture shows points."""


@dataclass(frozen=True)
class Fronts:
    """All assignments, and those that no other beats by energy, and by bit operations."""

    engine: Engine
    points: tuple[Evaluation, ...]
    by_energy: tuple[Evaluation, ...]
    by_operations: tuple[Evaluation, ...]

    def label(self, point: Evaluation) -> str:
        """Its precisions, in the network's order."""
        return self.engine.space.label(point.choice)


@cache
def fronts() -> Fronts:
    """Of the stored table, at the costs of the day."""
    from search_fronts import all_choices, stored_engine

    engine = stored_engine(FAMILIES, 0, SearchSettings(formats=FORMATS))
    points = tuple(engine.evaluate(choice, "random") for choice in all_choices(engine.space))
    accuracies = [point.accuracy_percent for point in points]

    def front(costs: list[float]) -> tuple[Evaluation, ...]:
        return tuple(points[number] for number in undominated(costs, accuracies))

    by_energy = front([point.costs.energy_uj for point in points])
    return Fronts(engine, points, by_energy, front([point.costs.bit_operations for point in points]))


def choices() -> list[list[str]]:
    """Rows of the table: by the allowed loss, what each front gives: precisions, accuracy, energy."""
    found = fronts()
    rows: list[list[str]] = []
    for loss in LOSSES:
        least = found.engine.float_percent - loss - 1e-9
        built = [
            min((point for point in front if point.accuracy_percent >= least), key=lambda one: one.costs.energy_uj)
            if front is found.by_energy
            else next(point for point in front if point.accuracy_percent >= least)  # the fewest bit operations
            for front in (found.by_energy, found.by_operations)
        ]
        figures = [
            cell
            for one in built
            for cell in (found.label(one), f"{one.accuracy_percent:.2f}", f"{one.costs.energy_uj:.2f}")
        ]
        ratio = built[1].costs.energy_uj / built[0].costs.energy_uj
        rows.append([f"{loss:g}", *figures, f"{ratio:.2f}"])
    return rows


def summary() -> str:
    """How often bit operations tell another order than energy."""
    found = fronts()
    shared = len({one.choice for one in found.by_energy} & {one.choice for one in found.by_operations})
    return (
        f"Of {len(found.by_energy)} assignments on the front by energy and {len(found.by_operations)} on that by bit "
        f"operations {shared} {'is' if shared == 1 else 'are'} the same. Of all pairs of the {len(found.points)} "
        f"assignments bit operations order {swapped_percent():.1f} % otherwise than energy, or not at all. For all "
        f"layers alike: {'; '.join(_alike())}."
    )


def _alike() -> Iterator[str]:
    """Of uniform precisions with equal bit operations, energies and accuracies."""
    by_operations: dict[float, list[Evaluation]] = {}
    for point in fronts().points:
        if len(set(point.choice)) == 1:
            by_operations.setdefault(point.costs.bit_operations, []).append(point)
    for operations, points in sorted(by_operations.items()):
        told = (
            f"{fronts().label(one)} {one.costs.energy_uj:.2f} µJ, {one.accuracy_percent:.2f} %"
            for one in sorted(points, key=lambda one: one.costs.energy_uj)
        )
        yield f"{' and '.join(told)} at {operations / 1e6:.1f} million bit operations"


def swapped_percent() -> float:
    """Of all pairs of assignments, those that bit operations order otherwise than energy, or not at all."""
    costs = [(point.costs.energy_uj, point.costs.bit_operations) for point in fronts().points]
    pairs = [(one[0] - other[0]) * (one[1] - other[1]) <= 0 for one, other in combinations(costs, 2)]
    return 100 * sum(pairs) / len(pairs)


def chart() -> Chart:
    """Accuracy against energy: all assignments, the front, and where the front by bit operations lies."""
    found = fronts()
    kinds = {"all assignments": found.points, "front by bit operations": found.by_operations}
    kinds["front by energy"] = found.by_energy
    rows = [
        {
            "kind": kind,
            "energy": round(point.costs.energy_uj, 4),
            "accuracy": point.accuracy_percent,
            "name": found.label(point),
            "uniform": found.label(point) if kind == "all assignments" and len(set(point.choice)) == 1 else "",
        }
        for kind, points in kinds.items()
        for point in points
        if point.accuracy_percent >= LOWEST_PERCENT
    ]
    alt_any: Any = alt
    base = alt_any.Chart(alt.Data(values=rows)).encode(
        x=alt_any.X("energy:Q", title="Energy (µJ)", scale=alt_any.Scale(type="log", nice=False)),
        y=alt_any.Y("accuracy:Q", title="Accuracy (%)", scale=alt_any.Scale(zero=False)),
    )
    colors = alt_any.Scale(domain=list(kinds), range=["#cccccc", "#d55e00", "#0072b2"])
    color = alt_any.Color("kind:N", scale=colors, title=None)
    line = base.transform_filter("datum.kind == 'front by energy'").mark_line(interpolate="step-after")
    marks = [
        base.transform_filter(f"datum.kind == '{kind}'").mark_point(filled=filled, size=size).encode(color=color)
        for kind, size, filled in zip(kinds, (10, 170, 50), (True, False, True), strict=True)
    ]
    names = base.mark_text(align="left", dx=7, dy=11, color=INK, fontSize=11).encode(text="uniform:N")
    layers = alt_any.layer(line.encode(color=alt_any.value(FAINT)), *marks, names)
    float_percent = found.engine.float_percent
    return Chart(
        "search-families",
        "LeNet on the digits: fixed, pow2, ternary and fp8, layer by layer",
        f"All {len(found.points)} assignments; float reaches {float_percent:.2f} % of {found.engine.images} images.",
        f"{len(found.by_energy)} points on the front by energy, {len(found.by_operations)} on that by bit operations.",
        styled(layers, HEIGHT),
    )
