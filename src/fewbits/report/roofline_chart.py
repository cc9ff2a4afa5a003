"""The roofline as a chart: of one precision that the reader chooses, or of several costs beside one another."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, cast

import altair as alt

from fewbits.errors import HardwareError
from fewbits.report.chart import HEIGHT, INK, Chart, styled
from fewbits.report.labels import place_labels, to_pixels
from fewbits.report.roofline import Roofline, roofline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.report.roofline import Point
    from fewbits.report.rows import Group

PLOT_WIDTH = 560
"""Plot width that labels are placed for."""

NAMED_TOGETHER = 3
"""Costs in a chart of which the first one's layers are named; among more, names would cover the points."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#882255")
"""Okabe and Ito, "Color Universal Design", 2008, but for the last: P. Tol's wine; from the first again where there are
more."""

_Range = tuple[float, float]


def group_roofline_chart(group: Group, stem: str) -> Chart | None:
    """Of a study's network at a precision that the reader chooses; None if no run kept its layers.

    The image, and the page at first, show the precision of least energy.
    """
    rows = group.points
    kept = [(row, run) for row in rows for run in row.runs[:1] if run.layer_records and run.products_per_cycle]
    roofs = [
        roofline(
            row.label(rows),
            run.layer_records,
            clock_mhz=run.clock_mhz,
            products_per_cycle=run.products_per_cycle or 0,
            bandwidth=run.bandwidth_gb_s,
        )
        for row, run in kept
    ]
    roofs = [roof for roof in roofs if roof.points]
    if not roofs:
        return None
    least = min(kept, key=lambda one: one[1].energy_uj)[0].label(rows)
    chosen = next((roof for roof in roofs if roof.label == least), roofs[0])
    parameter = alt.param(
        name="roof",
        value=chosen.label,
        bind=alt.binding_select(options=[roof.label for roof in roofs], name="precision: "),
    )
    drawn = _drawn(roofs, "limit", "limited by", "datum.roof === roof")
    return Chart(
        stem=stem,
        heading=f"Roofline: {group.title}",
        caption=f"{_caption(chosen)} Shown first: {chosen.label}.",
        description=_description(group.title, chosen),
        spec=styled(drawn.add_params(parameter), HEIGHT),
    )


def costs_roofline_chart(title: str, roofs: Sequence[Roofline], stem: str) -> Chart:
    """Of several costs of one network, or of one: layers of one are coloured by what limits them.

    Raises HardwareError if no layer has products and transfers.
    """
    roofs = [roof for roof in roofs if roof.points]
    if not roofs:
        raise HardwareError(f"no layer of {title!r} multiplies and transfers anything: it has no roofline")
    by = ("roof", "at") if len(roofs) > 1 else ("limit", "limited by")
    if len(roofs) > 1:  # or the points cover one another
        named = roofs[0] if len(roofs) <= NAMED_TOGETHER else None
        roofs = [replace(roof, narrowest=None, names_points=roof is named) for roof in roofs]
    return Chart(
        stem=stem,
        heading=f"Roofline: {title}" + (f" at {roofs[0].label}" if len(roofs) == 1 else ""),
        caption=" ".join(f"{roof.label}: {_caption(roof)}" for roof in roofs),
        description=" ".join(_description(title, roof) for roof in roofs),
        spec=styled(_drawn(roofs, *by, "true"), HEIGHT),
    )


def _drawn(roofs: Sequence[Roofline], by: str, title: str, chosen: str) -> Any:
    """All layers of the chart. by, title: what points are coloured by. chosen: whether a value is shown."""
    x_range, y_range = _ranges(roofs)
    x = alt.X("x:Q", title="operations per byte (logarithmic)", scale=_scale(x_range))
    y = alt.Y("y:Q", title="GOPS (logarithmic)", scale=_scale(y_range))
    corners = [one for roof in roofs for one in _lines(roof, x_range)]
    found = [level for level in _DASHES if any(one["level"] == level for one in corners)]
    levels = alt.Scale(domain=found, range=[_DASHES[level] for level in found])
    lines = alt.Chart(alt.Data(values=corners)).transform_filter(chosen)
    lines = lines.mark_line(color=INK, strokeWidth=1.5, clip=True).encode(
        x=x, y=y, detail=["roof:N", "ceiling:N"], tooltip=["ceiling:N"],
        strokeDash=alt.StrokeDash("level:N", title="bandwidth of the memory", scale=levels),
    )  # fmt: skip
    values = [one for roof in roofs for one in _marks(roof, x_range, y_range)]
    names = list(dict.fromkeys(one[by] for one in values))
    colours = alt.Scale(domain=names, range=[COLOURS[place % len(COLOURS)] for place in range(len(names))])
    tooltip = [
        alt.Tooltip("names:N", title="layers"), alt.Tooltip("level:N", title="by bytes of the memory"),
        alt.Tooltip("x:Q", title="operations per byte", format=".4~g"), alt.Tooltip("y:Q", title="GOPS", format=".4~g"),
        alt.Tooltip("roof:N", title="of"), alt.Tooltip("limit:N", title="limited by"),
    ]  # fmt: skip
    points = alt.Chart(alt.Data(values=values)).transform_filter(chosen)
    colour = alt.Color(f"{by}:N", title=title, scale=colours)
    filled, hollow = (points.transform_filter(f"datum.level === '{level}'") for level in _DASHES)
    marks = filled.mark_point(filled=True, size=90, opacity=1, stroke=INK, strokeWidth=0.6)
    rings = hollow.mark_point(filled=False, size=70, opacity=1, strokeWidth=1.5)
    place = {"dx": alt.expr("datum.dx"), "dy": alt.expr("datum.dy"), "align": alt.expr("datum.align")}
    labels = filled.mark_text(fontSize=11, baseline="middle", color=INK, **cast("Any", place))
    named = alt.Chart(alt.Data(values=[_peak_name(roof, x_range) for roof in roofs])).transform_filter(chosen)
    named = named.mark_text(fontSize=11, color=INK, align="right", baseline="bottom", dx=-4, dy=-4)
    drawn = lines + rings.encode(x=x, y=y, color=colour, tooltip=tooltip)
    drawn += marks.encode(x=x, y=y, color=colour, tooltip=tooltip)
    return drawn + labels.encode(x=x, y=y, text="label:N") + named.encode(x=x, y=y, text="text:N")


