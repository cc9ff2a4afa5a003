"""Charts of accuracy with defects: against their number, a bit error rate, a voltage; and what a repair takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt

from fewbits.report.chart import HEIGHT, INK, Chart, styled
from fewbits.report.curve_charts import colours
from fewbits.report.defects import DefectCurve, DefectPoint, defect_curves, sentence, shown_amount
from fewbits.report.rows import TOLERANCE_POINTS
from fewbits.study.defect_record import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fewbits.report.rows import Group

_DOTS = 2000
"""Draws that a chart shows as dots; more would hide the lines."""

_DASHES = {"faulty": [1, 0], "retrained": [6, 3], "repaired": [2, 2]}
"""Of a line, by the name in STAGES."""

_STROKES = alt.Legend(symbolType="stroke", symbolSize=500, symbolStrokeWidth=2, symbolStrokeColor=INK)
"""The legend of dashes."""

_ROOM = 1.25
"""Between the outermost rates and the ends of their axis, as a factor."""

_WIDE = 8
"""Counts whose largest is so many times the smallest above zero stand on a logarithmic axis that takes zero."""


def defect_charts(group: Group, tail: str) -> tuple[Chart, ...]:
    """The charts of a group; none where no run was measured with defects."""
    charts: list[Chart] = []
    for where, curves in defect_curves(group).items():
        stem = f"defects-{where}{tail}"
        of_rate = curves[0].kind == "rates"
        if not of_rate or any(point.amount for curve in curves for point in curve.points):
            charts.append(_accuracy_chart(group, curves, stem))
        if all(point.voltage_v is not None for curve in curves for point in curve.points):
            charts.append(_voltage_chart(group, curves, f"{stem}-voltage"))
        if any(point.energy_ratio is not None for curve in curves for point in curve.points):
            charts.append(_price_chart(group, curves, f"{stem}-repair"))
    return tuple(charts)


def _accuracy_chart(group: Group, curves: Sequence[DefectCurve], stem: str) -> Chart:
    what = curves[0].amounts_of
    if curves[0].kind == "rates":
        rates = [point.amount for curve in curves for point in curve.points if point.amount]
        scale = alt.Scale(type="log", domain=[min(rates) / _ROOM, max(rates) * _ROOM], nice=False)
        first, last = math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates)))
        decades = [10.0**power for power in range(first, last + 1)]
        axis = alt.X("x:Q", title=f"{what} (logarithmic)", scale=scale, axis=alt.Axis(format="~e", values=decades))
        return _chart(group, curves, stem, f"Accuracy by {what}", axis, lambda point: point.amount or None)
    return _chart(group, curves, stem, f"Accuracy by {what}", _counts_axis(curves), lambda point: point.amount)


def _counts_axis(curves: Sequence[DefectCurve]) -> alt.X:
    amounts = sorted({point.amount for curve in curves for point in curve.points})
    smallest = min((amount for amount in amounts if amount), default=1.0)
    wide = amounts[-1] >= _WIDE * smallest
    return alt.X(
        "x:Q",
        title=f"{curves[0].amounts_of}, number",
        scale=alt.Scale(type="symlog", constant=smallest) if wide else alt.Scale(),
        axis=alt.Axis(values=amounts, format="d"),
    )


def _voltage_chart(group: Group, curves: Sequence[DefectCurve], stem: str) -> Chart:
    where = curves[0].place
    axis = alt.X("x:Q", title=f"supply voltage of {where}, V", scale=alt.Scale(zero=False, reverse=True))
    heading = f"Accuracy by the voltage of {where}"
    return _chart(group, curves, stem, heading, axis, lambda point: point.voltage_v)


def _chart(
    group: Group,
    curves: Sequence[DefectCurve],
    stem: str,
    heading: str,
    x: alt.X,
    place: Callable[[DefectPoint], float | None],
) -> Chart:
    """Accuracy: a line a precision and stage, bands of intervals, dots of draws. place: of a point; None for none."""
    labels = [curve.label for curve in curves]
    stages = [name for name in STAGES if any(name in curve.stages for curve in curves)]
    means = [one for curve in curves for point in curve.points for one in _means(curve, point, place(point))]
    every = sum(len(of.percent) for c in curves for point in c.points for of in point.accuracies.values())
    dots = [one for curve in curves for point in curve.points for one in _dots(curve, point, place(point))]
    y = alt.Y("m:Q", title="accuracy, bit-exact, %", scale=alt.Scale(zero=False))
    legend = alt.Legend(symbolOpacity=1, symbolType="circle")
    colour = alt.Color("p:N", title="precision", sort=labels, scale=colours(labels), legend=legend)
    shown = [STAGES[name] for name in stages]
    dash = alt.StrokeDash(
        "s:N",
        title="accuracy",
        sort=shown,
        scale=alt.Scale(domain=shown, range=[_DASHES[name] for name in stages]),
        legend=_STROKES if len(stages) > 1 else None,
    )
    base = alt.Chart(alt.Data(values=means))
    band = base.mark_area(opacity=0.15).encode(x=x, y=alt.Y("lo:Q"), y2=alt.Y2("hi:Q"), color=colour, detail="s:N")
    tooltip = [
        alt.Tooltip("p:N", title="precision"),
        alt.Tooltip("t:N", title="defects"),
        alt.Tooltip("s:N", title="accuracy"),
        alt.Tooltip("m:Q", title="mean, %", format=".2f"),
        alt.Tooltip("lo:Q", title="interval from, %", format=".2f"),
        alt.Tooltip("hi:Q", title="to, %", format=".2f"),
    ]
    line: Any = base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=colour, strokeDash=dash)
    line += base.mark_circle(size=45, opacity=1).encode(x=x, y=y, color=colour, tooltip=tooltip)
    rings = alt.Chart(alt.Data(values=[one for curve in curves for one in _ring(curve, place)]))
    ringed = rings.mark_point(size=190, filled=False, strokeWidth=2).encode(x=x, y=y, color=colour)
    layers: Any = band + line + ringed
    if every <= _DOTS:
        cloud = alt.Chart(alt.Data(values=dots)).mark_circle(size=9, opacity=0.35)
        layers = band + cloud.encode(x=x, y=alt.Y("v:Q"), color=colour) + line + ringed
    without = ", ".join(f"{curve.label} {curve.exact_percent:.2f} %" for curve in curves)
    return Chart(
        stem=stem,
        heading=f"{heading}: {group.title}",
        caption=f"Mean over {curves[0].draws} draws on {curves[0].images} test images, with its 95 % interval as a "
        f"band{'; dots are the draws' if every <= _DOTS else ''}. A ring is around the most defects within "
        f"{TOLERANCE_POINTS:g} point of accuracy. Without defects: {without}.",
        description=f"Line chart of {heading.lower()}, {group.title}. "
        + " ".join(f"{curve.label}: {sentence(curve)}" for curve in curves),
        spec=styled(layers, HEIGHT),
    )


def _means(curve: DefectCurve, point: DefectPoint, x: float | None) -> list[dict[str, Any]]:
    if x is None:
        return []
    return [
        {
            "p": curve.label,
            "x": x,
            "t": shown_amount(curve.kind, point.amount),
            "s": STAGES[name],
            "m": of.mean_percent,
            "lo": max(0.0, of.mean_percent - of.interval_percent),
            "hi": min(100.0, of.mean_percent + of.interval_percent),
        }
        for name, of in point.accuracies.items()
    ]


def _ring(curve: DefectCurve, place: Callable[[DefectPoint], float | None]) -> list[dict[str, Any]]:
    """Around the most defects within the tolerance, at each stage."""
    found = [(name, curve.tolerated(name)[0]) for name in curve.stages]
    return [
        {"p": curve.label, "x": x, "m": point.accuracies[name].mean_percent}
        for name, point in found
        if point is not None and point.amount and (x := place(point)) is not None
    ]


def _dots(curve: DefectCurve, point: DefectPoint, x: float | None) -> list[dict[str, Any]]:
    if x is None:
        return []
    return [{"p": curve.label, "x": x, "v": v} for of in point.accuracies.values() for v in of.percent]


def _price_chart(group: Group, curves: Sequence[DefectCurve], stem: str) -> Chart:
    """Energy and cycles of an image after the repair, over those before it."""
    labels = [curve.label for curve in curves]
    values = [
        {"p": curve.label, "x": point.amount, "w": what, "v": value, "n": point.disabled_neurons}
        for curve in curves
        for point in curve.points
        for what, value in (("energy", point.energy_ratio), ("cycles", point.cycles_ratio))
        if value is not None
    ]
    tooltip = [
        alt.Tooltip("p:N", title="precision"),
        alt.Tooltip("w:N", title="of an image"),
        alt.Tooltip("v:Q", title="times", format=".3f"),
        alt.Tooltip("n:Q", title="neurons disabled", format=".2f"),
    ]
    base = alt.Chart(alt.Data(values=values)).encode(
        x=_counts_axis(curves),
        y=alt.Y("v:Q", title="after the repair, times that before", scale=alt.Scale(zero=False)),
        color=alt.Color("p:N", title="precision", sort=labels, scale=colours(labels)),
    )
    dash = alt.StrokeDash("w:N", title="of an image", sort=["energy", "cycles"], legend=_STROKES)
    chart = base.mark_line(strokeWidth=1.8).encode(strokeDash=dash) + base.mark_circle(size=45).encode(tooltip=tooltip)
    ends = ", ".join(
        f"{curve.label} {last.energy_ratio:.2f} times the energy and {last.cycles_ratio:.2f} times the cycles at "
        f"{shown_amount(curve.kind, last.amount)}"
        for curve in curves
        for last in [[point for point in curve.points if point.energy_ratio is not None][-1]]
    )
    return Chart(
        stem=stem,
        heading=f"What the repair takes: {group.title}",
        caption=f"Neurons with a defect are disabled, means over the draws that a repair helps: {ends}.",
        description=f"Line chart of energy and cycles of an image after the repair, {group.title}: {ends}.",
        spec=styled(chart, HEIGHT),
    )
