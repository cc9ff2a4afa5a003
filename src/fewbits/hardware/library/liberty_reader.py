"""Reading a liberty file: its groups become the values of `liberty`, its units those used here."""

from __future__ import annotations

import hashlib
import math
import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.library.liberty import (
    Cell,
    FlipFlop,
    InternalPower,
    Library,
    Pin,
    Table,
    TimingArc,
    Units,
    WireLoad,
)
from fewbits.hardware.library.liberty_syntax import Group, parse_groups

_PREFIX = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}

_DELAY_TABLES = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
_CONSTRAINT_TABLES = ("rise_constraint", "fall_constraint")
_SLEW_VARIABLES = ("input_net_transition", "input_transition_time", "related_pin_transition")

_LARGEST_ADDRESS_BITS = 40
_LARGEST_WORD_BITS = 65536
"""Bounds for the memory group of a hostile file; no macro comes near."""


def read_library(path: Path | str) -> Library:
    """Read a liberty file; a second call for an unchanged file answers from memory.

    Raises HardwareError, with the line, for a file that is truncated, no liberty, lacks a unit or a number where one
    must be, or has an impossible one. What else a library lacks is for `library_check.complete` to judge.
    """
    path = Path(path)
    try:
        stat = path.stat()
    except OSError as error:
        raise HardwareError(f"cannot read the liberty file {path}: {error.strerror}") from None
    return _read_library(path.resolve(), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _read_library(path: Path, _modified_ns: int, _size: int) -> Library:
    tree = parse_groups(path)
    reader = _Reader(path, tree)
    cells = {cell.name: cell for cell in map(reader.cell, tree.named("cell"))}
    if not cells:
        raise HardwareError(f"{path}: the library has no cell")
    voltage_v = reader.number(tree, "nom_voltage") * reader.units.voltage_v
    if voltage_v <= 0:
        raise reader.error(tree.line, f"nom_voltage must be above 0, not {tree.attributes['nom_voltage']}")
    return Library(
        name=tree.arguments[0] if tree.arguments else path.stem,
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        units=reader.units,
        voltage_v=voltage_v,
        temperature_c=reader.number(tree, "nom_temperature"),
        wire_load=reader.wire_load(),
        cells=cells,
    )


class _Reader:
    """Turns groups of one file into values, with the file's units and table templates."""

    def __init__(self, path: Path, library: Group) -> None:
        self._path = path
        self._library = library
        self.units = self._read_units()
        self._templates = {g.arguments[0]: g for g in library.named("lu_table_template", "power_lut_template")}
        self._default_capacitance = self.number(library, "default_input_pin_cap", 0.0) * self.units.capacitance_pf

    def error(self, line: int, what: str) -> HardwareError:
        return HardwareError(f"{self._path}:{line}: {what}")

    def number(self, group: Group, name: str, default: float | None = None) -> float:
        text = group.attributes.get(name)
        if text is None:
            if default is not None:
                return default
            raise self.error(group.line, f"{group.name} {' '.join(group.arguments)} has no {name}: add it")
        return self._float(text, group.line, name)

    def positive(self, group: Group, name: str, default: float | None = None) -> float:
        """A number that cannot be negative."""
        value = self.number(group, name, default)
        if value < 0:
            raise self.error(group.line, f"{name} must not be negative, as {group.attributes[name][:40]} is")
        return value

    def _count(self, group: Group, name: str, largest: int) -> int:
        value = self.number(group, name)
        if value != int(value) or not 1 <= value <= largest:
            raise self.error(group.line, f"{name} must be a whole number from 1 to {largest}, not {value:g}")
        return int(value)

    def _float(self, text: str, line: int, what: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(line, f"{what} must be a finite number, not {text[:40]!r}")
        return value

    def _read_units(self) -> Units:
        load = self._library.list("capacitive_load_unit")
        if len(load) != 2:
            raise self.error(self._library.line, "the header has no capacitive_load_unit (NUMBER, pf): add it")
        farads = self._scaled("".join(load).lower(), "f", "capacitive_load_unit")
        return Units(
            time_ns=self._unit("time_unit", "s") * 1e9,
            capacitance_pf=farads * 1e12,
            voltage_v=self._unit("voltage_unit", "V"),
            leakage_uw=self._unit("leakage_power_unit", "W") * 1e6 if self._states_leakage_unit else 0.0,
        )

    @property
    def _states_leakage_unit(self) -> bool:
        return "leakage_power_unit" in self._library.attributes

    def _leakage(self, group: Group, name: str) -> float:
        """A leakage in uW."""
        if not self._states_leakage_unit:
            raise self.error(group.line, f"{name} without a leakage_power_unit in the header: add the unit")
        return self.positive(group, name) * self.units.leakage_uw

    def _unit(self, name: str, base: str) -> float:
        if name not in self._library.attributes:
            raise self.error(self._library.line, f"the header has no {name}: add it")
        return self._scaled(self._library.attributes[name], base, name)

    def _scaled(self, text: str, base: str, name: str) -> float:
        match = re.fullmatch(rf"\s*([\d.]+)\s*([fpnumk]?){base}\s*", text, re.IGNORECASE)
        if match is None:
            raise self.error(self._library.line, f"{name} must be like 1n{base}, not {text!r}")
        if self._float(match[1], self._library.line, name) <= 0:
            raise self.error(self._library.line, f"{name} must be above 0, not {text!r}")
        # Rounded, so that 1e-9 * 1e9 is 1 and not its neighbour.
        return float(f"{self._float(match[1], self._library.line, name) * _PREFIX[match[2].lower()]:.12g}")

    def wire_load(self) -> WireLoad | None:
        name = self._library.attributes.get("default_wire_load")
        found = [group for group in self._library.named("wire_load") if group.arguments[:1] == (name,)]
        if not found or "fanout_length" not in found[0].lists:
            return None
        group = found[0]
        unit = self.number(group, "capacitance") * self.units.capacitance_pf
        points = sorted(
            tuple(self._floats(" ".join(pair), group, "fanout_length")) for pair in group.lists["fanout_length"]
        )
        if any(len(point) != 2 for point in points):
            raise self.error(group.line, "fanout_length needs a fanout and a length")
        return WireLoad(
            name=group.arguments[0],
            fanouts=tuple(point[0] for point in points),
            capacitances_pf=tuple(point[1] * unit for point in points),
            slope_pf=self.number(group, "slope", 0.0) * unit,
        )

    def cell(self, group: Group) -> Cell:
        memory = group.named("memory")
        pin_groups = group.named("pin", "bus", "bundle")
        pins = {pin.name: pin for pin_group in pin_groups for pin in self._pins(pin_group)}
        if not group.arguments:
            raise self.error(group.line, "a cell has no name")
        states = [
            (state.attributes["when"], self._leakage(state, "value"))
            for state in group.named("leakage_power")
            if "when" in state.attributes
        ]
        words = 2 ** self._count(memory[0], "address_width", _LARGEST_ADDRESS_BITS) if memory else None
        return Cell(
            name=group.arguments[0],
            area_um2=self.positive(group, "area", 0.0),
            footprint=group.attributes.get("cell_footprint", ""),
            pins=pins,
            leakage_uw=self._mean_leakage(group),
            leakage_states=tuple(states),
            arcs=tuple(arc for pin_group in pin_groups for arc in self._arcs(pin_group)),
            powers=tuple(power for pin_group in pin_groups for power in self._powers(pin_group)),
            flip_flop=self._flip_flop(group),
            is_latch=bool(group.named("latch", "statetable", "latch_bank")),
            dont_use=group.attributes.get("dont_use") == "true",
            words=words,
            word_bits=self._count(memory[0], "word_width", _LARGEST_WORD_BITS) if memory else None,
        )

    def _mean_leakage(self, cell: Group) -> float | None:
        if "cell_leakage_power" in cell.attributes:
            return self._leakage(cell, "cell_leakage_power")
        for state in cell.named("leakage_power"):
            if "when" not in state.attributes and "value" in state.attributes:
                return self._leakage(state, "value")
        given = self._library.attributes.get("default_cell_leakage_power") is not None
        return self._leakage(self._library, "default_cell_leakage_power") if given else None

    def _pins(self, group: Group) -> list[Pin]:
        if not group.arguments:
            raise self.error(group.line, f"{group.name} has no name")
        default = self._default_capacitance if group.attributes.get("direction") == "input" else 0.0
        capacitance = self._capacitance(group, "capacitance", default)
        fall = self._capacitance(group, "fall_capacitance", capacitance)
        rise = self._capacitance(group, "rise_capacitance", capacitance)
        return [
            Pin(
                name=name,
                direction=group.attributes.get("direction", "internal"),
                fall_capacitance_pf=fall,
                rise_capacitance_pf=rise,
                largest_fall_capacitance_pf=self._range_end(group, "fall_capacitance_range", fall),
                largest_rise_capacitance_pf=self._range_end(group, "rise_capacitance_range", rise),
                max_load_pf=self._capacitance(group, "max_capacitance", math.inf),
                function=group.attributes.get("function"),
                is_clock=group.attributes.get("clock") == "true",
            )
            for name in group.arguments
        ]

    def _range_end(self, group: Group, name: str, default: float) -> float:
        ends = [self._float(text, group.line, name) * self.units.capacitance_pf for text in group.list(name)]
        return max([default, *ends])

    def _capacitance(self, group: Group, name: str, default: float) -> float:
        return self.positive(group, name) * self.units.capacitance_pf if name in group.attributes else default

    def _members(self, group: Group, name: str) -> list[Group]:
        """Groups called `name` of a pin, or of a bus and of the pins inside it."""
        inner = [member for pin in group.named("pin") for member in pin.named(name)]
        return group.named(name) + inner

    def _arcs(self, group: Group) -> list[TimingArc]:
        return [
            TimingArc(
                pin=pin,
                related_pin=related,
                kind=timing.attributes.get("timing_type", "combinational"),
                sense=timing.attributes.get("timing_sense", "non_unate"),
                tables=tables,
            )
            for timing in self._members(group, "timing")
            if (tables := self._tables(timing))
            for pin in group.arguments
            for related in timing.attributes.get("related_pin", "").split()
        ]

    def _tables(self, timing: Group) -> dict[str, Table]:
        return {
            table.name: self._table(table, self.units.time_ns)
            for table in timing.named(*_DELAY_TABLES, *_CONSTRAINT_TABLES)
        }

    def _powers(self, group: Group) -> list[InternalPower]:
        found: list[InternalPower] = []
        for power in self._members(group, "internal_power"):
            both = [self._table(t, self.units.energy_pj) for t in power.named("power")]
            rise = [self._table(t, self.units.energy_pj) for t in power.named("rise_power")] or both
            fall = [self._table(t, self.units.energy_pj) for t in power.named("fall_power")] or both
            found.extend(
                InternalPower(
                    pin, related, power.attributes.get("when"), rise[0] if rise else None, fall[0] if fall else None
                )
                for pin in group.arguments
                for related in power.attributes.get("related_pin", "").split() or [None]
            )
        return found

    def _table(self, group: Group, unit: float) -> Table:
        template = self._templates.get(group.arguments[0] if group.arguments else "", Group("scalar", (), 0))
        rows = [self._floats(text, group, "values") for text in group.list("values")]
        if not rows:
            raise self.error(group.line, f"{group.name} has no values")
        indices = [
            self._floats(" ".join(index), group, name)
            for name in ("index_1", "index_2", "index_3")
            if (index := group.list(name) or template.list(name))
        ]
        names = [template.attributes.get(f"variable_{k}", "") for k in (1, 2, 3)]
        flat = np.array([value for row in rows for value in row])
        if flat.size == 1:
            return Table(np.zeros(1), np.zeros(1), flat.reshape(1, 1) * unit)
        if len(indices) > 2 or math.prod(map(len, indices)) != flat.size:
            shape = " x ".join(str(len(index)) for index in indices)
            raise self.error(group.line, f"{group.name} has {flat.size} values for indices of {shape or 'no'} points")
        return self._oriented(indices, names, flat.reshape([len(index) for index in indices]) * unit, group.line)

    def _oriented(self, indices: list[list[float]], names: list[str], values: NDArray[np.float64], line: int) -> Table:
        """Put the related pin's transition on the first axis, whichever way the template has it."""
        slew_first = names[0] in _SLEW_VARIABLES or names[0] == "" or names[1] not in (*_SLEW_VARIABLES, "")
        for index in indices:
            if any(after <= before for before, after in pairwise(index)):
                raise self.error(line, f"index points of a table must rise, not {', '.join(map(str, index[:6]))}")
        if len(indices) == 1:
            if "load" in names[0] or "capacitance" in names[0] or names[0] == "constrained_pin_transition":
                return Table(np.zeros(1), self._axis(indices[0], names[0]), values.reshape(1, -1))
            return Table(self._axis(indices[0], names[0]), np.zeros(1), values.reshape(-1, 1))
        first, second = self._axis(indices[0], names[0]), self._axis(indices[1], names[1])
        return Table(first, second, values) if slew_first else Table(second, first, np.ascontiguousarray(values.T))

    def _axis(self, index: list[float], name: str) -> NDArray[np.float64]:
        unit = self.units.capacitance_pf if "capacitance" in name else self.units.time_ns
        return np.array(index) * unit

    def _floats(self, text: str, group: Group, what: str) -> list[float]:
        return [self._float(word, group.line, what) for word in text.replace(",", " ").split()]

    def _flip_flop(self, group: Group) -> FlipFlop | None:
        found = group.named("ff")
        if not found:
            return None
        ff = found[0]
        if "clocked_on" not in ff.attributes or "next_state" not in ff.attributes or len(ff.arguments) < 2:
            raise self.error(ff.line, "an ff group needs two state names, clocked_on and next_state")
        return FlipFlop(
            state=ff.arguments[0],
            inverted_state=ff.arguments[1],
            clocked_on=ff.attributes["clocked_on"],
            next_state=ff.attributes["next_state"],
            clear=ff.attributes.get("clear"),
            preset=ff.attributes.get("preset"),
        )
