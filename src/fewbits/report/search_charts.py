"""Charts of a search: points lost by layer and format, and accuracy against what the search makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from fewbits.report.chart import FAINT, HEIGHT, INK, Chart, styled
from fewbits.search.result import UNITS

if TYPE_CHECKING:
    from fewbits.search.result import SearchResult

_ROW = 12
"""Pixels of a bar."""

_MARKS = ["front", "uniform", "dominated", "chosen"]


def sensitivity_chart(result: SearchResult) -> Chart:
    """Bars by layer and format, layers in the network's order."""
    measured = result.basis.score == "accuracy"
    title = "Points of accuracy lost" if measured else f"Rise of the loss foretold ({result.basis.score})"
    rows = [
        {"layer": one.name, "precision": one.precision, "lost": one.points_lost if measured else one.score}
        for one in result.sensitivities
    ]
    layers = list(dict.fromkeys(one.name for one in result.sensitivities))
    formats = [name for name in result.basis.formats if any(row["precision"] == name for row in rows)]
    alt_any: Any = alt
    bars = alt_any.Chart(alt.Data(values=rows)).mark_bar().encode(
        x=alt_any.X("lost:Q", title=title),
        y=alt_any.Y("layer:N", sort=layers, title=None),
        yOffset=alt_any.YOffset("precision:N", sort=formats),
        color=alt_any.Color("precision:N", sort=formats, title="Precision", scale=alt_any.Scale(scheme="tableau10")),
    )  # fmt: skip
    caption = (
        f"Each bar changes one layer (or layers that share an input) and leaves all others at {result.reference}; "
        f"{result.basis.images} validation images."
    )
    described = f"Bars of {len(layers)} layers at {', '.join(formats)}."
    height = max(120, _ROW * len(layers) * max(1, len(formats)))
    return Chart("search-sensitivities", "Sensitivity of each layer", caption, described, styled(bars, height))


def front_chart(result: SearchResult) -> Chart:
    """Accuracy against the objective; uniform precisions named, dominated points faint."""
    objective = result.basis.objective
    unit = UNITS[objective][1]
    uniform = {point.name for point in result.uniform}
    rows = [
        {
            "name": point.name, "cost": point.costs.of(objective), "accuracy": point.accuracy_percent,
            "kind": "chosen" if point.name == result.chosen else "uniform" if point.name in uniform
            else "front" if point.name in result.front else "dominated",
            "label": point.precision if point.name in uniform else "",
            "front": point.name in result.front,
        }
        for point in sorted(result.points, key=lambda one: (one.name in result.front, one.name in uniform))
    ]  # fmt: skip
    alt_any: Any = alt
    base = alt_any.Chart(alt.Data(values=rows)).encode(
        x=alt_any.X("cost:Q", title=f"{objective.capitalize()} ({unit})", scale=alt_any.Scale(zero=False)),
        y=alt_any.Y("accuracy:Q", title="Accuracy (%)", scale=alt_any.Scale(zero=False)),
    )
    line = base.transform_filter("datum.front").mark_line(interpolate="step-after", color=INK, strokeWidth=1)
    colors = alt_any.Scale(domain=_MARKS, range=["#0072b2", "#d55e00", FAINT, "#009e73"])
    points = base.mark_point(filled=True, size=70, opacity=0.85).encode(
        color=alt_any.Color("kind:N", scale=colors, title=None), tooltip=["name:N", "cost:Q", "accuracy:Q"]
    )
    names = base.mark_text(align="left", dx=7, dy=-7, color=INK).encode(text="label:N")
    caption = (
        f"Accuracy of {result.basis.images} validation images; float reaches {result.float_accuracy_percent:.2f} %. "
        "The line joins the front; dominated points are grey."
    )
    described = f"{len(rows)} points, {len(result.front)} on the front."
    chart = styled(alt_any.layer(line, points, names), HEIGHT)
    return Chart("search-front", f"Accuracy against {objective}", caption, described, chart)
