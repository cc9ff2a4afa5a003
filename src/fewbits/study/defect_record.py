"""What a run keeps of its network's accuracy with defects: every draw, by number of defects or rate. Loads no torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from fewbits.study.declaration import STORED, Count, Percent, Positive, PositiveCount, Size

if TYPE_CHECKING:
    from fewbits.hardware.defects import Accuracies, DefectCurve, DefectRow

STAGES: Mapping[str, str] = {
    "faulty": "with the defects",
    "retrained": "after retraining",
    "repaired": "after the repair",
}
"""What is done about defects, by the name of the field that holds the accuracies, in words."""


@dataclass(frozen=True)
class DrawnAccuracies:
    """Accuracy of every draw."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    percent: Annotated[tuple[Percent, ...], Field(min_length=2)]

    @property
    def mean_percent(self) -> float:
        """Mean over draws."""
        return statistics.fmean(self.percent)

    @property
    def interval_percent(self) -> float:
        """Half of the mean's 95 % interval over draws, by Student's t, in points."""
        from scipy.special import stdtrit  # here, since most runs have no defects

        draws = len(self.percent)
        return float(stdtrit(draws - 1, 0.975)) * statistics.stdev(self.percent) / math.sqrt(draws)


@dataclass(frozen=True, kw_only=True)
class RepairRecord:
    """What disabling defective neurons costs; fields as `fewbits.hardware.defects.RepairPrice` has them."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    disabled_neurons: tuple[Count, ...]
    unrepaired_draws: Count
    cycles: Size
    cycles_before: Size
    energy_uj: Size
    energy_before_uj: Size
    area_um2: Size
    idle_area_um2: Size


@dataclass(frozen=True, kw_only=True)
class DefectRowRecord:
    """Accuracy at a number of defects, or at a rate; fields as `fewbits.hardware.defects.DefectRow` has them."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    amount: Size
    faulty: DrawnAccuracies
    retrained: DrawnAccuracies | None = None
    repaired: DrawnAccuracies | None = None
    price: RepairRecord | None = None
    voltage_v: Positive | None = None
    """At which a memory has this rate, where the study tells."""

    @property
    def accuracies(self) -> dict[str, DrawnAccuracies]:
        """Those that there are, by their names in STAGES."""
        found = {name: getattr(self, name) for name in STAGES}
        return {name: one for name, one in found.items() if one is not None}


@dataclass(frozen=True, kw_only=True)
class DefectRecord:
    """A run's accuracy with defects."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    where: str
    kind: str
    """What an amount is: `counts` or `rates`."""

    draws: PositiveCount
    seed: Count
    images: PositiveCount
    """Of the test split, on which accuracies are."""

    exact_percent: Percent
    """Without defects, on the same images."""

    rows: tuple[DefectRowRecord, ...]
    retrain_epochs: Count | None = None
    repair: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What `fewbits run --json` prints of it: each draw, with mean and interval."""
        values = asdict(self)
        for row, printed in zip(self.rows, values["rows"], strict=True):
            for name, one in row.accuracies.items():
                printed[name] |= {"mean_percent": one.mean_percent, "interval_percent": one.interval_percent}
        return values


def defect_record(curve: DefectCurve, points: Sequence[tuple[float, float]] = ()) -> DefectRecord:
    """What is kept of a measurement. points: supply voltages and their rates, each a row, where the study has such."""
    plan, by_amount = curve.plan, {row.amount: row for row in curve.rows}
    rows = [(None, row) for row in curve.rows] if not points else [(volts, by_amount[rate]) for volts, rate in points]
    return DefectRecord(
        where=plan.where,
        kind=plan.kind,
        draws=plan.draws,
        seed=plan.seed,
        images=curve.images,
        exact_percent=curve.exact_percent,
        retrain_epochs=plan.retrain_epochs,
        repair=plan.repair,
        notes=curve.notes,
        rows=tuple(_row(row, voltage_v) for voltage_v, row in rows),
    )


def _row(row: DefectRow, voltage_v: float | None) -> DefectRowRecord:
    return DefectRowRecord(
        amount=float(row.amount),
        faulty=DrawnAccuracies(row.faulty.percent),
        retrained=_drawn(row.retrained),
        repaired=_drawn(row.repaired),
        voltage_v=voltage_v,
        price=None if row.price is None else RepairRecord(**asdict(row.price)),
    )


def _drawn(accuracies: Accuracies | None) -> DrawnAccuracies | None:
    return None if accuracies is None else DrawnAccuracies(accuracies.percent)
