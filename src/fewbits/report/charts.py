"""The charts of a study: accuracy against energy with its Pareto front, and area, power and energy by component."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import altair as alt
import vl_convert

from fewbits.report.chart_files import file_tails, with_digest
from fewbits.report.energy import LEAKAGE, NAMES, ordered, row_energies
from fewbits.report.labels import place_labels, to_pixels
from fewbits.report.networks import across_networks, network_of
from fewbits.report.rows import pareto_front
from fewbits.report.table import decimals_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.report.rows import Group, Row

Spec = dict[str, Any]
"""A Vega-Lite specification, as JSON values."""

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
"""Version of the Vega-Lite that the specifications are for, as vl_convert names it."""

WIDTH, HEIGHT, BAR_HEIGHT = 640, 380, 34
"""Pixels of a chart as PNG; in the page its width is that of the page."""

NARROW = 400
"""Plot width that labels are placed for, so that they stay apart on a phone too."""

HALO = "halo"
"""Name of the layer behind the labels; the page's style recolours it by this name."""

INK, FAINT = "#333333", "#8a8a8a"

FAMILIES = {
    "floating point": ("#0072B2", "diamond"),
    "fixed point": ("#D55E00", "circle"),
    "powers of two": ("#009E73", "triangle-up"),
    "ternary": ("#E69F00", "triangle-down"),
    "binary": ("#CC79A7", "square"),
}
"""Colour and shape for each family of weights. Colours: Okabe and Ito, "Color Universal Design", 2008."""

NETWORKS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of networks, where a chart has several; from the same set."""

COMPONENTS = {
    "multipliers": "#0072B2",
    "adder_tree": "#56B4E9",
    "registers": "#009E73",
    "rest": "#999999",
    "control": "#CC79A7",
    "clock": "#000000",
    "bin": "#F0E442",
    "sb": "#E69F00",
    "bout": "#D55E00",
}
"""Colour for each component of the accelerator, from the same set."""

LEAKAGE_COLOUR = "#5B4B8A"

OTHER = "#882255"
"""For a component that has no colour of its own."""


@dataclass(frozen=True)
class Chart:
    """One chart: its file's stem, heading, caption, description for those who cannot see it, and specification."""

    stem: str
    heading: str
    caption: str
    description: str
    spec: Spec

    def png(self) -> bytes:
        """The chart under its heading as an image at twice its nominal size; works offline.

        The image carries a digest of what it shows (`sha256`), by which a stored one is compared with the figures of
        the day.
        """
        image = vl_convert.vegalite_to_png(json.dumps(self._titled()), vl_version=VEGA_LITE, scale=2)
        return with_digest(image, self.sha256)

    @property
    def sha256(self) -> str:
        """Of the specification and heading: equal for charts that show the same."""
        return hashlib.sha256(json.dumps(self._titled(), sort_keys=True).encode()).hexdigest()

    def _titled(self) -> Spec:
        """The specification with the heading above it."""
        return self.spec | {"title": {"text": self.heading, "anchor": "start", "fontSize": 15, "offset": 12}}

    def page_spec(self) -> Spec:
        """The specification for the page: as wide as its place there, on the page's own background, untitled."""
        config = self.spec["config"] | {"background": None}
        fit = {"type": "fit-x", "contains": "padding"}
        return self.spec | {"width": "container", "autosize": fit, "config": config, "padding": 2}


def accuracy_energy_chart(group: Group, stem: str) -> Chart:
    """Accuracy of the bit-exact network against energy an image, with the Pareto front stepped through it."""
    rows = group.points
    front = pareto_front(rows)
    x_range, y_range = _ranges(rows)
    points = alt.Data(values=_points(rows, front, x_range, y_range))
    x = alt.X(
        "energy_uj:Q",
        title="energy an image, µJ (logarithmic)",
        scale=alt.Scale(type="log", domain=x_range, nice=False),
    )
    y = alt.Y("accuracy:Q", title="accuracy, bit-exact, %", scale=alt.Scale(domain=y_range, nice=False, zero=False))
    steps = alt.Chart(alt.Data(values=_front_steps(front, x_range)))
    line = steps.mark_line(interpolate="step-after", strokeDash=[5, 4], color=FAINT, strokeWidth=1.5).encode(x=x, y=y)
    spreads = alt.Chart(points).mark_rule(color=FAINT).encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    listed = "; ".join(
        f"{_point_label(row, rows)} {row.accuracy_percent.mean:.2f} % at {row.energy_uj.mean:.4g} µJ" for row in rows
    )
    spread_note = " Vertical lines: one standard deviation over the seeds, up and down."
    return Chart(
        stem=stem,
        heading=f"Accuracy and energy: {group.title}",
        caption=f"Dashed: the Pareto front ({', '.join(_point_label(row, rows) for row in front)}). "
        "Every other point takes more energy than one that is at least as accurate."
        + (spread_note if any(row.accuracy_percent.spread for row in rows) else ""),
        description=f"Scatter chart of accuracy against energy an image, {group.title}: {listed}.",
        spec=_spec(line + spreads + _marks(points, x, y, rows) + _names(points, x, y), HEIGHT),
    )


