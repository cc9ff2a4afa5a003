"""The chart of accuracy against a figure that is better the less of it there is, with its Pareto front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import altair as alt

from fewbits.errors import FormatError
from fewbits.report.chart import FAINT, HEIGHT, INK, Chart, of_its_network, point_label, styled
from fewbits.report.labels import place_labels, to_pixels
from fewbits.report.networks import network_of
from fewbits.report.rows import ACCURACY, ENERGY, pareto_front
from fewbits.study.figures import figure_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.report.rows import Group, Row
    from fewbits.study.declaration import Figure

NARROW = 400
"""Plot width that labels are placed for, so that they stay apart on a phone too."""

HALO = "halo"
"""Name of the layer behind the labels; the page's style recolours it by this name."""


@dataclass(frozen=True)
class Family:
    """How points of a family of weights look."""

    name: str
    colour: str
    shape: str


FAMILIES = {
    "float": Family("floating point", "#0072B2", "diamond"),
    "fixed": Family("fixed point", "#D55E00", "circle"),
    "pow2": Family("powers of two", "#009E73", "triangle-up"),
    "ternary": Family("ternary", "#E69F00", "triangle-down"),
    "binary": Family("binary", "#CC79A7", "square"),
}
"""By the family of the weights' format. Colours: Okabe and Ito, "Color Universal Design", 2008."""

OTHERS = Family("other formats", "#56B4E9", "cross")
"""Of formats that are not fewbits' own; from the same set."""

NETWORKS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of networks, or of accelerators, where a chart has several; from the same set."""

_ACCURACY, _FAKE, _SAVED = map(figure_named, (ACCURACY, "fake_quantized_accuracy_percent", "energy_saving_percent"))


def accuracy_energy_chart(group: Group, stem: str) -> Chart:
    """Accuracy of the bit-exact network against energy an image."""
    return accuracy_chart(group, figure_named(ENERGY), stem)


def accuracy_chart(group: Group, figure: Figure, stem: str) -> Chart:
    """Accuracy of the bit-exact network against a figure, with the Pareto front stepped through it.

    At least one row must have the figure, which is positive; rows without it are left out.
    """
    rows = [row for row in group.points if row.figures[figure.name] is not None]
    front = pareto_front(rows, figure.name)
    x_range, y_range = _ranges(rows, figure.name)
    points = alt.Data(values=_points(rows, front, figure.name, x_range, y_range))
    x = alt.X(
        f"{figure.name}:Q",
        title=f"{figure.axis} (logarithmic)",
        scale=alt.Scale(type="log", domain=x_range, nice=False),
    )
    y = alt.Y("accuracy:Q", title=_ACCURACY.axis, scale=alt.Scale(domain=y_range, nice=False, zero=False))
    steps = alt.Chart(alt.Data(values=_front_steps(front, figure.name, x_range)))
    line = steps.mark_line(interpolate="step-after", strokeDash=[5, 4], color=FAINT, strokeWidth=1.5).encode(x=x, y=y)
    spreads = alt.Chart(points).mark_rule(color=FAINT).encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    listed = "; ".join(
        f"{point_label(row, rows)} {row.mean(ACCURACY):.2f} % at {row.mean(figure.name):.4g} {figure.unit}"
        for row in rows
    )
    spread_note = " Vertical lines: one standard deviation over the seeds, up and down."
    return Chart(
        stem=stem,
        heading=f"Accuracy and {figure.words}: {group.title}",
        caption=f"Dashed: the Pareto front ({', '.join(point_label(row, rows) for row in front)}). "
        f"Every other point takes more {figure.words} than one that is at least as accurate."
        + (spread_note if any(row.spread(ACCURACY) for row in rows) else ""),
        description=f"Scatter chart of accuracy against {figure.heading}, {group.title}: {listed}.",
        spec=styled(line + spreads + _marks(points, figure, x, y, rows) + _names(points, x, y), HEIGHT),
    )


def _marks(points: alt.Data, figure: Figure, x: alt.X, y: alt.Y, rows: Sequence[Row]) -> alt.Chart:
    found = {_family(row) for row in rows}
    families = [family for family in (*FAMILIES.values(), OTHERS) if family in found]
    names = [family.name for family in families]
    told, several = _told_by_colour(rows)
    tooltip = [
        alt.Tooltip("name:N", title="precision"),
        alt.Tooltip("accuracy:Q", title=_ACCURACY.axis, format=".2f"),
        alt.Tooltip("fake:Q", title=_FAKE.axis, format=".2f"),
        alt.Tooltip(f"{figure.name}:Q", title=figure.axis, format=".4~g"),
        alt.Tooltip("saved:N", title=_SAVED.heading),
        alt.Tooltip("pareto:N", title="on the Pareto front"),
    ]
    marks = alt.Chart(points).mark_point(filled=True, size=150, opacity=1, stroke=INK, strokeWidth=0.6)
    colours = alt.Scale(domain=names, range=[family.colour for family in families])
    return marks.encode(
        x=x,
        y=y,
        color=alt.Color(f"{told}:N", title=told, scale=alt.Scale(domain=several, range=list(NETWORKS)))
        if several
        else alt.Color("weights:N", title="weights", scale=colours),
        shape=alt.Shape(
            "weights:N",
            title="weights",
            scale=alt.Scale(domain=names, range=[family.shape for family in families]),
            legend=alt.Legend(symbolFillColor=FAINT) if several else alt.Undefined,
        ),
        tooltip=tooltip,
    )


def _told_by_colour(rows: Sequence[Row]) -> tuple[str, list[str]]:
    """What colours tell apart, and its values: networks where there are several, else accelerators; none where the
    weights' family has colour and shape.
    """
    values = {"network": [network_of(row) for row in rows], "accelerator": [row.accelerator for row in rows]}
    several = {what: list(dict.fromkeys(found)) for what, found in values.items() if len(set(found)) > 1}
    return next(iter(several.items()), ("weights", []))


def _names(points: alt.Data, x: alt.X, y: alt.Y) -> Any:
    """The points' labels at the places found for them, over a halo that keeps lines from crossing them."""
    place = {"dx": alt.expr("datum.dx"), "dy": alt.expr("datum.dy"), "align": alt.expr("datum.align")}
    text = alt.Chart(points).encode(x=x, y=y, text="label:N")
    halo = text.mark_text(fontSize=12, baseline="middle", stroke="white", strokeWidth=4, **cast("Any", place))
    return halo.properties(name=HALO) + text.mark_text(fontSize=12, baseline="middle", color=INK, **cast("Any", place))


