"""Figures of macros that are orders of magnitude away from what a library's own flip-flop takes: told, not refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean

from fewbits.hardware.mapping.timing import Conditions, launch_overhead_ns
from fewbits.hardware.process.library.liberty import Cell, Library
from fewbits.hardware.process.technology import MacroCost

BOUNDS = {
    "area_um2": (0.01, 20.0),
    "read_energy_pj": (0.1, 1000.0),
    "write_energy_pj": (0.1, 1000.0),
    "leakage_uw": (0.0005, 2000.0),
    "access_ns": (0.1, 100.0),
}
"""Lowest and highest multiple of a flip-flop's figure that passes. Area and leakage of each bit, energy of each that
is accessed, the access as a whole. IHP's 28 macros have 0.07 to 0.57 times the area of its 130 nm flip-flop, 11 to 134
times the energy, 0.024 to 0.038 times the leakage and 9 to 17 times the delay; OpenRAM's for SkyWater down to 1.6 times
the energy and 1.5 times the delay, but 140 times the leakage of SkyWater's own flip-flop; GlobalFoundries' 4 times the
area.
The bounds leave an order of magnitude about these, leakage more, as it depends on temperature and threshold."""

_SHOWN = 3


def questions(macros: Sequence[MacroCost], library: Library, conditions: Conditions) -> tuple[str, ...]:
    """A line for each kind of figure that is out of bounds, with the macros; empty where all are plausible.

    A figure that the library's flip-flop lacks (leakage, in a library without) is not compared.
    """
    own = flip_flop_figures(library, conditions)
    lines: list[str] = []
    for name, (low, high) in BOUNDS.items():
        if not own[name]:
            continue
        odd = [(macro.name, ratio) for macro in macros
               if (ratio := _of_a_bit(macro, name) / own[name]) and not low <= ratio <= high]  # fmt: skip
        odd += [(macro.name, 0.0) for macro in macros if _of_a_bit(macro, name) == 0 and name != "access_ns"]
        if odd:
            shown = ", ".join(f"{macro} {ratio:.2g}" for macro, ratio in odd[:_SHOWN])
            more = f" and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
            lines.append(
                f"questionable {name} of {shown}{more} times that of the library's flip-flop"
                f"{'' if name == 'access_ns' else ' by the bit'}, {low:g} to {high:g} would be usual: check its unit"
            )
    return tuple(lines)


def flip_flop_figures(library: Library, conditions: Conditions) -> dict[str, float]:
    """What the library's smallest plain flip-flop has of each of BOUNDS.

    Energy is that of a cycle in which its state changes, at no load; delay is clock to output and setup.
    """
    flop = min(library.flip_flops(), key=lambda cell: cell.area_um2)
    energy = _cycle_pj(library, flop, conditions)
    states = [value for _, value in flop.leakage_states]
    return {
        "area_um2": flop.area_um2,
        "read_energy_pj": energy,
        "write_energy_pj": energy,
        "leakage_uw": mean(states) if states else flop.leakage_uw or 0.0,
        "access_ns": launch_overhead_ns(library, conditions),
    }


def _cycle_pj(library: Library, flop: Cell, conditions: Conditions) -> float:
    """Internal energy of both edges of the clock and of one of the outputs, and what the input pins' loads take."""
    clock = flop.flip_flop.clocked_on.strip("!() ") if flop.flip_flop else ""

    def internal(chosen: Callable[[str], bool]) -> float:
        tables = [table for power in flop.powers if chosen(power.pin) for table in (power.rise, power.fall) if table]
        return mean(table.at(conditions.clock_slew_ns) for table in tables) if tables else 0.0

    loads_pf = sum(pin.capacitance_pf for pin in flop.pins.values() if pin.direction == "input")
    own = max(2 * internal(lambda pin: pin == clock) + internal(lambda pin: pin in flop.outputs), 0.0)
    return own + loads_pf * library.voltage_v**2


def _of_a_bit(macro: MacroCost, name: str) -> float:
    """A figure by the bit, as BOUNDS has it."""
    divisor = {"area_um2": macro.rows * macro.bits, "leakage_uw": macro.rows * macro.bits, "access_ns": 1}
    return float(getattr(macro, name)) / divisor.get(name, macro.bits)