def area_chart(groups: Sequence[Group], stem: str) -> Chart:
    """Area of the accelerator by component, a bar for each precision; where rows of one precision differ in area, their
    recipes, networks or data are told apart.
    """
    return _bar_chart(stem, "Area by component", "mm²", _area_bars(groups))


def _area_bars(groups: Sequence[Group]) -> dict[str, dict[str, float]]:
    """Components of each area by the shortest labels under which no two different areas meet."""
    rows = [(group, row) for group in groups for row in group.rows]
    forms = ("{precision}", "{precision} {recipe}", "{model} {precision}", "{model} {precision} {recipe}")
    for form in (*forms, "{model} on {data} {precision} {recipe}"):
        bars: dict[str, dict[str, float]] = {}
        for group, row in rows:
            label = form.format(model=group.model, data=group.data, precision=row.precision, recipe=row.recipe)
            if bars.setdefault(label, row.area_mm2_by_component) != row.area_mm2_by_component:
                break
        else:
            return bars
    raise ValueError("two groups of one network and data")  # group_runs makes none


def power_chart(group: Group, stem: str) -> Chart:
    """Mean power over an image by component, a bar for each precision."""
    rows = group.points
    bars = {_label(row, rows): row.power_mw_by_component for row in rows}
    return _bar_chart(stem, f"Power by component: {group.title}", "mW", bars)


def energy_chart(group: Group, stem: str) -> Chart:
    """Energy of an image by component, a bar for each precision."""
    rows = group.points
    bars = {_label(row, rows): row.energy_uj_by_component for row in rows}
    return _bar_chart(stem, f"Energy of an image by component: {group.title}", "µJ", bars)


def layer_chart(group: Group, stem: str) -> Chart | None:
    """Energy of an image by layer and part, a bar for each layer, at a precision that the reader chooses.

    The image, and the page at first, show the precision of least energy. None if no row's energies are kept by layer.
    """
    energies = row_energies(group)
    if not energies:
        return None
    totals = {label: sum(one.by_part.values()) for label, one in energies.items()}
    chosen = min(totals, key=lambda label: totals[label])
    parts = ordered([part for one in energies.values() for part in one.parts])
    values = [
        {
            "precision": label,
            "bar": layer,
            "component": NAMES.get(part, part),
            "value": value,
            "order": parts.index(part),
        }
        for label, one in energies.items()
        for layer, split in one.layers.items()
        for part, value in split.items()
    ]
    ends = [
        {"precision": label, "bar": layer, "total": sum(split.values()), "share": sum(split.values()) / totals[label]}
        for label, one in energies.items()
        for layer, split in one.layers.items()
    ]
    layers = list(dict.fromkeys(layer for one in energies.values() for layer in one.layers))
    parameter = alt.param(
        name="chosen", value=chosen, bind=alt.binding_select(options=list(energies), name="precision: ")
    )
    y = alt.Y("bar:N", title=None, sort=layers)
    stack = alt.Chart(alt.Data(values=values)).mark_bar(stroke="white", strokeWidth=0.7)
    stack = stack.transform_filter("datum.precision === chosen").encode(
        x=alt.X("value:Q", title="µJ"),
        y=y,
        color=_component_colour(parts),
        order=alt.Order("order:Q"),
        tooltip=["bar:N", "component:N", alt.Tooltip("value:Q", title="µJ", format=".4~g")],
    )
    text = alt.Chart(alt.Data(values=ends)).mark_text(align="left", dx=5, color=INK, fontSize=12)
    text = text.transform_filter("datum.precision === chosen").encode(
        x="total:Q", y=y, text=alt.Text("share:Q", format=".1%")
    )
    listed = "; ".join(f"{layer} {sum(split.values()):.3g} µJ" for layer, split in energies[chosen].layers.items())
    return Chart(
        stem=stem,
        heading=f"Energy of an image by layer and part: {group.title}",
        caption=f"Figures at the bars' ends: each layer's share. Shown first: {chosen}, the precision of least energy.",
        description=f"Stacked bars, energy of an image by layer at {chosen}: {listed}.",
        spec=_spec((stack + text).add_params(parameter), BAR_HEIGHT * max(len(layers), 2)),
    )


