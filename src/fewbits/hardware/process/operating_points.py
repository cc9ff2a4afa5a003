"""Operating points between corners: a table's figures at a voltage that lies between those of two corners.

Corners differ in process and temperature too (slow transistors are measured hot, fast ones cold), so that the way from
one to the next is all three at once; a point between them is on that way, and its note says so. On it
- dynamic energy is straight in the voltage squared (C V^2),
- delays are straight in their logarithm. An alpha-power law (T. Sakurai and A. Newton, IEEE JSSC 25 (1990) 584) has the
  threshold of one process: through the slow and the fast corner of IHP SG13G2 it asks for 0.89 V at alpha 1.3, and
  misses the typical delays by 13 %, this rule by 3 %,
- leakage is straight in its logarithm, as a subthreshold current is in the threshold and in 1 / temperature.
Each rule gives the corners their own figures. What it is worth between them, `interpolation_errors` tells: a corner
that lies between two others is left out and found from those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from fewbits.errors import HardwareError
from fewbits.hardware.process.corners import (
    ControlAtCorner,
    ConversionAtCorner,
    Corner,
    DatapathAtCorner,
    MacroAtCorner,
    check_typical,
    typical_corner,
    typical_macros,
    with_figures,
)
from fewbits.hardware.process.technology import Technology

Rule = Callable[[float, float], float]
"""A figure between those of two corners."""


@dataclass(frozen=True)
class _Between:
    """Where a voltage lies between two corners, and the rules there."""

    low: Corner
    high: Corner
    voltage_v: float

    @property
    def part(self) -> float:
        """Of the way from the low to the high corner, in voltage."""
        return (self.voltage_v - self.low.voltage_v) / (self.high.voltage_v - self.low.voltage_v)

    def straight(self, low: float, high: float) -> float:
        """Straight in the voltage: temperature."""
        return low + (high - low) * self.part

    def energy(self, low: float, high: float) -> float:
        """Straight in the voltage squared."""
        squared = (self.voltage_v**2 - self.low.voltage_v**2) / (self.high.voltage_v**2 - self.low.voltage_v**2)
        return low + (high - low) * squared

    def logarithmic(self, low: float, high: float) -> float:
        """Straight in its logarithm: delays, leakage. A figure that is 0 at a corner has none."""
        if low <= 0 or high <= 0:
            return self.straight(low, high)
        return math.exp(self.straight(math.log(low), math.log(high)))


def at_voltage(table: Technology, voltage_v: float) -> Technology:
    """The table at a voltage: that of a corner, or between two of them.

    Raises HardwareError outside of the corners' voltages, and where two corners have one voltage.
    """
    check_typical(table)
    corners = _by_voltage(table)
    lowest, highest = corners[0].voltage_v, corners[-1].voltage_v
    if len(corners) < 2:
        raise HardwareError(
            f"technology {table.name!r} has no corner but the typical one, {lowest:g} V: a voltage needs two; add them "
            "with fewbits characterize --corner NAME=FILE"
        )
    if not lowest <= voltage_v <= highest:
        raise HardwareError(
            f"{voltage_v:g} V is outside of what technology {table.name!r} was characterized at: give a voltage from "
            f"{lowest:g} to {highest:g}"
        )
    high = next(corner for corner in corners[1:] if corner.voltage_v >= voltage_v)
    low = corners[corners.index(high) - 1]
    point = between(low, high, voltage_v)
    errors = (
        "".join(f"; {line}" for line in interpolation_errors(table)) or "; it could not be checked on a third corner"
    )
    at = (
        f"an operating point between {low.conditions} and {high.conditions}, so at {point.temperature_c:.4g} C and a "
        "process in between: "
        f"energy straight in V^2, delay and leakage in their logarithms{errors}{typical_macros(table, point)}"
    )
    return with_figures(table, point, f"{table.name} at {voltage_v:g} V", at)


def between(low: Corner, high: Corner, voltage_v: float) -> Corner:
    """The corner at a voltage between two; of what both have figures of."""
    way = _Between(low, high, voltage_v)
    energy, delay, leakage = way.energy, way.logarithmic, way.logarithmic

    def of_all(rule: Rule, first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
        return {name: rule(value, second[name]) for name, value in first.items() if name in second}

    def control(first: ControlAtCorner | None, second: ControlAtCorner | None) -> ControlAtCorner | None:
        if first is None or second is None or first.control_sha256 != second.control_sha256:
            return None
        return ControlAtCorner(
            first.control_sha256,
            delay(first.longest_path_ns, second.longest_path_ns),
            leakage(first.leakage_uw, second.leakage_uw),
            energy(first.computing_pj, second.computing_pj),
            energy(first.pooling_pj, second.pooling_pj),
            energy(first.clock_tree_pj, second.clock_tree_pj),
            leakage(first.each_leakage_uw, second.each_leakage_uw),
            energy(first.each_computing_pj, second.each_computing_pj),
            energy(first.each_pooling_pj, second.each_pooling_pj),
        )

    def datapath(first: DatapathAtCorner, second: DatapathAtCorner) -> DatapathAtCorner:
        return DatapathAtCorner(
            first.rtlil_sha256,
            delay(first.longest_path_ns, second.longest_path_ns),
            of_all(leakage, first.leakage_uw, second.leakage_uw),
            of_all(energy, first.energy_pj, second.energy_pj),
            control(first.control, second.control),
        )

    def conversion(first: ConversionAtCorner, second: ConversionAtCorner) -> ConversionAtCorner:
        return ConversionAtCorner(
            first.rtlil_sha256,
            delay(first.longest_path_ns, second.longest_path_ns),
            leakage(first.leakage_uw, second.leakage_uw),
            energy(first.energy_pj, second.energy_pj),
        )

    def macro(first: MacroAtCorner, second: MacroAtCorner) -> MacroAtCorner:
        return MacroAtCorner(
            delay(first.access_ns, second.access_ns),
            energy(first.read_energy_pj, second.read_energy_pj),
            energy(first.write_energy_pj, second.write_energy_pj),
            energy(first.cycle_energy_pj, second.cycle_energy_pj),
            leakage(first.leakage_uw, second.leakage_uw),
        )

    return Corner(
        f"{voltage_v:g} V",
        f"{low.process} to {high.process}",
        voltage_v,
        way.straight(low.temperature_c, high.temperature_c),
        f"{low.liberty}, {high.liberty}",
        f"{low.liberty_sha256}, {high.liberty_sha256}",
        delay(low.setup_ns, high.setup_ns),
        delay(low.selection_ns, high.selection_ns),
        of_all(leakage, low.packing_leakage_uw, high.packing_leakage_uw),
        of_all(energy, low.packing_energy_pj, high.packing_energy_pj),
        {
            name: datapath(one, other)
            for name, one in low.datapaths.items()
            if (other := high.datapaths.get(name)) is not None and one.rtlil_sha256 == other.rtlil_sha256
        },
        {name: macro(one, high.macros[name]) for name, one in low.macros.items() if name in high.macros},
        {
            name: conversion(one, other)
            for name, one in low.conversions.items()
            if (other := high.conversions.get(name)) is not None and one.rtlil_sha256 == other.rtlil_sha256
        },
    )


def interpolation_errors(table: Technology) -> tuple[str, ...]:
    """A line for each corner that lies between two others, left out and found from those: the means over datapaths."""
    corners = _by_voltage(table)
    lines: list[str] = []
    for low, known, high in zip(corners, corners[1:], corners[2:], strict=False):
        found = between(low, high, known.voltage_v).datapaths
        pairs = [(found[name], one) for name, one in known.datapaths.items() if name in found]
        if not pairs:
            continue
        energy, delay, leakage = (
            sum(_relative(figure(one), figure(other)) for one, other in pairs) / len(pairs)
            for figure in (_energy, _delay, _leakage)
        )
        lines.append(
            f"{known.name} left out and found from {low.name} and {high.name}: energy {energy:+.1%}, "
            f"delay {delay:+.1%}, leakage {leakage:+.0%}"
        )
    return tuple(lines)


def squared_voltage_errors(table: Technology) -> dict[str, float]:
    """By corner: what the typical energy times the ratio of voltages squared (C V^2) is off its own, mean of datapaths.

    The energies are those inside cells and of nets together: crossing currents and the slopes that they depend on do
    not go with the voltage squared.
    """
    typical = typical_corner(table)
    found: dict[str, float] = {}
    for name, corner in table.corners.items():
        ratio = (corner.voltage_v / typical.voltage_v) ** 2
        pairs = [
            (_energy(typical.datapaths[key]) * ratio, _energy(one))
            for key, one in corner.datapaths.items()
            if key in typical.datapaths
        ]
        if pairs:
            found[name] = sum(_relative(rule, own) for rule, own in pairs) / len(pairs)
    return found


def _by_voltage(table: Technology) -> list[Corner]:
    corners = sorted((typical_corner(table), *table.corners.values()), key=lambda one: (one.voltage_v, one.name))
    for one, other in pairwise(corners):
        if one.voltage_v == other.voltage_v:
            raise HardwareError(
                f"corners {one.name!r} and {other.name!r} of technology {table.name!r} are both at "
                f"{one.voltage_v:g} V, so that a voltage does not tell what is between them: choose a corner"
            )
    return corners


def _energy(one: DatapathAtCorner) -> float:
    return sum(one.energy_pj.values())


def _delay(one: DatapathAtCorner) -> float:
    return one.longest_path_ns


def _leakage(one: DatapathAtCorner) -> float:
    return sum(one.leakage_uw.values())


def _relative(found: float, known: float) -> float:
    return found / known - 1 if known else 0.0