_OFF_CHIP, _ON_CHIP = "off the chip", "on the chip"
_DASHES = {_OFF_CHIP: [1, 0], _ON_CHIP: [5, 4]}
"""Strokes of the slanted ceilings."""


def _scale(limits: _Range) -> alt.Scale:
    return alt.Scale(type="log", domain=list(limits), nice=False)


def _lines(roof: Roofline, x_range: _Range) -> list[dict[str, Any]]:
    """Corners of the ceilings: each slanted one up to the multipliers', and on along that."""
    ceilings = [(_OFF_CHIP, f"off-chip, {roof.bandwidth_words}", roof.bandwidth_gb_s)]
    if roof.narrowest is not None:
        ceilings.append((_ON_CHIP, f"{roof.narrowest.name}, {roof.narrowest.gb_s:.4g} GB/s", roof.narrowest.gb_s))
    corners: list[dict[str, Any]] = []
    for level, name, gb_s in ceilings:
        ridge = min(max(roof.peak_gops / gb_s, x_range[0]), x_range[1])
        for x in (x_range[0], ridge, x_range[1]):
            corner = {"ceiling": name, "level": level, "x": x, "y": min(roof.peak_gops, gb_s * x)}
            corners.append({"roof": roof.label, **corner})
    return corners


def _peak_name(roof: Roofline, x_range: _Range) -> dict[str, Any]:
    """What the level ceiling is, at its right end."""
    text = f"multipliers: {roof.peak_gops:.4g} GOPS"
    return {"roof": roof.label, "x": x_range[1], "y": roof.peak_gops, "text": text}


def _marks(roof: Roofline, x_range: _Range, y_range: _Range) -> list[dict[str, Any]]:
    """Points by bytes that cross the border, which are named; and those by bytes of the narrowest memory."""
    pixels = [
        (
            to_pixels(point.operations_per_byte, *x_range, PLOT_WIDTH, logarithmic=True),
            HEIGHT - to_pixels(point.gops, *y_range, HEIGHT, logarithmic=True),
        )
        for point in roof.points
    ]
    labels = [point.label if roof.names_points else "" for point in roof.points]
    places = [asdict(one) for one in place_labels(labels, pixels, PLOT_WIDTH, HEIGHT)]
    marks = [
        _mark(roof, _OFF_CHIP, point) | {"label": label} | place
        for point, label, place in zip(roof.points, labels, places, strict=True)
    ]
    hollow = () if roof.narrowest is None else roof.narrowest.points
    return marks + [_mark(roof, _ON_CHIP, point) for point in hollow]


def _mark(roof: Roofline, level: str, point: Point) -> dict[str, Any]:
    about = {"roof": roof.label, "names": ", ".join(point.layers), "level": level, "limit": point.limit}
    return about | {"x": point.operations_per_byte, "y": point.gops}


def _ranges(roofs: Sequence[Roofline]) -> tuple[_Range, _Range]:
    """Of both axes: all points, and each ridge, with room for labels."""
    points = [point for roof in roofs for point in (*roof.points, *(roof.narrowest.points if roof.narrowest else ()))]
    along = [point.operations_per_byte for point in points] + [roof.peak_gops / roof.bandwidth_gb_s for roof in roofs]
    up = [point.gops for point in points] + [roof.peak_gops for roof in roofs]
    return (_rounded(min(along) / 1.8), max(along) * 6), (_rounded(min(up) / 1.8), max(up) * 1.8)


def _rounded(value: float) -> float:
    """Down to one digit."""
    step = 10 ** math.floor(math.log10(value))
    return math.floor(value / step) * step


def _caption(roof: Roofline) -> str:
    below = [point for point in roof.points if point.operations_per_byte < roof.peak_gops / roof.bandwidth_gb_s]
    layers, all_layers = (sum(len(point.layers) for point in each) for each in (below, roof.points))
    text = (
        f"Filled: each layer with products, by bytes between the chip and its memory ({roof.bandwidth_words}); "
        f"for {layers} of {all_layers} that memory is the lower ceiling."
    )
    if roof.is_assumed:
        text += " The schedule itself waits for no transfer: a point may lie above the assumed ceiling."
    if roof.narrowest is not None:
        text += f" Hollow: the same layers by bytes of {roof.narrowest.name}, the memory on the chip whose ports are"
        text += f" busiest (dashed: {roof.narrowest.gb_s:.4g} GB/s)."
    return text + " A product is two operations."


def _description(title: str, roof: Roofline) -> str:
    listed = "; ".join(
        f"{point.label} {point.operations_per_byte:.3g} operations per byte, {point.gops:.3g} GOPS"
        for point in roof.points
    )
    ceilings = f"{roof.peak_gops:.4g} GOPS at most, memory {roof.bandwidth_words}"
    return f"Roofline of {title} at {roof.label}: {ceilings}: {listed}."