def _points(
    rows: Sequence[Row],
    front: Sequence[Row],
    name: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
) -> list[dict[str, Any]]:
    """One record a row, with the place of its label. name: of the figure along x."""
    pixels = [
        (
            to_pixels(row.mean(name), *x_range, NARROW, logarithmic=True),
            HEIGHT - to_pixels(row.mean(ACCURACY), *y_range, HEIGHT),
        )
        for row in rows
    ]
    labels = [row.label(of_its_network(row, rows)) for row in rows]
    return [
        {
            "name": point_label(row, rows),
            "label": label,
            "network": network_of(row),
            **({"accelerator": row.accelerator} if row.accelerator else {}),
            "weights": _family(row).name,
            name: row.mean(name),
            "accuracy": row.mean(ACCURACY),
            "fake": row.mean(_FAKE.name),
            "low": row.mean(ACCURACY) - row.spread(ACCURACY),
            "high": row.mean(ACCURACY) + row.spread(ACCURACY),
            "saved": "no float32 run"
            if row.figures[_SAVED.name] is None
            else f"{row.mean(_SAVED.name):.{_SAVED.decimals}f} {_SAVED.unit}",
            "pareto": "yes" if row in front else "no",
            "dx": place.dx,
            "dy": place.dy,
            "align": place.align,
        }
        for row, label, place in zip(rows, labels, place_labels(labels, pixels, NARROW, HEIGHT), strict=True)
    ]


def _front_steps(front: Sequence[Row], name: str, x_range: tuple[float, float]) -> list[dict[str, float]]:
    """The front's corners, drawn on to the right edge: more of the figure than its last point's buys nothing more."""
    corners = [{name: row.mean(name), "accuracy": row.mean(ACCURACY)} for row in front]
    return [*corners, {name: x_range[1], "accuracy": corners[-1]["accuracy"]}]


def _ranges(rows: Sequence[Row], name: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Of both axes, with room for the labels."""
    along = [row.mean(name) for row in rows]
    lows = [row.mean(ACCURACY) - row.spread(ACCURACY) for row in rows]
    highs = [row.mean(ACCURACY) + row.spread(ACCURACY) for row in rows]
    margin = max(max(highs) - min(lows), 0.5) * 0.15
    return (min(along) / 1.7, max(along) * 1.7), (min(lows) - margin, max(highs) + margin)


def _family(row: Row) -> Family:
    """Of the weights' format; OTHERS for one that is not fewbits' own, or is not installed here."""
    from fewbits.formats import parse_precision  # loads torch: late

    try:
        name = row.runs[0].assignment.get("precision", row.precision)
        return FAMILIES.get(parse_precision(name).weights.family, OTHERS)
    except FormatError:
        return OTHERS
