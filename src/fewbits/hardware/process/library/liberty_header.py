"""What a liberty file says of itself: units, corner, templates, wire loads; and how its numbers are read."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.process.library.liberty import Corner, Table, Units, WireLoad, WireModels
from fewbits.hardware.process.library.liberty_syntax import Group

_PREFIX = {"a": 1e-18, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}

_SLEW_VARIABLES = ("input_net_transition", "input_transition_time", "related_pin_transition")

_ROOM_TEMPERATURE_C = 25.0
"""Liberty's default of nom_temperature."""

LARGEST = {"um2": 1e9, "pF": 1e4, "ns": 1e7, "pJ": 1e7, "uW": 1e9}
"""Figures beyond these are no cell's: 1,000 mm2, 10 nF, 10 ms, 10 uJ, 1 kW. Each is at least a thousand times what the
largest macros and pads state, so that only a wrong unit or a slip of the pen comes here."""

_HIGHEST_VOLTAGE_V = 1000.0
_LARGEST_INDEX = 1e9
"""In the file's unit, fs and aF at the least."""


class Header:
    """One file's header, with the readers of numbers and tables that need its units and templates."""

    def __init__(self, path: Path, library: Group) -> None:
        self.path = path
        self.group = library
        self.remarks: dict[str, list[str]] = {}
        """What was taken otherwise or passed over, and the names of the cells where."""

        self.units = self._read_units()
        self._templates = {g.arguments[0]: g for g in library.groups if "template" in g.name and g.arguments}

    def error(self, line: int, what: str) -> HardwareError:
        """An error at a line of the file."""
        return HardwareError(f"{self.path}:{line}: {what}")

    def remark(self, what: str, cell: str) -> None:
        """Keep a remark about a cell, once."""
        cells = self.remarks.setdefault(what, [])
        if cell not in cells:
            cells.append(cell)

    def number(self, group: Group, name: str, default: float | None = None) -> float:
        """A simple attribute's number; without a default it must be there."""
        text = group.attributes.get(name)
        if text is None:
            if default is not None:
                return default
            raise self.error(group.line, f"{group.name} {' '.join(group.arguments)} has no {name}: add it")
        return self.float(text, group.line, name)

    def positive(self, group: Group, name: str, default: float | None = None) -> float:
        """A number that cannot be negative."""
        value = self.number(group, name, default)
        if value < 0:
            raise self.error(group.line, f"{name} must not be negative, as {group.attributes[name][:40]} is")
        return value

    def count(self, group: Group, name: str, largest: int) -> int:
        """A whole number from 1 to `largest`."""
        value = self.number(group, name)
        if value != int(value) or not 1 <= value <= largest:
            raise self.error(group.line, f"{name} must be a whole number from 1 to {largest}, not {value:g}")
        return int(value)

    def float(self, text: str, line: int, what: str) -> float:
        """A finite number."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or "_" in text:
            raise self.error(line, f"{what} must be a finite number, not {text[:40]!r}")
        return value

    def floats(self, text: str, group: Group, what: str) -> list[float]:
        """Numbers between blanks or commas."""
        return [self.float(word, group.line, what) for word in text.replace(",", " ").split()]

    def plausible(self, value: float, unit: str, line: int, what: str) -> float:
        """The value, if a cell can have it."""
        if abs(value) > LARGEST[unit]:
            raise self.error(
                line, f"{what} is {value:.3g} {unit}, beyond what a cell can have ({LARGEST[unit]:g}): see the units"
            )
        return value

    def _read_units(self) -> Units:
        load = self.group.list("capacitive_load_unit")
        if len(load) != 2:
            raise self.error(self.group.line, "the header has no capacitive_load_unit (NUMBER, pf): add it")
        states_leakage = "leakage_power_unit" in self.group.attributes
        return Units(
            time_ns=self._unit("time_unit", "s") * 1e9,
            capacitance_pf=self._scaled("".join(load), "f", "capacitive_load_unit") * 1e12,
            voltage_v=self._unit("voltage_unit", "V"),
            leakage_uw=self._unit("leakage_power_unit", "W") * 1e6 if states_leakage else 0.0,
        )

    def _unit(self, name: str, base: str) -> float:
        if name not in self.group.attributes:
            raise self.error(self.group.line, f"the header has no {name}: add it")
        return self._scaled(self.group.attributes[name], base, name)

    def _scaled(self, text: str, base: str, name: str) -> float:
        """`1ns`, `10 pS`, `1e-9s` or `1e-9`: a number, a prefix, the unit, which may be left away without a prefix."""
        match = re.fullmatch(rf"\s*([\d.]+(?:e[-+]?\d+)?)\s*(?:([afpnumk]?){base})?\s*", text, re.IGNORECASE)
        if match is None:
            raise self.error(self.group.line, f"{name} must be like 1n{base}, not {text[:40]!r}")
        number = self.float(match[1], self.group.line, name)
        value = number * _PREFIX[(match[2] or "").lower()]
        if value <= 0:
            raise self.error(self.group.line, f"{name} must be above 0, not {text[:40]!r}")
        # Rounded, so that 1e-9 * 1e9 is 1 and not its neighbour.
        return float(f"{value:.12g}")

    def corner(self) -> Corner:
        """Nominal conditions; where the header has none, those of the default operating conditions.

        Raises HardwareError if neither states a voltage that there can be.
        """
        name = self.group.attributes.get("default_operating_conditions")
        named = self.group.named("operating_conditions")
        chosen = [g for g in named if g.arguments[:1] == (name,)] or (named if len(named) == 1 else [])
        conditions = chosen[0] if chosen else Group("operating_conditions", (), self.group.line)
        source = self.group if "nom_voltage" in self.group.attributes or not chosen else conditions
        attribute = "nom_voltage" if source is self.group else "voltage"
        voltage_v = self.number(source, attribute) * self.units.voltage_v
        if not 0 < voltage_v <= _HIGHEST_VOLTAGE_V:
            raise self.error(source.line, f"{attribute} must be above 0, not {source.attributes[attribute][:40]}")
        process = self.number(self.group, "nom_process", self.number(conditions, "process", math.inf))
        temperature = self.number(conditions, "temperature", _ROOM_TEMPERATURE_C)
        return Corner(
            voltage_v=voltage_v,
            temperature_c=self.number(self.group, "nom_temperature", temperature),
            process=process if math.isfinite(process) else None,
        )

    def wire_load(self) -> WireLoad | None:
        """The model that `default_wire_load` names."""
        name = self.group.attributes.get("default_wire_load")
        found = [group for group in self.group.named("wire_load") if group.arguments[:1] == (name,)]
        if not found or "fanout_length" not in found[0].lists:
            return None
        group = found[0]
        unit = self.number(group, "capacitance") * self.units.capacitance_pf
        points = sorted(
            tuple(self.floats(" ".join(pair[:2]), group, "fanout_length")) for pair in group.lists["fanout_length"]
        )
        if any(len(point) != 2 for point in points):
            raise self.error(group.line, "fanout_length needs a fanout and a length")
        return WireLoad(
            name=group.arguments[0],
            fanouts=tuple(point[0] for point in points),
            capacitances_pf=tuple(point[1] * unit for point in points),
            slope_pf=self.number(group, "slope", 0.0) * unit,
        )

    def wire_models(self) -> WireModels:
        """All models, for ABC; none where there is no default, as `wire_load` has it."""
        if self.wire_load() is None:
            return WireModels()
        groups = tuple(
            replace(
                group,
                attributes=group.attributes
                | {"capacitance": repr(self.number(group, "capacitance") * self.units.capacitance_pf)},
            )
            if group.name == "wire_load"
            else group
            for group in self.group.named("wire_load", "wire_load_selection")
        )
        attributes = self.group.attributes
        names = [name for name in ("default_wire_load", "default_wire_load_selection") if name in attributes]
        return WireModels(
            groups, {name: self.group.attributes[name] for name in names if name in self.group.attributes}
        )

    def table(self, group: Group, scale: float, unit: str) -> Table:
        """A lookup table, its values times `scale`, the related pin's transition on the first axis.

        Raises HardwareError for a table of another shape than its indices, of more than two dimensions, or whose
        values are beyond what a cell can have in `unit`.
        """
        template = self._templates.get(group.arguments[0] if group.arguments else "", Group("scalar", (), 0))
        rows = [self.floats(text, group, "values") for text in group.list("values")]
        if not any(rows):
            raise self.error(group.line, f"{group.name} has no values")
        indices = [
            self.floats(" ".join(index), group, name)
            for name in ("index_1", "index_2", "index_3")
            if (index := group.list(name) or template.list(name))
        ]
        flat = np.array([value for row in rows for value in row]) * scale
        self.plausible(float(np.abs(flat).max()), unit, group.line, f"a value of {group.name}")
        if flat.size == 1:
            return Table(np.zeros(1), np.zeros(1), flat.reshape(1, 1))
        if len(indices) > 2:
            raise self.error(group.line, f"{group.name} has {len(indices)} dimensions, tables of up to two are read")
        if math.prod(map(len, indices)) != flat.size:
            shape = " x ".join(str(len(index)) for index in indices)
            raise self.error(group.line, f"{group.name} has {flat.size} values for indices of {shape or 'no'} points")
        names = [template.attributes.get(f"variable_{k}", "") for k in (1, 2)]
        return self._oriented(indices, names, flat.reshape([len(index) for index in indices]), group.line)

    def _oriented(self, indices: list[list[float]], names: list[str], values: NDArray[np.float64], line: int) -> Table:
        """Put the related pin's transition on the first axis, whichever way the template has it."""
        slew_first = names[0] in _SLEW_VARIABLES or names[0] == "" or names[1] not in (*_SLEW_VARIABLES, "")
        for index in indices:
            if max(map(abs, index)) > _LARGEST_INDEX:
                raise self.error(line, f"an index point of a table must be below {_LARGEST_INDEX:g}, not {index[-1]:g}")
            if any(after <= before for before, after in pairwise(index)):
                raise self.error(line, f"index points of a table must rise, not {', '.join(map(str, index[:6]))}")
        if len(indices) == 1:
            if "load" in names[0] or "capacitance" in names[0] or names[0] == "constrained_pin_transition":
                return Table(np.zeros(1), self._axis(indices[0], names[0]), values.reshape(1, -1))
            return Table(self._axis(indices[0], names[0]), np.zeros(1), values.reshape(-1, 1))
        first, second = self._axis(indices[0], names[0]), self._axis(indices[1], names[1])
        return Table(first, second, values) if slew_first else Table(second, first, np.ascontiguousarray(values.T))

    def _axis(self, index: list[float], name: str) -> NDArray[np.float64]:
        return np.array(index) * (self.units.capacitance_pf if "capacitance" in name else self.units.time_ns)
