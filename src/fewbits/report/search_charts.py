"""Charts of a search: points lost by layer and format, accuracy against what the search makes small, and the front's
assignments layer by layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from fewbits.report.chart import FAINT, HEIGHT, INK, Chart, styled
from fewbits.search.result import UNITS

if TYPE_CHECKING:
    from fewbits.search.result import Point, SearchResult

_BAR, _NARROW_BAR, _MANY_BARS = 12, 7, 60
"""Pixels of a bar, and of one where there are many."""

_CELL = 22
"""Pixels of a front's point in the chart of assignments."""

_BELOW_POINTS = 15.0
"""Points below the float network that the front's chart shows at most: networks that guess would press all others into
a line. What lies lower stands at its edge, with its accuracy."""

_LOST = {
    "accuracy": "Points of accuracy lost",
    "coarsest": "Points of accuracy lost: the coarsest precision's measured, others foretold",
}

_MARKS = {"front": "#0072b2", "uniform": "#d55e00", "dominated": FAINT, "chosen": "#009e73"}


def sensitivity_chart(result: SearchResult) -> Chart:
    """Bars by layer and format, layers in the network's order."""
    title = _LOST.get(result.basis.score, f"Rise of the loss foretold ({result.basis.score})")
    rows = [
        {
            "layer": one.name,
            "precision": one.precision,
            "lost": one.score if one.points_lost is None else one.points_lost,
        }
        for one in result.sensitivities
    ]
    layers = list(dict.fromkeys(one.name for one in result.sensitivities))
    formats = [name for name in result.basis.formats if any(row["precision"] == name for row in rows)]
    alt_any: Any = alt
    bars = alt_any.Chart(alt.Data(values=rows)).mark_bar().encode(
        x=alt_any.X("lost:Q", title=title, axis=alt_any.Axis(orient="top", tickCount=8)),
        y=alt_any.Y("layer:N", sort=layers, title=None, axis=alt_any.Axis(labelLimit=260)),
        yOffset=alt_any.YOffset("precision:N", sort=formats),
        color=_precision_color(result, "top"),
        tooltip=["layer:N", "precision:N", "lost:Q"],
    )  # fmt: skip
    caption = (
        f"Each bar changes one layer (or layers that share an input) and leaves all others at {result.reference}; "
        f"{result.basis.images} validation images."
    )
    described = f"Bars of {len(layers)} layers at {', '.join(formats)}."
    count = len(layers) * max(1, len(formats))
    height = max(120, (_BAR if count <= _MANY_BARS else _NARROW_BAR) * count)
    return Chart("search-sensitivities", "Sensitivity of each layer", caption, described, styled(bars, height))


