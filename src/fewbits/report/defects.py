"""Accuracy with defects: each row's curve over its seeds, what it says in a sentence, and the table of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from fewbits.report.rows import TOLERANCE_POINTS
from fewbits.study.defect_record import STAGES, DefectRowRecord, DrawnAccuracies

if TYPE_CHECKING:
    from fewbits.report.rows import Group, Row
    from fewbits.study import DefectRecord

PLACES: Mapping[str, str] = {
    "neuron": "the tile's neurons",
    "datapath": "the logic of the tile's neurons",
    "registers": "the registers of the tile's neurons",
    "weights-memory": "the weights' memory",
    "inputs-memory": "the inputs' memory",
}
"""Where defects lie, in words."""


@dataclass(frozen=True)
class DefectPoint:
    """A number of defects, or a rate."""

    amount: float
    voltage_v: float | None
    """At which a memory has this rate, where the study tells."""

    accuracies: Mapping[str, DrawnAccuracies]
    """By their names in STAGES: the draws of all seeds."""

    cycles_ratio: float | None = None
    """After the repair, over those before it; mean over the seeds."""

    energy_ratio: float | None = None
    disabled_neurons: float | None = None
    """Mean over draws and seeds."""


@dataclass(frozen=True)
class DefectCurve:
    """A row's accuracy with defects."""

    label: str
    where: str
    kind: str
    exact_percent: float
    """Without defects, mean over the seeds."""

    images: int
    points: tuple[DefectPoint, ...]
    """From the fewest defects to the most."""

    @property
    def place(self) -> str:
        """Where the defects lie, in words."""
        return PLACES.get(self.where, self.where)

    @property
    def amounts_of(self) -> str:
        """What an amount is, in words."""
        return f"{'stuck nets in' if self.kind == 'counts' else 'bit error rate of'} {self.place}"

    @property
    def draws(self) -> int:
        """Of each point, those of all seeds."""
        return len(self.points[0].accuracies["faulty"].percent)

    @property
    def stages(self) -> tuple[str, ...]:
        """Of STAGES, what there is."""
        return tuple(name for name in STAGES if all(name in point.accuracies for point in self.points))

    def lost_points(self, point: DefectPoint, stage: str = "faulty") -> float:
        """Points of accuracy that the mean over draws loses."""
        return self.exact_percent - point.accuracies[stage].mean_percent

    def tolerated(self, stage: str = "faulty") -> tuple[DefectPoint | None, DefectPoint | None]:
        """The most defects up to which no point loses more than TOLERANCE_POINTS, and the next point; None for none."""
        within: DefectPoint | None = None
        for point in self.points:
            if self.lost_points(point, stage) > TOLERANCE_POINTS:
                return within, point
            within = point
        return within, None


def defect_curves(group: Group) -> dict[str, list[DefectCurve]]:
    """The curves of a group's rows, by where the defects lie."""
    rows = [row for row in group.points if any(run.defects is not None for run in row.runs)]
    found: dict[str, list[DefectCurve]] = {}
    for row in rows:
        for where in dict.fromkeys(run.defects.where for run in row.runs if run.defects is not None):
            records = [run.defects for run in row.runs if run.defects is not None and run.defects.where == where]
            found.setdefault(where, []).append(_curve(row, rows, records))
    return found


def _curve(row: Row, rows: Sequence[Row], records: Sequence[DefectRecord]) -> DefectCurve:
    by_amount: dict[tuple[float, float], list[DefectRowRecord]] = {}
    for one in (one for record in records for one in record.rows):
        by_amount.setdefault((one.amount, -(one.voltage_v or 0.0)), []).append(one)
    return DefectCurve(
        label=row.label(rows),
        where=records[0].where,
        kind=records[0].kind,
        exact_percent=fmean(record.exact_percent for record in records),
        images=records[0].images,
        points=tuple(_point(place[0], found) for place, found in sorted(by_amount.items())),
    )


def _point(amount: float, found: Sequence[DefectRowRecord]) -> DefectPoint:
    accuracies = {
        name: DrawnAccuracies(tuple(percent for one in drawn for percent in one.percent))
        for name in STAGES
        if len(drawn := [of for one in found if (of := one.accuracies.get(name)) is not None]) == len(found)
    }
    prices = [one.price for one in found if one.price is not None]
    if not prices:
        return DefectPoint(amount, found[0].voltage_v, accuracies)
    return DefectPoint(
        amount=amount,
        voltage_v=found[0].voltage_v,
        accuracies=accuracies,
        cycles_ratio=fmean(one.cycles / one.cycles_before for one in prices),
        energy_ratio=fmean(one.energy_uj / one.energy_before_uj for one in prices),
        disabled_neurons=fmean(count for one in prices for count in one.disabled_neurons),
    )


