"""Restate the stored energies of the reproduction's networks on a technology table whose control or memories changed.

Usage: python scripts/restate_energies.py OLD_TABLE
An energy from a network's own operands needs the trained network, which the tree does not keep. Of such an energy the
neurons' part rests on the operands; control, buffers and leakage do not. So where the neurons of the old table and of
the shipped one are equal, the new energy is the stored one plus what the same network at the assumed activity takes
more on the shipped table than it took on the old one. Refuses a precision whose neurons differ.
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


def same_neuron(precision: str, old: Technology, new: Technology) -> bool:
    """Whether a precision's neuron is the same circuit at the same clock in both tables."""
    one, other = old.datapaths.get(precision), new.datapaths.get(precision)
    return (
        one is not None
        and other is not None
        and (one.components, one.clock_mhz)
        == (
            other.components,
            other.clock_mhz,
        )
    )


def restated(entry: dict[str, Any], table: str) -> dict[str, Any]:
    """A stored energy on the shipped table; as it is if it was not taken from the old one."""
    measured = entry["measured_energy"]
    old, new = (energy_uj(entry["model"], entry["precision"], which) for which in (table, None))
    was_of_the_old = math.isclose(measured["assumed_activity_uj"], old, rel_tol=1e-9)
    if not was_of_the_old or math.isclose(old, new, rel_tol=1e-9):
        return measured
    return measured | {"uj": measured["uj"] + new - old, "assumed_activity_uj": new}


def main() -> None:
    """Rewrite the stored files."""
    table = sys.argv[1]
    old, new = load_technology(table), load_technology()
    for path in sorted(STORED.glob("*.json")):
        stored = json.loads(path.read_text())
        entries = [entry for entry in stored.get("runs", ()) if "measured_energy" in entry]
        for entry in entries:
            if not same_neuron(entry["precision"], old, new):
                sys.exit(f"{path.name}: the neuron of {entry['precision']} is another one: measure its networks anew")
            entry["measured_energy"] = restated(entry, table)
        if entries:
            path.write_text(json.dumps(stored, indent=1) + "\n")
            print(f"{path.name}: {len(entries)} energies")


if __name__ == "__main__":
    main()