def front_chart(result: SearchResult) -> Chart:
    """Accuracy against the objective; uniform precisions named, dominated points faint."""
    objective = result.basis.objective
    unit = UNITS[objective][1]
    uniform = {point.name for point in result.uniform}
    lowest = result.float_accuracy_percent - max(_BELOW_POINTS, 2 * result.basis.max_loss_points)
    rows = [
        {
            "name": point.name, "cost": point.costs.of(objective), "accuracy": point.accuracy_percent,
            "shown": max(point.accuracy_percent, lowest),
            "kind": "chosen" if point.name == result.chosen else "uniform" if point.name in uniform
            else "front" if point.name in result.front else "dominated",
            "label": _front_label(point, result, lowest, point.name in uniform),
            "front": point.name in result.front,
            "below": point.accuracy_percent < lowest,
        }
        for point in sorted(result.points, key=lambda one: (one.name in result.front, one.name in uniform))
    ]  # fmt: skip
    alt_any: Any = alt
    base = alt_any.Chart(alt.Data(values=rows)).encode(
        x=alt_any.X("cost:Q", title=f"{objective.capitalize()} ({unit})", scale=alt_any.Scale(zero=False)),
        y=alt_any.Y("shown:Q", title="Accuracy (%)", scale=alt_any.Scale(zero=False)),
    )
    line = base.transform_filter("datum.front").mark_line(interpolate="step-after", color=INK, strokeWidth=1)
    colors = alt_any.Scale(domain=list(_MARKS), range=list(_MARKS.values()))
    points = base.mark_point(filled=True, opacity=0.85).encode(
        color=alt_any.Color("kind:N", scale=colors, title=None),
        size=alt_any.condition("datum.kind == 'chosen'", alt_any.value(150), alt_any.value(60)),
        shape=alt_any.condition("datum.below", alt_any.value("triangle-down"), alt_any.value("circle")),
        tooltip=["name:N", "cost:Q", "accuracy:Q"],
    )
    names = base.mark_text(align="left", dx=7, dy=9, color=INK).encode(text="label:N")
    least = result.float_accuracy_percent - result.basis.max_loss_points
    allowed = alt_any.Chart(alt.Data(values=[{"least": least}])).mark_rule(strokeDash=[4, 3], color=FAINT)
    hidden = sum(1 for row in rows if row["below"])
    caption = (
        f"Accuracy of {result.basis.images} validation images; float reaches {result.float_accuracy_percent:.2f} %. "
        "The line joins the front; dominated points are grey; above the dashed line the allowed loss is kept."
        + (f" Triangles at the lower edge: {hidden} points that are less accurate than it says." if hidden else "")
    )
    described = f"{len(rows)} points, {len(result.front)} on the front."
    chart = styled(alt_any.layer(allowed.encode(y="least:Q"), line, points, names), HEIGHT)
    return Chart("search-front", f"Accuracy against {objective}", caption, described, chart)


def _front_label(point: Point, result: SearchResult, lowest: float, is_uniform: bool) -> str:
    """Of uniform precisions and of the chosen point."""
    name = point.precision if is_uniform else "chosen" if point.name == result.chosen else ""
    return f"{name}, {point.accuracy_percent:.1f} %" if name and point.accuracy_percent < lowest else name


def assignment_chart(result: SearchResult) -> Chart:
    """A row for each point of the front, a column for each layer, colored by its precision."""
    objective = result.basis.objective
    unit = UNITS[objective][1]
    points = [result.by_name[name] for name in result.front]
    labels = {
        point.name: f"{number}: {point.accuracy_percent:.2f} %, {point.costs.of(objective):.4g} {unit}"
        + (", fine-tuned" if point.fine_tuned_epochs else "")
        + (", chosen" if point.name == result.chosen else "")
        for number, point in enumerate(points, 1)
    }
    rows = [
        {"point": labels[point.name], "layer": layer, "precision": point.layers.get(layer, point.precision)}
        for point in points
        for layer in result.basis.layers
    ]
    alt_any: Any = alt
    cells = alt_any.Chart(alt.Data(values=rows)).mark_rect(stroke="white").encode(
        x=alt_any.X("layer:N", sort=list(result.basis.layers), title=None, axis=alt_any.Axis(labelAngle=-60)),
        y=alt_any.Y("point:N", sort=[row["point"] for row in rows], title=None, axis=alt_any.Axis(labelLimit=260)),
        color=_precision_color(result, "top"),
        tooltip=["layer:N", "precision:N"],
    )  # fmt: skip
    caption = "Each row is a point of the front, the cheapest at the top; each column a layer, in the network's order."
    described = f"{len(points)} assignments of {len(result.basis.layers)} layers."
    height = max(60, _CELL * len(points))
    return Chart("search-assignments", "The front, layer by layer", caption, described, styled(cells, height))


def _precision_color(result: SearchResult, orient: str) -> Any:
    """From the widest precision, dark, to the narrowest; the same in all charts of a search."""
    alt_any: Any = alt
    scheme = alt_any.SchemeParams(name="viridis", extent=[0.05, 0.9])
    scale = alt_any.Scale(domain=list(result.basis.formats), scheme=scheme)
    return alt_any.Color("precision:O", title="Precision", scale=scale, legend=alt_any.Legend(orient=orient, columns=8))
