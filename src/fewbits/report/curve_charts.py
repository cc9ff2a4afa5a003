"""Charts of the training curves: loss, and accuracy on the held-out images, by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import altair as alt

from fewbits.report.chart import HEIGHT, Chart, point_label, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.report.rows import Group
    from fewbits.study import RunResult
    from fewbits.train.record import EpochRecord

_POINTS = 8000
"""Points of a chart in all; a line has at least two. More would make a page of many runs too heavy to open."""


_MARKS = 300
"""Epochs in a chart that are marked on their lines; more marks run into one another at a chart's 640 pixels."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255")
"""Okabe and Ito, "Color Universal Design", 2008, but for black, which a dark page swallows: P. Tol's wine instead."""


@dataclass(frozen=True)
class _Curve:
    """What one chart shows of an epoch."""

    name: str
    """Of the field of an epoch's record."""

    word: str
    axis: str
    logarithmic: bool = False


CURVES = (
    _Curve("loss", "Training loss", "loss on the training images (logarithmic)", logarithmic=True),
    _Curve("validation_accuracy_percent", "Validation accuracy", "accuracy on the held-out images, %"),
)


@dataclass(frozen=True)
class _Line:
    """One training."""

    label: str
    seed: str
    epochs: tuple[EpochRecord, ...]


def curve_charts(group: Group, tail: str) -> tuple[Chart, ...]:
    """A chart of the loss and one of the accuracy; none where no run of the group kept its curve."""
    lines = _lines(group)
    return tuple(_chart(group, curve, lines, f"curves-{curve.name.split('_')[0]}{tail}") for curve in CURVES if lines)


def without_curves(groups: Sequence[Group]) -> str:
    """A sentence on the runs that have no curve though they were trained; empty if there are none."""
    runs = [run for group in groups for row in group.rows for run in row.runs if run.epochs and not run.history]
    if not runs:
        return ""
    every = sum(len(row.runs) for group in groups for row in group.rows)
    return (
        f"{len(runs)} of {every} runs have no training curve: a version of fewbits that kept none made them. Their "
        "other figures are complete."
    )


def _lines(group: Group) -> list[_Line]:
    """The trainings of a group's rows; the float network's also where the group has no float32 row."""
    rows = [row for row in group.points if row.accelerator == group.points[0].accelerator]  # trained once for all
    found = [_Line(point_label(row, rows), _seed(run), run.history) for row in rows for run in row.runs if run.history]
    shown = {run.float_history for row in group.rows if row.is_baseline for run in row.runs}
    for row in group.points:
        for run in row.runs:
            if run.float_history and run.float_history not in shown:
                shown.add(run.float_history)
                found.append(_Line("float network", _seed(run), run.float_history))
    return found


def _seed(run: RunResult) -> str:
    return str(run.seed)


def _chart(group: Group, curve: _Curve, lines: Sequence[_Line], stem: str) -> Chart:
    most = max(2, _POINTS // len(lines))
    kept = [(line, _thinned(line.epochs, most)) for line in lines]
    positive = all(getattr(epoch, curve.name) > 0 for _, epochs in kept for epoch in epochs)
    values: list[dict[str, Any]] = [
        {"p": line.label, "s": line.seed, "e": epoch.epoch, "v": _rounded(getattr(epoch, curve.name))}
        for line, epochs in kept
        for epoch in epochs
    ]
    labels = list(dict.fromkeys(line.label for line in lines))
    logarithmic = curve.logarithmic and positive
    chart = alt.Chart(alt.Data(values=[])).mark_line(
        strokeWidth=1.2, strokeOpacity=0.8, point=alt.OverlayMarkDef(size=12) if _few(kept) else False
    )
    chart = chart.encode(
        x=alt.X("e:Q", title="epoch", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(zero=False, nice=False)),
        y=alt.Y(
            "v:Q",
            title=curve.axis if logarithmic == curve.logarithmic else curve.axis.removesuffix(" (logarithmic)"),
            scale=alt.Scale(type="log" if logarithmic else "linear", zero=False),
        ),
        color=alt.Color("p:N", title="precision", sort=labels, scale=colours(labels)),
        detail="s:N",
        tooltip=[
            alt.Tooltip("p:N", title="precision"),
            alt.Tooltip("s:N", title="seed"),
            alt.Tooltip("e:Q", title="epoch"),
            alt.Tooltip("v:Q", title=curve.axis.removesuffix(" (logarithmic)"), format=".4~g"),
        ],
    )
    longest = max(len(line.epochs) for line in lines)
    spec = styled(chart, HEIGHT)
    spec["data"] = {"values": values}  # past altair, which checks each value and takes a millisecond for it
    ends = _ends(curve, lines)
    thinned = f" At most {most} of {longest} epochs of a line are drawn; curves.csv has all." if longest > most else ""
    return Chart(
        stem=stem,
        heading=f"{curve.word} by epoch: {group.title}",
        caption=f"A line for each seed. A recipe that trains on begins where the float network ended.{thinned}",
        description=f"Line chart of {curve.word.lower()} by epoch, {group.title}. Last epoch: {ends}.",
        spec=spec,
    )


def _few(kept: Sequence[tuple[_Line, Sequence[EpochRecord]]]) -> bool:
    """Whether each epoch is marked: where marks leave lines readable, and where a line of one epoch is a mark alone."""
    return sum(len(epochs) for _, epochs in kept) <= _MARKS or any(len(epochs) == 1 for _, epochs in kept)


def _thinned(epochs: Sequence[EpochRecord], most: int) -> list[EpochRecord]:
    """At most so many, evenly spaced, the first and the last among them."""
    if len(epochs) <= most:
        return list(epochs)
    step = (len(epochs) - 1) / (most - 1)
    return [epochs[round(i * step)] for i in range(most)]


def _rounded(value: float) -> float:
    """To what a chart can show, so that a page of many points stays light."""
    return float(f"{value:.5g}")


def _ends(curve: _Curve, lines: Sequence[_Line]) -> str:
    """Mean over the seeds at the end, by precision."""
    ends: dict[str, list[float]] = {}
    for line in lines:
        ends.setdefault(line.label, []).append(getattr(line.epochs[-1], curve.name))
    return "; ".join(f"{label} {sum(values) / len(values):.4g}" for label, values in ends.items())


def colours(labels: Sequence[str]) -> alt.Scale:
    """Of lines: Okabe and Ito's while they last, then hues in the labels' order."""
    if len(labels) <= len(_COLOURS):
        return alt.Scale(domain=list(labels), range=list(_COLOURS[: len(labels)]))
    return alt.Scale(domain=list(labels), scheme="turbo")