def sentences(group: Group) -> Iterator[str]:
    """What each curve says: the most defects that cost at most TOLERANCE_POINTS."""
    for curves in defect_curves(group).values():
        for curve in curves:
            yield f"{group.title}, {curve.label}: {sentence(curve)}"


def sentence(curve: DefectCurve) -> str:
    """What a curve says."""
    parts = [_within(curve, stage) for stage in curve.stages]
    return (
        f"{'; '.join(parts)}. Without defects {curve.exact_percent:.2f} %; means over {curve.draws} draws, on "
        f"{curve.images} test images."
    )


def _within(curve: DefectCurve, stage: str) -> str:
    """The most defects within the tolerance at a stage, and what the next point loses."""
    within, behind = curve.tolerated(stage)
    done = "" if stage == "faulty" else f"{STAGES[stage]} "
    if behind is not None and (within is None or not within.amount):  # none at all costs nothing
        lost = curve.lost_points(behind, stage)
        fewest = "the fewest" if curve.kind == "counts" else "the lowest"
        return (
            f"{done}{_in_words(curve, behind)} in {curve.place}, {fewest} measured, loses {lost:.2f} points of accuracy"
        )
    assert within is not None
    at = within.accuracies[stage].mean_percent
    most = (
        f"{done}{curve.place} can have {_in_words(curve, within, 'up to ')} within {TOLERANCE_POINTS:g} point of "
        f"accuracy ({at:.2f} %)"
    )
    if behind is None:
        return f"{most}, the most that was measured"
    return f"{most}; at {_amount(curve, behind)} it loses {curve.lost_points(behind, stage):.2f} points"


def _in_words(curve: DefectCurve, point: DefectPoint, up_to: str = "") -> str:
    amount = f"{up_to}{_amount(curve, point)}"
    if curve.kind == "rates":
        return f"a bit error rate of {amount}"
    return f"{amount} stuck net{'s' * (point.amount != 1)}"


def _amount(curve: DefectCurve, point: DefectPoint) -> str:
    volts = "" if point.voltage_v is None else f" ({point.voltage_v:g} V)"
    return f"{shown_amount(curve.kind, point.amount)}{volts}"


def shown_amount(kind: str, amount: float) -> str:
    """A count as an integer, a rate in few digits."""
    return f"{amount:.0f}" if kind == "counts" else f"{amount:.3g}"


@dataclass(frozen=True)
class DefectTable:
    """The curves of a group as text, a line a precision and amount."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def defect_tables(group: Group) -> tuple[DefectTable, ...]:
    """A table for each place where the group's defects lie."""
    return tuple(_table(group, curves) for curves in defect_curves(group).values())


def _table(group: Group, curves: Sequence[DefectCurve]) -> DefectTable:
    stages = [name for name in STAGES if any(name in curve.stages for curve in curves)]
    priced = any(point.energy_ratio is not None for curve in curves for point in curve.points)
    in_volts = any(point.voltage_v is not None for curve in curves for point in curve.points)
    headings = (
        "precision",
        "rate" if curves[0].kind == "rates" else "defects",
        *(["voltage, V"] if in_volts else []),
        *(f"{STAGES[name]}, %" for name in stages),
        "lowest draw, %",
        *(["neurons disabled", "cycles, times", "energy, times"] if priced else []),
    )
    rows: list[tuple[str, ...]] = []
    for curve in curves:
        for point in curve.points:
            prices = (point.disabled_neurons, point.cycles_ratio, point.energy_ratio)
            rows.append(
                (
                    curve.label,
                    shown_amount(curve.kind, point.amount),
                    *([_optional(point.voltage_v, "g")] if in_volts else []),
                    *(_accuracy(point.accuracies.get(name)) for name in stages),
                    f"{min(point.accuracies['faulty'].percent):.2f}",
                    *([_optional(value, ".2f") for value in prices] if priced else []),
                )
            )
    return DefectTable(f"{group.title}: {curves[0].amounts_of}", headings, tuple(rows))


def _accuracy(drawn: DrawnAccuracies | None) -> str:
    return "-" if drawn is None else f"{drawn.mean_percent:.2f} ± {drawn.interval_percent:.2f}"


def _optional(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