def study_charts(groups: Sequence[Group]) -> tuple[Chart, ...]:
    """Every chart of a study; file stems carry the network and the data where there are several."""
    charts: list[Chart] = []
    together = across_networks(groups)
    tails = file_tails([(group.model, group.data) for group in (*groups, *together)])
    for group, tail in zip(groups, tails if len(groups) > 1 else [""], strict=False):
        charts.append(accuracy_energy_chart(group, f"accuracy-energy{tail}"))
        charts.append(power_chart(group, f"power{tail}"))
        charts.append(energy_chart(group, f"energy{tail}"))
        by_layer = layer_chart(group, f"energy-layers{tail}")
        charts += [by_layer] if by_layer is not None else []
    for group, tail in zip(together, tails[len(groups) :], strict=True):
        charts.append(accuracy_energy_chart(group, f"accuracy-energy{tail}"))
    if any(group.rows for group in groups):
        charts.insert(1, area_chart(groups, "area"))
    return tuple(charts)


def _marks(points: alt.Data, x: alt.X, y: alt.Y, rows: Sequence[Row]) -> alt.Chart:
    families = [family for family in FAMILIES if any(_family(row) == family for row in rows)]
    colours, shapes = zip(*(FAMILIES[family] for family in families), strict=True)
    networks = list(dict.fromkeys(network_of(row) for row in rows))
    tooltip = [
        alt.Tooltip("name:N", title="precision"),
        alt.Tooltip("accuracy:Q", title="accuracy, bit-exact, %", format=".2f"),
        alt.Tooltip("fake:Q", title="accuracy, fake-quantized, %", format=".2f"),
        alt.Tooltip("energy_uj:Q", title="energy an image, µJ", format=".4~g"),
        alt.Tooltip("saved:N", title="energy saved"),
        alt.Tooltip("pareto:N", title="on the Pareto front"),
    ]
    marks = alt.Chart(points).mark_point(filled=True, size=150, opacity=1, stroke=INK, strokeWidth=0.6)
    return marks.encode(
        x=x,
        y=y,
        color=alt.Color("network:N", title="network", scale=alt.Scale(domain=networks, range=list(NETWORKS)))
        if len(networks) > 1
        else alt.Color("weights:N", title="weights", scale=alt.Scale(domain=families, range=colours)),
        shape=alt.Shape(
            "weights:N",
            title="weights",
            scale=alt.Scale(domain=families, range=shapes),
            legend=alt.Legend(symbolFillColor=FAINT) if len(networks) > 1 else alt.Undefined,
        ),
        tooltip=tooltip,
    )


def _names(points: alt.Data, x: alt.X, y: alt.Y) -> Any:
    """The points' labels at the places found for them, over a halo that keeps lines from crossing them."""
    place = {"dx": alt.expr("datum.dx"), "dy": alt.expr("datum.dy"), "align": alt.expr("datum.align")}
    text = alt.Chart(points).encode(x=x, y=y, text="label:N")
    halo = text.mark_text(fontSize=12, baseline="middle", stroke="white", strokeWidth=4, **cast("Any", place))
    return halo.properties(name=HALO) + text.mark_text(fontSize=12, baseline="middle", color=INK, **cast("Any", place))


def _points(
    rows: Sequence[Row], front: Sequence[Row], x_range: tuple[float, float], y_range: tuple[float, float]
) -> list[dict[str, Any]]:
    """One record a row, with the place of its label."""
    pixels = [
        (
            to_pixels(row.energy_uj.mean, *x_range, NARROW, logarithmic=True),
            HEIGHT - to_pixels(row.accuracy_percent.mean, *y_range, HEIGHT),
        )
        for row in rows
    ]
    labels = [_label(row, _of_its_network(row, rows)) for row in rows]
    return [
        {
            "name": _point_label(row, rows),
            "label": label,
            "network": network_of(row),
            "weights": _family(row),
            "energy_uj": row.energy_uj.mean,
            "accuracy": row.accuracy_percent.mean,
            "fake": row.fake_quantized_accuracy_percent.mean,
            "low": row.accuracy_percent.mean - row.accuracy_percent.spread,
            "high": row.accuracy_percent.mean + row.accuracy_percent.spread,
            "saved": "no float32 run"
            if row.energy_saving_percent is None
            else f"{row.energy_saving_percent.mean:.1f} %",
            "pareto": "yes" if row in front else "no",
            "dx": place.dx,
            "dy": place.dy,
            "align": place.align,
        }
        for row, label, place in zip(rows, labels, place_labels(labels, pixels, NARROW, HEIGHT), strict=True)
    ]


