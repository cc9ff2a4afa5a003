"""Liberty libraries as values: cells, pins, timing arcs, internal power, leakage; every figure in one set of units.

Whatever units a file's header states, the values here are in ns, pF, pJ, uW, um2, V and degrees C.
`liberty_reader.read_library` makes them of a file, `read_libraries` of several that belong together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.process.library.liberty_syntax import Group


@dataclass(frozen=True)
class Units:
    """What one unit of a file's numbers is."""

    time_ns: float
    capacitance_pf: float
    voltage_v: float
    leakage_uw: float
    """0 where the header states no unit: leakage is counted as 0 then, with a note."""

    @property
    def energy_pj(self) -> float:
        """Internal power's unit: capacitance x voltage squared (Liberty user guide, internal_power)."""
        return self.capacitance_pf * self.voltage_v**2


@dataclass(frozen=True, eq=False)
class Table:
    """A two-dimensional lookup table; an axis that the file does not have is one point long."""

    slews: NDArray[np.float64]
    """First axis, ns: transition at the related pin."""

    columns: NDArray[np.float64]
    """Second axis: load in pF, or for a constraint the transition at the constrained pin in ns."""

    values: NDArray[np.float64]
    """Shape (len(slews), len(columns)): ns or pJ."""

    def at(self, slew_ns: float, column: float = 0.0) -> float:
        """Bilinear interpolation; beyond the axes the outermost segment goes on straight."""
        i, u = _segment(self.slews, slew_ns)
        j, v = _segment(self.columns, column)
        rows = self.values[i] + u * (self.values[min(i + 1, len(self.slews) - 1)] - self.values[i])
        return float(rows[j] + v * (rows[min(j + 1, len(self.columns) - 1)] - rows[j]))

    def plus(self, other: Table) -> Table:
        """The sum of two tables, exact at and between the points of both."""
        if np.array_equal(self.slews, other.slews) and np.array_equal(self.columns, other.columns):
            return Table(self.slews, self.columns, self.values + other.values)
        slews, columns = _joined(self.slews, other.slews), _joined(self.columns, other.columns)
        values = [[self.at(slew, column) + other.at(slew, column) for column in columns] for slew in slews]
        return Table(slews, columns, np.array(values))


