"""What bit error rate a memory can have, and how low its voltage can be: by a user's table of measured rates.

fewbits has no curve of error rates of its own. Such curves are published with measured memories, in Kim et al.,
"MATIC: Learning around errors for efficient low-voltage neural network accelerators" (IEEE TCAS-I 2018) and Salami et
al., "A comprehensive evaluation of voltage scaling ..." (MICRO 2018), each of its own memory.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.arguments import is_real, shown
from fewbits.errors import HardwareError
from fewbits.hardware.defects.curve import Accuracies, DefectRow
from fewbits.hardware.defects.measuring import Progress, measure_defects
from fewbits.hardware.defects.plan import DRAWS, DefectPlan
from fewbits.toml_table import LARGEST_FILE, Table, checked, read_toml

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork

_MOST_POINTS = 1000
_HIGHEST_VOLTAGE = 100.0
"""Volts; a larger number is one of millivolts."""

_SMALLEST_RATE = 1e-9
_STEP = 1.25
"""The limit is found to within this factor."""

_COLUMNS = ("voltage", "bit_error_rate")


@dataclass(frozen=True)
class ErrorRates:
    """Bit error rates of a memory by its voltage, as somebody measured them."""

    source: str
    """Where they were published or measured, in a line."""

    points: tuple[tuple[float, float], ...]
    """Volts and rates, from the highest voltage down; rates do not fall on the way. Nothing between them is known."""

    def __post_init__(self) -> None:
        if not self.source.strip() or len(self.source) > 1000 or "\n" in self.source:
            raise HardwareError("a table of bit error rates needs its source, in one line: who measured what")
        if not 1 <= len(self.points) <= _MOST_POINTS:
            raise HardwareError(f"a table of bit error rates has 1 to {_MOST_POINTS} rows, not {len(self.points)}")
        for voltage, rate in self.points:
            if not is_real(voltage, 0, _HIGHEST_VOLTAGE, open_low=True):
                raise HardwareError(f"a voltage is a number of volts, above 0 and up to 100, not {shown(voltage)}")
            if not is_real(rate, 0, 1):
                raise HardwareError(f"a bit error rate is a number from 0 to 1, not {shown(rate)}")
        ordered = tuple(sorted(self.points, reverse=True))
        for (high, fewer), (low, more) in itertools.pairwise(ordered):
            if high == low:
                raise HardwareError(f"the voltage {high:g} is twice in the table of bit error rates: give it once")
            if more < fewer:
                raise HardwareError(
                    f"the bit error rate falls from {fewer:g} at {high:g} V to {more:g} at {low:g} V: a memory makes "
                    "more errors at a lower voltage; check the columns"
                )
        object.__setattr__(self, "points", ordered)

    def lowest_voltage(self, rate: float) -> float | None:
        """The lowest voltage of the table whose rate is at most `rate`; None if there is none."""
        return min((voltage for voltage, own in self.points if own <= rate), default=None)


class _File(Table):
    """A table of bit error rates in TOML."""

    source: str
    points: tuple[tuple[float | int, float | int], ...]


def read_error_rates(path: Path | str) -> ErrorRates:
    """A file of bit error rates by voltage.

    TOML: `source = "..."` and `points = [[0.60, 1e-6], [0.55, 1e-4]]`, volts and rates. Or CSV (`.csv`): a first line
    `# source: ...`, then a line `voltage,bit_error_rate`, then a row a voltage. At most 1 MiB and 1,000 rows.
    Raises HardwareError, in one line, for anything else.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise HardwareError(f"cannot read bit error rates {str(path)!r}: {reason}; give a TOML or CSV file") from None
    if len(content) > LARGEST_FILE:
        raise HardwareError(f"cannot read bit error rates {str(path)!r}: more than {LARGEST_FILE:,} bytes")
    read = _of_csv if path.suffix.lower() == ".csv" else _of_toml
    try:
        return read(text)
    except HardwareError as error:
        raise HardwareError(f"bit error rates {str(path)!r}: {error}") from None