def _front_steps(front: Sequence[Row], x_range: tuple[float, float]) -> list[dict[str, float]]:
    """The front's corners, drawn on to the right edge: more energy than its last point's buys nothing more."""
    corners = [{"energy_uj": row.energy_uj.mean, "accuracy": row.accuracy_percent.mean} for row in front]
    return [*corners, {"energy_uj": x_range[1], "accuracy": corners[-1]["accuracy"]}]


def _ranges(rows: Sequence[Row]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Of both axes, with room for the labels."""
    energies = [row.energy_uj.mean for row in rows]
    lows = [row.accuracy_percent.mean - row.accuracy_percent.spread for row in rows]
    highs = [row.accuracy_percent.mean + row.accuracy_percent.spread for row in rows]
    margin = max(max(highs) - min(lows), 0.5) * 0.15
    return (min(energies) / 1.7, max(energies) * 1.7), (min(lows) - margin, max(highs) + margin)


def _bar_chart(stem: str, heading: str, unit: str, bars: dict[str, dict[str, float]]) -> Chart:
    """Stacked horizontal bars in the order given, the total beside each."""
    found = [name for one in bars.values() for name in one]
    components = ordered(found)
    values = [
        {"precision": bar, "component": NAMES.get(name, name), "value": value, "order": components.index(name)}
        for bar, parts in bars.items()
        for name, value in parts.items()
    ]
    totals = {bar: sum(parts.values()) for bar, parts in bars.items()}
    decimals = decimals_for(list(totals.values()))
    y = alt.Y("precision:N", title=None, sort=list(bars))
    stack = alt.Chart(alt.Data(values=values)).mark_bar(stroke="white", strokeWidth=0.7)
    stack = stack.encode(
        x=alt.X("value:Q", title=unit, scale=alt.Scale(domain=(0, max(totals.values()) * 1.12), nice=False)),
        y=y,
        color=_component_colour(components),
        order=alt.Order("order:Q"),
        tooltip=["precision:N", "component:N", alt.Tooltip("value:Q", title=unit, format=".4~g")],
    )
    ends = alt.Chart(alt.Data(values=[{"precision": bar, "total": total} for bar, total in totals.items()])).mark_text(
        align="left", dx=5, color=INK, fontSize=12
    )
    ends = ends.encode(x="total:Q", y=y, text=alt.Text("total:Q", format=f",.{decimals}f"))
    listed = "; ".join(f"{bar} {total:.4g} {unit}" for bar, total in totals.items())
    return Chart(
        stem=stem,
        heading=heading,
        caption=f"Figures at the bars' ends: totals in {unit}.",
        description=f"Stacked bars, {heading.lower()}; totals: {listed}.",
        spec=_spec(stack + ends, BAR_HEIGHT * max(len(bars), 2)),
    )


def _component_colour(components: Sequence[str]) -> alt.Color:
    colours = COMPONENTS | {LEAKAGE: LEAKAGE_COLOUR}
    return alt.Color(
        "component:N",
        title=None,
        scale=alt.Scale(
            domain=[NAMES.get(name, name) for name in components],
            range=[colours.get(name, OTHER) for name in components],
        ),
    )


def _spec(chart: Any, height: int) -> Spec:
    styled = (
        chart.properties(width=WIDTH, height=height)
        .configure(background="white", font="sans-serif", padding=12)
        .configure_axis(
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e6e6e6", labelLimit=200
        )
        .configure_legend(orient="bottom", labelFontSize=12, titleFontSize=12, titleFontWeight="normal", columns=4)
        .configure_view(stroke=None)
    )
    return cast("Spec", styled.to_dict())


def _label(row: Row, rows: Sequence[Row]) -> str:
    """The precision, with the recipe where a precision stands in several rows."""
    several = sum(other.precision == row.precision for other in rows) > 1
    return f"{row.precision} {row.recipe}" if several else row.precision


def _point_label(row: Row, rows: Sequence[Row]) -> str:
    """The label, with the network in front where the rows are of several."""
    same = _of_its_network(row, rows)
    label = _label(row, same)
    return label if len(same) == len(rows) else f"{network_of(row)} {label}"


def _of_its_network(row: Row, rows: Sequence[Row]) -> list[Row]:
    return [other for other in rows if network_of(other) == network_of(row)]


def _family(row: Row) -> str:
    weights = row.precision.split("/")[0]
    prefixes = {"fixed": "fixed point", "pow2": "powers of two", "ternary": "ternary", "binary": "binary"}
    return next((name for prefix, name in prefixes.items() if weights.startswith(prefix)), "floating point")