def _joined(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points of two axes; an axis of one point is none."""
    if len(first) == 1 or len(second) == 1:
        return first if len(second) == 1 else second
    return np.union1d(first, second)


def _segment(axis: NDArray[np.float64], x: float) -> tuple[int, float]:
    if len(axis) == 1:
        return 0, 0.0
    i = min(max(int(np.searchsorted(axis, x, side="right")) - 1, 0), len(axis) - 2)
    return i, float((x - axis[i]) / (axis[i + 1] - axis[i]))


@dataclass(frozen=True)
class Pin:
    """A pin, or a bus taken as one pin."""

    name: str
    direction: str
    """`input`, `output`, `inout` or `internal`."""

    fall_capacitance_pf: float
    rise_capacitance_pf: float
    largest_fall_capacitance_pf: float
    """Upper end of `fall_capacitance_range`, for the latest arrival; the plain value where the file has no range."""

    largest_rise_capacitance_pf: float
    max_load_pf: float
    """`max_capacitance` of an output: the largest load that its tables are made for; infinite where none is stated."""

    function: str | None
    """Boolean expression of an output over the inputs; the state's name for an output that shows a flip-flop's."""

    is_clock: bool

    @property
    def capacitance_pf(self) -> float:
        """Mean of a fall's and a rise's."""
        return (self.fall_capacitance_pf + self.rise_capacitance_pf) / 2


@dataclass(frozen=True)
class TimingArc:
    """One `timing` group for one related pin."""

    pin: str
    related_pin: str
    kind: str
    """`timing_type`: `combinational`, `rising_edge`, `setup_rising`, ...; `combinational_rise` and `_fall` are
    `combinational` with the tables of that edge."""

    sense: str
    """`positive_unate`, `negative_unate` or `non_unate`."""

    tables: dict[str, Table]
    """By name: cell_rise, cell_fall, rise_transition, fall_transition, rise_constraint, fall_constraint."""


@dataclass(frozen=True)
class InternalPower:
    """One `internal_power` group for one related pin: energy of a rise and of a fall of `pin`, pJ.

    Groups given once per supply (`related_pg_pin`) are added up.
    """

    pin: str
    related_pin: str | None
    when: str | None
    rise: Table | None
    fall: Table | None


@dataclass(frozen=True)
class FlipFlop:
    """The `ff` group of an edge-triggered cell, in one spelling whatever the file's.

    A cell that stores `!D` is one that stores D with its two states, and so clear and preset, exchanged.
    """

    state: str
    inverted_state: str
    clocked_on: str
    """`CK`, or `!CK` for the falling edge; as written where it is no single pin."""

    next_state: str
    """The data pin; as written where it depends on more than one."""

    clear: str | None
    preset: str | None


@dataclass(frozen=True)
class Cell:
    """A standard cell or an SRAM macro."""

    name: str
    area_um2: float
    """0 where the file gives none."""

    footprint: str
    pins: dict[str, Pin]
    leakage_uw: float | None
    """`cell_leakage_power`, else the value of a `leakage_power` group without `when`, else the header's
    `default_cell_leakage_power`; None where the file gives none of them."""

    leakage_states: tuple[tuple[str, float], ...]
    """(when, uW) of the state-dependent `leakage_power` groups."""

    arcs: tuple[TimingArc, ...]
    powers: tuple[InternalPower, ...]
    flip_flop: FlipFlop | None
    is_latch: bool
    dont_use: bool
    words: int | None
    """Rows of a memory, else None."""

    word_bits: int | None

    purpose: str = ""
    """What it is made for other than logic, as the file's attributes say: `three-state output`, `scan`, ..."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input pins."""
        return tuple(name for name, pin in self.pins.items() if pin.direction == "input")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output pins."""
        return tuple(name for name, pin in self.pins.items() if pin.direction == "output")


@dataclass(frozen=True)
class WireLoad:
    """A wire-load model: the estimated capacitance of a net's wire before layout, by its fanout."""

    name: str
    fanouts: tuple[float, ...]
    capacitances_pf: tuple[float, ...]
    """At each of `fanouts`."""

    slope_pf: float
    """More for each pin beyond the last of `fanouts`, and less for each before the first."""

    def at(self, fanout: NDArray[np.int64]) -> NDArray[np.float64]:
        """Capacitance of nets with these numbers of driven pins, pF; zero where nothing is driven."""
        points, values = np.array(self.fanouts), np.array(self.capacitances_pf)
        inside = np.interp(fanout, points, values)
        beyond = np.maximum(fanout - points[-1], 0) - np.maximum(points[0] - fanout, 0)
        return np.where(fanout > 0, np.maximum(inside + beyond * self.slope_pf, 0.0), 0.0)


@dataclass(frozen=True, eq=False)
class WireModels:
    """A file's wire-load models as it has them, their capacitances in pF: for ABC, which chooses by area."""

    groups: tuple[Group, ...] = ()
    """`wire_load` and `wire_load_selection`."""

    defaults: dict[str, str] = field(default_factory=dict[str, str])
    """`default_wire_load` and `default_wire_load_selection`."""


@dataclass(frozen=True)
class Corner:
    """The conditions that a file's figures hold for."""

    voltage_v: float
    temperature_c: float
    process: float | None
    """`nom_process`, None where the file states none."""

    def __str__(self) -> str:
        process = "" if self.process is None else f", process {self.process:g}"
        return f"{self.voltage_v:g} V, {self.temperature_c:g} C{process}"


@dataclass(frozen=True)
class Library:
    """One liberty file, or several that belong together."""

    name: str
    paths: tuple[Path, ...]
    sha256: str
    """Of the file, or of the files' hashes in the order given."""

    units: Units
    """Of the first file; the values here are converted already."""

    corner: Corner
    wire_load: WireLoad | None
    """The model that the file's `default_wire_load` names; None where it names none."""

    wire_models: WireModels
    cells: dict[str, Cell]
    unread: dict[str, str]
    """Cells that could not be read, and why."""

    remarks: dict[str, tuple[str, ...]]
    """What is passed over or taken otherwise than it is written, and the cells where; none for the header."""

    @property
    def path(self) -> Path:
        """The first file, for messages."""
        return self.paths[0]

    @property
    def file_names(self) -> str:
        """Names of the files, in order."""
        return ", ".join(path.name for path in self.paths)

    @property
    def voltage_v(self) -> float:
        """Nominal supply."""
        return self.corner.voltage_v

    @property
    def temperature_c(self) -> float:
        """Nominal temperature."""
        return self.corner.temperature_c

    def flip_flops(self) -> list[Cell]:
        """Edge-triggered cells with a single data input: no scan, no enable."""
        return [cell for cell in self.cells.values() if cell.flip_flop and cell.flip_flop.next_state in cell.pins]