def _of_toml(text: str) -> ErrorRates:
    values = read_toml(text, "the file", HardwareError)
    found = checked(_File, values, "the file", "give source and points", HardwareError)
    return ErrorRates(found.source, found.points)


def _of_csv(text: str) -> ErrorRates:
    first, *rest = text.splitlines() or [""]
    name, _, source = first.partition(":")
    if name.replace(" ", "").lower() != "#source":
        raise HardwareError(f"the first line tells the source, as '# source: ...', not {shown(first)}")
    try:
        rows = list(csv.reader(io.StringIO("\n".join(rest[: _MOST_POINTS + 2])), strict=True))
    except csv.Error as error:
        raise HardwareError(f"malformed CSV: {error}") from None
    rows = [[cell.strip() for cell in row] for row in rows if row]
    if not rows or tuple(rows[0]) != _COLUMNS:
        raise HardwareError(f"the second line names the columns {','.join(_COLUMNS)}")
    points: list[tuple[float, float]] = []
    for row in rows[1:]:
        try:
            voltage, rate = (float(cell) for cell in row)
        except ValueError:
            raise HardwareError(
                f"a row is a voltage and a rate, such as 0.6,1e-6, not {shown(','.join(row))}"
            ) from None
        points.append((voltage, rate))
    return ErrorRates(source.strip(), tuple(points))


@dataclass(frozen=True)
class RateLimit:
    """The highest bit error rate that keeps a loss."""

    rate: float
    """0 if even the smallest rate that was tried loses more."""

    exact_percent: float
    """Accuracy without errors."""

    tried: tuple[DefectRow, ...]
    """From the smallest rate up."""


def highest_rate(
    network: BitExactNetwork,
    images: Tensor,
    labels: Tensor,
    max_loss_points: float = 1.0,
    *,
    where: str = "weights-memory",
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> RateLimit:
    """The highest bit error rate at which the mean accuracy over draws is at most so many points below that without.

    Found by bisection, to within a factor of 1.25, from 1e-9 to 1; wrong bits of a lower rate are among those of a
    higher one. where: `weights-memory` or `inputs-memory`. progress: told after each draw of each rate that is tried.
    Raises HardwareError for a loss below 0 or above 100, and as `measure_defects`.
    """
    if not is_real(max_loss_points, 0, 100):
        raise HardwareError(f"a loss is a number of points from 0 to 100, not {shown(max_loss_points)}")
    tried: dict[float, DefectRow] = {}
    exact = 0.0

    def keeps(rate: float) -> bool:
        nonlocal exact
        plan = DefectPlan(where, rates=(rate,), draws=draws, seed=seed)
        curve = measure_defects(network, images, labels, plan, progress=progress)
        exact, (tried[rate],) = curve.exact_percent, curve.rows
        return tried[rate].faulty.mean_percent >= exact - max_loss_points - 1e-9

    low, high = _SMALLEST_RATE, 1.0
    if keeps(high):
        low = high
    elif not keeps(low):
        low = 0.0
    else:
        while high > low * _STEP:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if keeps(middle) else (low, middle)
    return RateLimit(low, exact, tuple(tried[rate] for rate in sorted(tried)))


@dataclass(frozen=True)
class VoltagePoint:
    """Accuracy at a voltage of a table."""

    voltage: float
    rate: float
    accuracies: Accuracies


def accuracy_by_voltage(
    network: BitExactNetwork,
    images: Tensor,
    labels: Tensor,
    rates: ErrorRates,
    *,
    where: str = "weights-memory",
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[VoltagePoint, ...]:
    """Accuracy at each voltage of a table, from the highest down; as `measure_defects` at the table's rates."""
    asked: Sequence[float] = tuple(dict.fromkeys(rate for _, rate in rates.points))
    plan = DefectPlan(where, rates=tuple(asked), draws=draws, seed=seed)
    curve = measure_defects(network, images, labels, plan, progress=progress)
    by_rate: dict[Any, DefectRow] = dict(zip(asked, curve.rows, strict=True))
    return tuple(VoltagePoint(voltage, rate, by_rate[rate].faulty) for voltage, rate in rates.points)
