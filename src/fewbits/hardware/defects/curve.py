"""Accuracy against the number of defects or the bit error rate: what `measure_defects` found. JSON both ways."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from scipy import stats

from fewbits.errors import HardwareError
from fewbits.hardware.defects.plan import DefectPlan

_STORED = ConfigDict(extra="forbid")
_Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
_Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Accuracies:
    """Accuracy of every draw, on the same images."""

    __pydantic_config__: ClassVar[ConfigDict] = _STORED

    percent: Annotated[tuple[_Percent, ...], Field(min_length=2)]
    """Of each draw, in order."""

    @property
    def mean_percent(self) -> float:
        """Mean over draws."""
        return statistics.fmean(self.percent)

    @property
    def interval_percent(self) -> float:
        """Half of the mean's 95 % interval over draws, by Student's t, in points."""
        draws = len(self.percent)
        return float(stats.t.ppf(0.975, draws - 1)) * statistics.stdev(self.percent) / math.sqrt(draws)


@dataclass(frozen=True)
class RepairPrice:
    """What disabling the defective neurons costs, for one image; means over draws, each by the cost model."""

    __pydantic_config__: ClassVar[ConfigDict] = _STORED

    disabled_neurons: tuple[_Count, ...]
    """Neurons with a defect, of each draw."""

    unrepaired_draws: _Count
    """Draws in which no neuron was left: they keep the accuracy with faults, and are in no figure below."""

    cycles: _Size
    cycles_before: _Size
    energy_uj: _Size
    energy_before_uj: _Size
    area_um2: _Size
    """Of the whole accelerator: a disabled neuron stays on the chip."""

    idle_area_um2: _Size
    """Of it, that of the disabled neurons: paid for, and computing nothing."""


@dataclass(frozen=True)
class DefectRow:
    """Accuracy at a number of defects, or at a rate."""

    __pydantic_config__: ClassVar[ConfigDict] = _STORED

    amount: _Size
    """Stuck nets of the tile, or chance of each stored bit to be wrong."""

    faulty: Accuracies
    """With the defects, and nothing done about them."""

    retrained: Accuracies | None = None
    """After a training that knew the defects; computed with them again."""

    repaired: Accuracies | None = None
    """After the repair."""

    price: RepairPrice | None = None
    """Of the repair."""


@dataclass(frozen=True)
class DefectCurve:
    """What `measure_defects` found."""

    __pydantic_config__: ClassVar[ConfigDict] = _STORED

    plan: DefectPlan
    precision: str
    """Of the network, as `Precision.name`."""

    images: Annotated[int, Field(ge=1)]
    """On how many images accuracies are."""

    exact_percent: _Percent
    """Accuracy without defects."""

    rows: tuple[DefectRow, ...]
    """One for each count or rate, in the plan's order."""

    notes: tuple[str, ...] = ()
    """What was assumed and what could not be known, a sentence each."""

    def to_json(self) -> dict[str, Any]:
        """As numbers, texts, lists and tables; means and intervals, which follow, are in it for readers."""
        values = asdict(self)
        for row, kept in zip(self.rows, values["rows"], strict=True):
            for name in ("faulty", "retrained", "repaired"):
                one: Accuracies | None = getattr(row, name)
                if one is not None:
                    kept[name] |= {"mean_percent": one.mean_percent, "interval_percent": one.interval_percent}
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DefectCurve:
        """What `to_json` gave. Raises HardwareError for anything else."""
        try:
            return _ADAPTER.validate_python(_without_means(values))
        except HardwareError as error:  # of the plan
            raise HardwareError(f"no curve of defects: {error}") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise HardwareError(f"no curve of defects: {where}: {first['msg']}; measure it anew") from None


def _without_means(values: Any) -> Any:
    """The values without those that follow from others."""
    if isinstance(values, Mapping):
        return {
            key: _without_means(value)
            for key, value in values.items()  # pyright: ignore[reportUnknownVariableType]
            if key not in ("mean_percent", "interval_percent")
        }
    return [_without_means(value) for value in values] if isinstance(values, (list, tuple)) else values  # pyright: ignore[reportUnknownVariableType]


_ADAPTER = TypeAdapter(DefectCurve)
