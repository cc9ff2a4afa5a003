"""From a `cell` group to a cell: pins, arcs, energies, leakage and flip-flop, in one spelling whatever the file's."""

from __future__ import annotations

import math
from dataclasses import replace

from fewbits.hardware.process.library.boolean import is_ambiguous, single_variable, unateness
from fewbits.hardware.process.library.liberty import Cell, FlipFlop, InternalPower, Pin, Table, TimingArc
from fewbits.hardware.process.library.liberty_header import Header
from fewbits.hardware.process.library.liberty_syntax import Group
from fewbits.hardware.process.library.supplies import state_of, summed_leakage, summed_powers

_RISING = ("cell_rise", "rise_transition")
_FALLING = ("cell_fall", "fall_transition")
_CONSTRAINTS = ("rise_constraint", "fall_constraint")
_TABLES = (*_RISING, *_FALLING, *_CONSTRAINTS)
_ONE_EDGE = {"combinational_rise": _RISING, "combinational_fall": _FALLING}

_LARGEST_ADDRESS_BITS = 40
_LARGEST_WORD_BITS = 65536
"""Bounds for the memory group of a hostile file; no macro comes near."""

NEGATIVE_LEAKAGE = "negative leakage taken as 0"
NO_LEAKAGE_UNIT = "leakage without leakage_power_unit in the header counted as 0"

_PURPOSES = {
    "clock_gating_integrated_cell": "clock gate",
    "is_clock_gating_cell": "clock gate",
    "is_level_shifter": "level shifter",
    "is_isolation_cell": "isolation cell",
    "is_clock_isolation_cell": "isolation cell",
    "always_on": "always-on cell",
    "retention_cell": "retention cell",
    "switch_cell_type": "power switch",
    "pad_cell": "pad",
    "auxiliary_pad_cell": "pad",
    "is_pad": "pad",
    "antenna_diode_type": "antenna diode",
    "is_filler_cell": "filler",
    "is_decap_cell": "decoupling capacitor",
    "is_tap_cell": "tap",
    "is_macro_cell": "macro",
    "three_state": "three-state output",
}
"""Attributes of a cell or of one of its pins that say what it is made for other than logic (Liberty user guide)."""

_SCAN_STATES = ("scan_in", "scan_enable")


