"""Restate the stored energies of the reproduction's networks on a technology table whose circuits changed a little.

Usage: python scripts/restate_energies.py OLD_TABLE
An energy from a network's own operands needs the trained network, which the tree does not keep. Of such an energy the
neurons' part rests on the operands; control, buffers and leakage do not. So the new energy is the stored one plus what
the same network at the assumed activity takes more on the shipped table than it took on the old one: exact for all but
the neurons, whose change is estimated. Refuses a precision whose neurons take over 1 % more or less at the assumed
activity; the change is stored with the energy, and the page says how large it may be.
"""

from __future__ import annotations

import json
import math
import sys
from functools import cache
from pathlib import Path
from typing import Any

from fewbits.hardware import Technology, cost, load_technology

STORED = Path(__file__).resolve().parents[1] / "docs" / "reproduction"


@cache
def energy_uj(model: str, precision: str, table: str | None) -> float:
    """Of an image at the assumed activity. table: its file; None for the shipped one."""
    return cost(model, precision, technology=table).energy_uj


LARGEST_CHANGE_PERCENT = 1.0
"""Of a neuron's energy at the assumed activity: well below the interval of an energy from operands."""


def neuron_change_percent(precision: str, old: Technology, new: Technology) -> float:
    """How much more energy a neuron takes at the assumed activity in the new table."""
    one, other = (
        sum(part.energy_pj for part in table.datapaths[precision].components.values()) for table in (old, new)
    )
    return 100 * (other / one - 1)


def restated(entry: dict[str, Any], table: str, change_percent: float) -> dict[str, Any]:
    """A stored energy on the shipped table; as it is if it was not taken from the old one."""
    measured = entry["measured_energy"]
    old, new = (energy_uj(entry["model"], entry["precision"], which) for which in (table, None))
    was_of_the_old = math.isclose(measured["assumed_activity_uj"], old, rel_tol=1e-9)
    if not was_of_the_old or math.isclose(old, new, rel_tol=1e-9):
        return measured
    return measured | {
        "uj": measured["uj"] + new - old,
        "assumed_activity_uj": new,
        "neuron_change_percent": measured.get("neuron_change_percent", 0.0) + change_percent,
    }


def main() -> None:
    """Rewrite the stored files."""
    table = sys.argv[1]
    old, new = load_technology(table), load_technology()
    for path in sorted(STORED.glob("*.json")):
        stored = json.loads(path.read_text())
        entries = [entry for entry in stored.get("runs", ()) if "measured_energy" in entry]
        for entry in entries:
            change = neuron_change_percent(entry["precision"], old, new)
            if abs(change) > LARGEST_CHANGE_PERCENT:
                sys.exit(f"{path.name}: the neuron of {entry['precision']} is another one: measure its networks anew")
            entry["measured_energy"] = restated(entry, table, change)
        if entries:
            path.write_text(json.dumps(stored, indent=1) + "\n")
            print(f"{path.name}: {len(entries)} energies")


if __name__ == "__main__":
    main()
