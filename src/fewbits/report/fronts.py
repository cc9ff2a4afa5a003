"""Fronts of recipes that approximate more in each round: accuracy against energy, beside uniform precisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from fewbits.report.chart import HEIGHT, Chart, point_label, styled
from fewbits.report.layers import LayerTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fewbits.report.rows import Group
    from fewbits.study import RunResult

_UNIFORM = "without approximation"

BASIS = (
    "Each round of a recipe that approximates more and more, by its accuracy on the held-out images: the test images "
    "are for the network that is left. Energies, of the rounds and of the other networks alike, are at the technology "
    "table's assumed activity, since no netlist runs products of several kinds."
)


def front_chart(group: Group, stem: str) -> Chart | None:
    """Rounds, joined in their order, beside the group's other networks; None where no run has rounds."""
    values = [*_rounds(group), *_others(group)]
    if not any(run.front for row in group.points for run in row.runs):
        return None
    series = list(dict.fromkeys(one["p"] for one in values))
    x = alt.X("e:Q", title="energy an image, \u00b5J (assumed activity)", scale=alt.Scale(zero=False))
    y = alt.Y("a:Q", title="accuracy on the held-out images, %", scale=alt.Scale(zero=False))
    color = alt.Color("p:N", title="", sort=series)
    shown = alt.Chart(alt.Data(values=values)).encode(x=x, y=y, color=color)
    lines = (
        shown.transform_filter("datum.kept && datum.n >= 0")
        .mark_line(strokeWidth=1.2)
        .encode(order="n:Q", detail="s:N")
    )
    points = shown.mark_point(filled=True, size=60).encode(
        shape=alt.Shape("k:N", title="", sort=["round", "taken back", _UNIFORM]),
        tooltip=[
            alt.Tooltip("p:N", title="network"),
            alt.Tooltip("s:N", title="seed"),
            alt.Tooltip("u:N", title="units approximate"),
            alt.Tooltip("a:Q", title="accuracy, %", format=".2f"),
            alt.Tooltip("e:Q", title="energy, \u00b5J", format=".4~g"),
        ],
    )
    told = "; ".join(f"{one['p']} {one['u']}: {one['e']:.4g} \u00b5J, {one['a']:.2f} %" for one in values)
    return Chart(
        stem=stem,
        heading=f"Approximation round by round: {group.title}",
        caption=BASIS,
        description=f"Accuracy against energy of each round, {group.title}. {told}.",
        spec=styled(lines + points, HEIGHT),
    )


def front_tables(group: Group) -> list[tuple[str, LayerTable]]:
    """A table of the rounds of each run, with what it is of."""
    return [
        (f"{point_label(row, group.points)}, seed {run.seed}", _table(run))
        for row in group.points
        for run in row.runs
        if run.front
    ]


def _table(run: RunResult) -> LayerTable:
    first = run.front[0].energy_uj
    rows = tuple(
        (
            f"{one.round}{' (taken back)' if one.is_taken_back else ''}",
            f"{one.switched} of {one.units}",
            f"{one.validation_accuracy_percent:.2f}",
            f"{one.energy_uj:.4g}",
            f"{100 * (1 - one.energy_uj / first):.1f}",
            f"{one.cycles:,}",
            f"{one.area_mm2:.4g}",
        )
        for one in run.front
    )
    headings = (
        "round",
        "units approximate",
        "held-out accuracy, %",
        "energy, \u00b5J",
        "saved, %",
        "cycles",
        "area, mm\u00b2",
    )
    return LayerTable(headings, rows, frozenset((0, 1)))


def _rounds(group: Group) -> Iterator[dict[str, Any]]:
    for row in group.points:
        for run in row.runs:
            for one in run.front:
                yield {
                    "p": point_label(row, group.points),
                    "k": "taken back" if one.is_taken_back else "round",
                    "s": str(run.seed),
                    "n": one.round,
                    "kept": not one.is_taken_back,
                    "u": f"{one.switched} of {one.units}",
                    "a": one.validation_accuracy_percent,
                    "e": one.energy_uj,
                }


def _others(group: Group) -> Iterator[dict[str, Any]]:
    """Networks without rounds, of known energy at the assumed activity; float32 would hide the others' distances."""
    for row in group.points:
        runs: Sequence[RunResult] = row.runs
        for run in runs:
            if run.front or row.is_baseline or run.assumed_energy_uj is None:
                continue
            yield {
                "p": point_label(row, group.points),
                "k": _UNIFORM,
                "s": str(run.seed),
                "n": -1,
                "kept": True,
                "u": "none",
                "a": run.validation_accuracy_percent,
                "e": run.assumed_energy_uj,
            }
