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
    "neuron": "stuck nets in the tile's neurons",
    "datapath": "stuck nets in the logic of the tile's neurons",
    "registers": "stuck nets in the registers of the tile's neurons",
    "weights-memory": "bit error rate of the weights' memory",
    "inputs-memory": "bit error rate of the inputs' memory",
}
"""What an amount of defects is, by where they lie."""


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
    amounts = sorted({one.amount for record in records for one in record.rows})
    by_amount = {
        amount: [one for record in records for one in record.rows if one.amount == amount] for amount in amounts
    }
    return DefectCurve(
        label=row.label(rows),
        where=records[0].where,
        kind=records[0].kind,
        exact_percent=fmean(record.exact_percent for record in records),
        images=records[0].images,
        points=tuple(_point(amount, found) for amount, found in by_amount.items()),
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
    what = PLACES.get(curve.where, curve.where)
    parts: list[str] = []
    for stage in curve.stages:
        within, behind = curve.tolerated(stage)
        done = "" if stage == "faulty" else f"{STAGES[stage]} "
        if within is None:
            assert behind is not None
            lost = curve.lost_points(behind, stage)
            parts.append(f"{done}even {_amount(curve, behind)}, the least measured, loses {lost:.2f} points")
            continue
        lost = curve.lost_points(within, stage)
        most = f"{done}up to {_amount(curve, within)} costs at most {TOLERANCE_POINTS:g} point ({lost:+.2f} lost there)"
        if behind is None:
            parts.append(f"{most}, the most measured")
        else:
            parts.append(f"{most}; {_amount(curve, behind)} loses {curve.lost_points(behind, stage):.2f}")
    return (
        f"{what}: {'; '.join(parts)}. Without defects {curve.exact_percent:.2f} %, mean over {curve.draws} draws on "
        f"{curve.images} test images."
    )


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
    return tuple(_table(group, where, curves) for where, curves in defect_curves(group).items())


def _table(group: Group, where: str, curves: Sequence[DefectCurve]) -> DefectTable:
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
    return DefectTable(f"{group.title}: {PLACES.get(where, where)}", headings, tuple(rows))


def _accuracy(drawn: DrawnAccuracies | None) -> str:
    return "-" if drawn is None else f"{drawn.mean_percent:.2f} ± {drawn.interval_percent:.2f}"


def _optional(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
