"""A network's cost at the corners of a technology, as designs are signed off; and the die that its cells need."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fewbits.errors import HardwareError
from fewbits.hardware.costing.network_cost import Cost
from fewbits.hardware.process.technology import Technology
from fewbits.hardware.workload.workload import Workload

OPERATIONS = 2
"""Of a product that is summed: a multiplication and an addition."""


@dataclass(frozen=True)
class SignOff:
    """What holds at every corner: the clock that the slowest one keeps, and what each takes at this clock."""

    clock_mhz: float
    clock_from: str
    """The corner that keeps no higher clock."""

    power_from: str
    """The corner that takes most energy at the clock."""

    costs: Mapping[str, Cost]
    """By corner, at the clock."""


def sign_off(
    tables: Mapping[str, Technology], asked_mhz: float, cost_of: Callable[[Technology, float], Cost]
) -> SignOff:
    """The clock from the slow corner, the power from the one that takes most at it.

    tables: a technology by corner (`process.corners`). cost_of: a network's cost on one of them at a clock.
    """
    alone = {name: cost_of(table, asked_mhz) for name, table in tables.items()}
    slowest = min(alone, key=lambda name: alone[name].clock_mhz)
    clock_mhz = alone[slowest].clock_mhz
    costs = {name: cost_of(table, clock_mhz) for name, table in tables.items()}
    most = max(costs, key=lambda name: costs[name].energy_uj)
    return SignOff(clock_mhz, slowest, most, costs)


def leakage_mw(cost: Cost) -> float:
    """Leakage power of all parts of a cost."""
    return sum(cost.breakdown.leakage_uj.values()) / cost.time_us * 1000


@dataclass(frozen=True)
class Die:
    """What a stated utilization makes of a cost's area: the core of a die, without pads."""

    utilization: float
    """Cells and macros as a part of the core."""

    area_mm2: float
    gops: float
    """10^9 operations a second on this network; a product that is summed is two."""

    @property
    def gops_per_mm2(self) -> float:
        """Operations a second and a square millimetre of the die."""
        return self.gops / self.area_mm2


def die_of(cost: Cost, workload: Workload, utilization: float) -> Die:
    """The die of a cost. Raises HardwareError unless 0 < utilization <= 1."""
    if not (math.isfinite(utilization) and 0 < utilization <= 1):
        raise HardwareError(
            f"--utilization is the part of the die that cells and macros cover, above 0 and up to 1, such as 0.7, not "
            f"{utilization:g}"
        )
    return Die(utilization, cost.area_mm2 / utilization, OPERATIONS * workload.products / cost.time_us * 1e-3)
