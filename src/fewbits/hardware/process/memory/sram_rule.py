"""How far off the banking rule is: each macro composed of the others, beside its own figures."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fewbits.errors import HardwareError
from fewbits.hardware.process.memory.sram import Buffer, compose
from fewbits.hardware.process.technology import MacroCost

QUANTITIES = ("area", "read energy", "write energy", "leakage", "access time")


@dataclass(frozen=True)
class LeftOut:
    """One macro, and the memory of its size that the rule composes when it may not use it."""

    macro: MacroCost
    composed: Buffer

    @property
    def errors_percent(self) -> dict[str, float]:
        """What the composed memory has more than the macro, by QUANTITIES; energies are a cycle's with an access."""
        made, own = self.composed, self.macro
        pairs = (
            (made.area_um2, own.area_um2),
            (made.read_energy_pj + made.cycle_energy_pj, own.read_energy_pj + own.cycle_energy_pj),
            (made.write_energy_pj + made.cycle_energy_pj, own.write_energy_pj + own.cycle_energy_pj),
            (made.leakage_uw, own.leakage_uw),
            (made.access_ns, own.access_ns),
        )
        return {name: _percent(*pair) for name, pair in zip(QUANTITIES, pairs, strict=True)}


@dataclass(frozen=True)
class RuleError:
    """The rule's error in one quantity over all macros, in percent of the macro's own figure."""

    quantity: str
    median: float
    """Of the errors' sizes."""

    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.quantity} {self.median:.0f} % ({self.lowest:+.0f} to {self.highest:+.0f} %)"


def leave_one_out(macros: Sequence[MacroCost]) -> tuple[LeftOut, ...]:
    """Each macro composed of the others with just as many ports; one that is alone with its ports is passed over.

    The rule composes only of macros that exist, so a memory smaller than the smallest of them gets that one whole: the
    errors of the smallest macros are its largest.
    """
    found: list[LeftOut] = []
    for macro in macros:
        others = [one for one in macros if one.name != macro.name and one.ports == macro.ports]
        if others:
            found.append(LeftOut(macro, compose(macro.rows, macro.bits, others, macro.ports)))
    return tuple(found)


def rule_errors(left_out: Sequence[LeftOut]) -> tuple[RuleError, ...]:
    """The errors over all macros, by quantity. Raises HardwareError for fewer than one."""
    if not left_out:
        raise HardwareError("the banking rule's error needs at least two macros with as many ports")
    errors: list[RuleError] = []
    for quantity in QUANTITIES:
        values = [one.errors_percent[quantity] for one in left_out]
        errors.append(RuleError(quantity, statistics.median(map(abs, values)), min(values), max(values)))
    return tuple(errors)


def describe(macros: Sequence[MacroCost]) -> str:
    """The rule's error in one line; says so where there are too few macros to know it."""
    left_out = leave_one_out(macros)
    if not left_out:
        return "the banking rule's error is not known: there are no two macros with as many ports"
    errors = "; ".join(map(str, rule_errors(left_out)))
    return f"banking rule against {len(left_out)} macros left out, median error (from, to): {errors}"


def _percent(made: float, own: float) -> float:
    return 100.0 * (made / own - 1.0) if own > 0 else 0.0