class CellReader:
    """Reads the cells of one file."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._capacitance_unit = header.units.capacitance_pf
        self._default_capacitance = header.number(header.group, "default_input_pin_cap", 0.0) * self._capacitance_unit

    def cell(self, group: Group) -> Cell:
        """One cell; raises HardwareError, with the line, for what cannot be read."""
        header = self._header
        if not group.arguments:
            raise header.error(group.line, "a cell has no name")
        name = group.arguments[0]
        memory = group.named("memory")
        pin_groups = group.named("pin", "bus", "bundle")
        flip_flop = self._flip_flop(group)
        pins = {pin.name: pin for pin_group in pin_groups for pin in self._pins(pin_group, flip_flop)}
        leakage_uw, states = self._leakages(name, group)
        words = 2 ** header.count(memory[0], "address_width", _LARGEST_ADDRESS_BITS) if memory else None
        return Cell(
            name=name,
            area_um2=header.plausible(header.positive(group, "area", 0.0), "um2", group.line, "area"),
            footprint=group.attributes.get("cell_footprint", ""),
            pins=pins,
            leakage_uw=leakage_uw,
            leakage_states=states,
            arcs=tuple(self._arcs(pin_groups, pins)),
            powers=summed_powers([power for pin_group in pin_groups for power in self._powers(pin_group)]),
            flip_flop=flip_flop,
            is_latch=bool(group.named("latch", "statetable", "latch_bank")),
            dont_use=_is_true(group.attributes.get("dont_use", "")),
            words=words,
            word_bits=header.count(memory[0], "word_width", _LARGEST_WORD_BITS) if memory else None,
            purpose=_purpose(group),
        )

    def _leakages(self, name: str, cell: Group) -> tuple[float | None, tuple[tuple[str, float], ...]]:
        """Outside of all states and in each, uW."""
        if self._header.units.leakage_uw == 0:
            if cell.named("leakage_power") or "cell_leakage_power" in cell.attributes:
                self._header.remark(NO_LEAKAGE_UNIT, name)
            return None, ()
        groups = [
            (state.attributes.get("related_pg_pin", ""), state.attributes.get("when"), self._leakage(state, "value"))
            for state in cell.named("leakage_power")
            if "value" in state.attributes
        ]
        anywhere, states = summed_leakage(groups)
        if "cell_leakage_power" in cell.attributes:
            anywhere = self._leakage(cell, "cell_leakage_power")
        default = "default_cell_leakage_power"
        if anywhere is None and default in self._header.group.attributes:
            anywhere = self._leakage(self._header.group, default)
        if min([anywhere or 0.0, *(value for _, value in states)]) < 0:
            self._header.remark(NEGATIVE_LEAKAGE, name)
        return (
            None if anywhere is None else max(anywhere, 0.0),
            tuple((when, max(value, 0.0)) for when, value in states),
        )

    def _leakage(self, group: Group, name: str) -> float:
        value = self._header.number(group, name) * self._header.units.leakage_uw
        return self._header.plausible(value, "uW", group.line, name)

    def _pins(self, group: Group, flip_flop: FlipFlop | None) -> list[Pin]:
        if not group.arguments:
            raise self._header.error(group.line, f"{group.name} has no name")
        direction = group.attributes.get("direction", "internal").lower()
        default = self._default_capacitance if direction == "input" else 0.0
        capacitance = self._capacitance(group, "capacitance", default)
        fall = self._capacitance(group, "fall_capacitance", capacitance)
        rise = self._capacitance(group, "rise_capacitance", capacitance)
        return [
            Pin(
                name=name,
                direction=direction,
                fall_capacitance_pf=fall,
                rise_capacitance_pf=rise,
                largest_fall_capacitance_pf=self._range_end(group, "fall_capacitance_range", fall),
                largest_rise_capacitance_pf=self._range_end(group, "rise_capacitance_range", rise),
                max_load_pf=self._largest_load(group),
                function=self._function(group, flip_flop),
                is_clock=_is_true(group.attributes.get("clock", "")),
            )
            for name in group.arguments
        ]

    def _function(self, group: Group, flip_flop: FlipFlop | None) -> str | None:
        """An output's function; of one that shows a flip-flop's state, that state's name."""
        function = group.attributes.get("function")
        if not function:
            return None
        if is_ambiguous(function):
            raise self._header.error(
                group.line,
                f"function {function[:40]!r} has ^ beside an AND without parentheses, on which tools differ",
            )
        states = (flip_flop.state, flip_flop.inverted_state) if flip_flop else ()
        if (shown := single_variable(function)) and shown[0] in states:
            return states[(states.index(shown[0]) + shown[1]) % 2]
        return function

    def _range_end(self, group: Group, name: str, default: float) -> float:
        ends = [self._header.float(text, group.line, name) * self._capacitance_unit for text in group.list(name)]
        return self._header.plausible(max([default, *ends]), "pF", group.line, name)

    def _capacitance(self, group: Group, name: str, default: float) -> float:
        if name not in group.attributes:
            return default
        value = self._header.positive(group, name) * self._capacitance_unit
        return self._header.plausible(value, "pF", group.line, name)

    def _largest_load(self, group: Group) -> float:
        """`max_capacitance`; a senselessly large one states no limit."""
        if "max_capacitance" not in group.attributes:
            return math.inf
        return self._header.positive(group, "max_capacitance") * self._capacitance_unit

    def _arcs(self, pin_groups: list[Group], pins: dict[str, Pin]) -> list[TimingArc]:
        arcs: list[TimingArc] = []
        halves: dict[tuple[object, ...], list[int]] = {}
        for group, timing in ((one, timing) for one in pin_groups for timing in _members(one, "timing")):
            attributes = timing.attributes
            kind = attributes.get("timing_type", "combinational")
            wanted = _ONE_EDGE.get(kind, _TABLES)
            tables = {t.name: self._header.table(t, self._header.units.time_ns, "ns") for t in timing.named(*wanted)}
            if not tables:
                continue
            for pin in group.arguments:
                for related in attributes.get("related_pin", "").replace(",", " ").split():
                    sense = attributes.get("timing_sense") or unateness(pins[pin].function or "", related)
                    arc = TimingArc(pin, related, "combinational" if kind in _ONE_EDGE else kind, sense, tables)
                    key = (pin, related, sense, state_of(attributes.get("when")), kind)
                    other = (*key[:-1], _OTHER_EDGE.get(kind))
                    if halves.get(other):  # the other edge of the same arc
                        first = halves[other].pop(0)
                        arcs[first] = replace(arc, tables=arcs[first].tables | tables)
                        continue
                    if kind in _ONE_EDGE:
                        halves.setdefault(key, []).append(len(arcs))
                    arcs.append(arc)
        return arcs

    def _powers(self, group: Group) -> list[tuple[str, InternalPower]]:
        found: list[tuple[str, InternalPower]] = []
        for power in _members(group, "internal_power"):
            attributes = power.attributes
            rise, fall = self._energy(power, "rise_power"), self._energy(power, "fall_power")
            related = attributes.get("related_pin", "").replace(",", " ").split() or [None]
            found.extend(
                (attributes.get("related_pg_pin", ""), InternalPower(pin, one, attributes.get("when"), rise, fall))
                for pin in group.arguments
                for one in related
            )
        return found

    def _energy(self, power: Group, name: str) -> Table | None:
        """The table of an edge; `power` is for both."""
        groups = power.named(name) or power.named("power")
        return self._header.table(groups[0], self._header.units.energy_pj, "pJ") if groups else None

    def _flip_flop(self, group: Group) -> FlipFlop | None:
        found = group.named("ff")
        if not found:
            return None
        ff = found[0]
        if "clocked_on" not in ff.attributes or "next_state" not in ff.attributes or not ff.arguments:
            raise self._header.error(ff.line, "an ff group needs state names, clocked_on and next_state")
        state, inverted = (*ff.arguments, "")[:2]
        clock, (data, is_inverted) = ff.attributes["clocked_on"], _literal(ff.attributes["next_state"])
        clear, preset = (_normal(ff.attributes.get(name)) for name in ("clear", "preset"))
        if is_inverted:
            state, inverted, clear, preset = inverted, state, preset, clear
        return FlipFlop(state, inverted, _normal(clock) or clock, data, clear, preset)


