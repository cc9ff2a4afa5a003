"""What `fewbits cost` prints of corners, of several clocks and of dies: a table each, and the lines below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fewbits.hardware.costing.corner_costs import Die, SignOff, leakage_mw
from fewbits.hardware.process.corners import AT_CORNER

if TYPE_CHECKING:
    from fewbits.hardware import Cost, Technology

_HEADINGS = ("clock MHz", "energy uJ", "dynamic uJ", "leakage %", "leakage mW", "power mW", "time us", "area mm2")


def _figures(cost: Cost) -> tuple[float, ...]:
    leaking = sum(cost.breakdown.leakage_uj.values())
    dynamic = sum(cost.breakdown.dynamic_uj.values())
    return (
        *(cost.clock_mhz, cost.energy_uj, dynamic, 100 * leaking / cost.energy_uj, leakage_mw(cost)),
        *(cost.power_mw, cost.time_us, cost.area_mm2),
    )


def _row(label: str, cost: Cost) -> str:
    return f"{label:>26}" + "".join(f"{value:>12,.4g}" for value in _figures(cost))


def _head(label: str) -> str:
    return f"{label:>26}" + "".join(f"{heading:>12}" for heading in _HEADINGS)


def corner_lines(
    precision: str, tables: Mapping[str, Technology], costs: Mapping[str, Cost], signed: SignOff | None
) -> tuple[str, ...]:
    """A row for each corner or operating point, each at the clock that it keeps alone; then what is signed off."""
    lines = [_head(precision)]
    for name, table in tables.items():
        volts = f" {table.voltage_v:.3g} V"
        lines.append(
            _row(f"{name.removesuffix(volts.lstrip())}{volts} {table.temperature_c:.4g} C".lstrip(), costs[name])
        )
    if signed is not None:
        power = signed.costs[signed.power_from]
        lines.append(
            f"{precision} signed off: {signed.clock_mhz:.4g} MHz, the clock of {signed.clock_from}; at this clock "
            f"{signed.power_from} takes most, {power.energy_uj:.4g} uJ and {power.power_mw:.4g} mW; "
            + ", ".join(f"{name} {cost.energy_uj:.4g} uJ" for name, cost in signed.costs.items())
        )
        lines += [f"{precision} {name} clock: {cost.clock}" for name, cost in costs.items()]
    return tuple(lines)


def clock_lines(costs: Sequence[Cost]) -> tuple[str, ...]:
    """A row for each clock: below the one that a part keeps, time and with it leakage grow, and nothing else does."""
    return (_head("energy over the clock"), *(_row(cost.precision, cost) for cost in costs))


def operating_notes(tables: Mapping[str, Technology]) -> tuple[str, ...]:
    """What each corner or operating point is of, a line each."""
    found = {name: table.provenance.get(AT_CORNER) for name, table in tables.items()}
    return tuple(f"at {text}" for text in found.values() if text)


def die_line(cost: Cost, die: Die, name: str = "") -> str:
    """The die of a cost in a line. name: of the corner, if any."""
    return (
        f"{' '.join((cost.precision, name)).strip()} die: {die.area_mm2:.4g} mm2 at a stated utilization of "
        f"{die.utilization:g} ({cost.area_mm2:.4g} mm2 of cells and macros; no pads); {die.gops:.4g} GOPS, "
        f"{die.gops_per_mm2:.4g} GOPS/mm2 of it, a product and its addition as two operations"
    )


def point_json(name: str, table: Technology, cost: Cost) -> dict[str, Any]:
    """What `fewbits cost --json` adds at a corner or an operating point."""
    return {
        "corner": name,
        "technology": table.name,
        "voltage_v": table.voltage_v,
        "temperature_c": table.temperature_c,
        "leakage_mw": leakage_mw(cost),
    }


def signed_json(signed: SignOff) -> dict[str, Any]:
    """The same of what is signed off."""
    return {
        "signed_off": {
            "clock_mhz": signed.clock_mhz,
            "clock_from": signed.clock_from,
            "power_from": signed.power_from,
            "energy_uj": {name: cost.energy_uj for name, cost in signed.costs.items()},
            "power_mw": {name: cost.power_mw for name, cost in signed.costs.items()},
        }
    }


def die_json(die: Die) -> dict[str, Any]:
    """The same of a die."""
    return {
        "die_utilization": die.utilization,
        "die_area_mm2": die.area_mm2,
        "gops": die.gops,
        "gops_per_die_mm2": die.gops_per_mm2,
    }
