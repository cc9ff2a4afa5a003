"""Options of corners and operating points: read, and applied to a technology table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewbits.errors import HardwareError

if TYPE_CHECKING:
    from fewbits.hardware import AnyAccelerator, Cost, Technology
    from fewbits.hardware.characterization.corners import CornerFiles
    from fewbits.hardware.costing.corner_costs import SignOff


def corner_files(liberty: Iterable[str], sram: Iterable[str]) -> dict[str, CornerFiles]:
    """The files of each corner from `NAME=FILE` texts, in their order. Raises HardwareError for other texts."""
    cells = _named("--corner", liberty)
    macros = _named("--corner-sram", sram)
    if not cells and not macros:
        return {}
    from fewbits.hardware.characterization.corners import CornerFiles  # loads what synthesizes: late

    for name, folders in macros.items():
        if name not in cells or len(folders) > 1:
            raise HardwareError(
                f"--corner-sram {name}: one folder for each corner that --corner names, which are {', '.join(cells)}"
                if cells
                else f"--corner-sram {name} needs --corner {name}=FILE"
            )
    return {name: CornerFiles(tuple(files), macros.get(name, [None])[0]) for name, files in cells.items()}


def _named(option: str, texts: Iterable[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise HardwareError(f"{option} takes NAME=FILE, such as slow=slow.lib.gz, not {text!r}")
        found.setdefault(name, []).append(Path(file))
    return found


ALL = "all"
"""What `--corner` takes for every corner of the table."""

Clocks = Annotated[
    list[float] | None,
    typer.Option(
        "--clock",
        metavar="MHZ",
        help="The clock aimed at; the accelerator's, or the technology table's, if none. Repeat to compare.",
    ),
]
CornerName = Annotated[
    str | None, typer.Option(metavar="NAME|all", help="A corner of the technology, such as slow, typ or fast.")
]
Voltage = Annotated[float | None, typer.Option(metavar="V", help="An operating point between corners.")]
Utilization = Annotated[
    float | None, typer.Option(metavar="PART", help="Of the die that cells and macros cover, such as 0.7.")
]


@dataclass(frozen=True)
class Asked:
    """A precision on an accelerator at each operating point."""

    precision: str
    accelerator: str
    """Its name; empty for the default one."""

    label: str
    """What tells it from others: precision, accelerator, and the clock where several are asked for."""

    costs: Mapping[str, Cost]
    """By operating point; under the empty name where none is asked for."""

    signed: SignOff | None = None

    @property
    def labelled(self) -> dict[str, Cost]:
        """Its costs by what tells each from all others."""
        return {f"{self.label}{f', {point}' if point else ''}": cost for point, cost in self.costs.items()}


@dataclass(frozen=True)
class OperatingRequest:
    """What was asked for of corners, voltages, clocks and dies."""

    corner: str | None
    voltage_v: float | None
    given_mhz: Sequence[float]
    utilization: float | None

    @property
    def clocks_mhz(self) -> Sequence[float | None]:
        """Each clock; None for the one that needs no asking."""
        return self.given_mhz or (None,)

    @property
    def one_clock_mhz(self) -> float | None:
        """The clock, if one was given."""
        return self.given_mhz[0] if len(self.given_mhz) == 1 else None

    def check(self, *, on_fpga: bool, off_chip: bool) -> None:
        """Raise HardwareError for what cannot be, before any work."""
        if self.corner is not None and self.voltage_v is not None:
            raise HardwareError("--corner and --voltage both say the voltage: give one of them")
        if self.voltage_v is not None and not math.isfinite(self.voltage_v):
            raise HardwareError(f"--voltage takes volts, such as 1.1, not {self.voltage_v:g}")
        if len(set(self.given_mhz)) < len(self.given_mhz):
            raise HardwareError("--clock gives a clock twice: give each once")
        if off_chip and self.corner == ALL:
            raise HardwareError("--off-chip is told of one operating point: give one --corner, such as slow")
        if on_fpga and len(self.given_mhz) > 1:
            raise HardwareError("--fpga and --device take one clock: give --clock once")

    def tables(self, table: Technology) -> dict[str, Technology]:
        """The tables at each operating point, by name; the given one under the empty name where none is asked for.

        Raises HardwareError if the table does not hold it.
        """
        from fewbits.hardware.process.corners import at_corner, corner_names
        from fewbits.hardware.process.operating_points import at_voltage

        if self.voltage_v is not None:
            return {f"{self.voltage_v:g} V": at_voltage(table, self.voltage_v)}
        if self.corner is None:
            return {"": table}
        names = corner_names(table) if self.corner == ALL else (self.corner,)
        if len(names) == 1 and self.corner == ALL:
            raise HardwareError(
                f"technology {table.name!r} has no corner but the typical one: add some with fewbits characterize "
                "--corner NAME=FILE"
            )
        return {name: at_corner(table, name) for name in names}

    def asked(
        self,
        precision: str,
        name: str,
        machine: AnyAccelerator,
        points: Mapping[str, Technology],
        cost_of: Callable[[Technology, AnyAccelerator], Cost],
    ) -> Asked:
        """The costs of a precision on a machine at each operating point, signed off where all corners are asked for."""
        from fewbits.hardware.costing.corner_costs import sign_off
        from fewbits.hardware.dataflow.registry import with_sizes

        costs = {point: cost_of(table, machine) for point, table in points.items()}
        label = f"{precision} on {name}" if name else precision
        if len(self.given_mhz) > 1:
            label += f" at {machine.clock_mhz:g} MHz"
        if self.corner != ALL:
            return Asked(precision, name, label, costs)

        def at_clock(table: Technology, mhz: float) -> Cost:
            return cost_of(table, with_sizes(machine, {"clock_mhz": mhz}))

        return Asked(precision, name, label, costs, sign_off(points, machine.clock_mhz, at_clock))

    def fields(self, one: Asked, point: str, table: Technology) -> dict[str, Any]:
        """What `--json` adds to a cost."""
        from fewbits.hardware.costing.corner_costs import die_of
        from fewbits.report.operating_points import die_json, point_json, signed_json

        cost = one.costs[point]
        return {
            **(point_json(point, table, cost) if point else {}),
            **(signed_json(one.signed) if one.signed is not None else {}),
            **({} if self.utilization is None else die_json(die_of(cost, self.utilization))),
        }

    def lines(self, asked: Sequence[Asked], points: Mapping[str, Technology], plain: Iterable[str]) -> list[str]:
        """The tables of corners and clocks, and the dies. plain: what is printed of a cost without any of these."""
        from fewbits.hardware.costing.corner_costs import die_of
        from fewbits.report.operating_points import clock_lines, corner_lines, die_line, operating_notes

        lines = list(operating_notes(points)) if self.corner == ALL else []
        if self.corner == ALL or (len(self.clocks_mhz) == 1 and "" not in points):
            for one in asked:
                lines += corner_lines(one.label, points, one.costs, one.signed)
        if self.corner != ALL:
            lines += plain
            if len(self.clocks_mhz) > 1:
                lines += clock_lines(
                    [
                        (f"{one.precision} {one.accelerator}".strip(), cost)
                        for one in asked
                        for cost in one.costs.values()
                    ]
                )
        if self.utilization is not None:
            lines += [
                die_line(f"{one.label} {point}".strip(), cost, die_of(cost, self.utilization))
                for one in asked
                for point, cost in one.costs.items()
            ]
        return lines