_OTHER_EDGE = {"combinational_rise": "combinational_fall", "combinational_fall": "combinational_rise"}


def _literal(expression: str) -> tuple[str, bool]:
    """The pin that an expression is equal to and whether inverted; the expression itself where it is no single pin."""
    return single_variable(expression) or (expression, False)


def _normal(expression: str | None) -> str | None:
    """`CK` or `!CK` for an expression of one pin; any other as it is written."""
    if not expression:
        return None
    name, is_inverted = _literal(expression)
    return f"!{name}" if is_inverted else name


def _is_true(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "yes")


def _members(group: Group, name: str) -> list[Group]:
    """Groups called `name` of a pin, or of a bus and of the pins inside it."""
    return group.named(name) + [member for pin in group.named("pin") for member in pin.named(name)]


def _purpose(cell: Group) -> str:
    """What attributes and groups say that the cell is made for; empty for logic."""
    pins = cell.named("pin", "bus", "bundle")
    for group in (cell, *pins):
        for name, purpose in _PURPOSES.items():
            if (value := group.attributes.get(name, "")) and value.lower() not in ("false", "0", "none"):
                return purpose
    if cell.named("ff_bank"):
        return "multi-bit flip-flop"
    if cell.named("memory"):
        return "memory"
    if any(group.name != "pin" for group in pins):
        return "bus pins"
    if any(group.attributes.get("direction", "").lower() == "inout" for group in pins):
        return "two-way pin"
    scans = any(group.attributes.get("nextstate_type", "") in _SCAN_STATES for group in pins)
    if cell.named("test_cell") or scans:
        return "scan flip-flop"
    return ""
