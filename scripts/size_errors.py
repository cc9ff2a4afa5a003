"""How far off a technology table's estimates of other sizes are: `python scripts/size_errors.py [TABLE]`.

Prints, as tables of Markdown, in percent of the characterized figure: each neuron of other than 16 synapses that is
left out of the table, found between its neighbours, and grown from 16 synapses as another precision's; the same of the
control; each processing element, estimated from its neuron.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from fewbits.hardware import load_technology
from fewbits.hardware.datapath.control_growth import control_errors
from fewbits.hardware.datapath.estimates import element_errors
from fewbits.hardware.datapath.sizes import size_errors
from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY, Technology


def neurons(table: Technology) -> str:
    """Neurons of other synapses."""
    return _table(
        ["left out", "found", "area", "leakage", "energy"],
        [(e.name, e.way, (e.area_percent, e.leakage_percent, e.energy_percent)) for e in size_errors(table)],
    )


def controls(table: Technology) -> str:
    """Control around neurons of other synapses."""
    return _table(
        ["left out", "found", "area", "leakage", "energy, computing"],
        [(e.name, e.way, (e.area_percent, e.leakage_percent, e.computing_percent)) for e in control_errors(table)],
    )


def elements(table: Technology) -> str:
    """Processing elements."""
    return _table(
        ["left out", "found", "area", "leakage", "energy"],
        [(e.name, e.way, (e.area_percent, e.leakage_percent, e.energy_percent)) for e in element_errors(table)],
    )


def _table(heads: Sequence[str], errors: Iterable[tuple[str, str, tuple[float, ...]]]) -> str:
    rows = [list(heads), ["---", "---", *["---:"] * (len(heads) - 2)]]
    rows += [[name, way, *(f"{value:+.1f}" for value in figures)] for name, way, figures in errors]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


if __name__ == "__main__":
    asked = load_technology(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_TECHNOLOGY)
    print("\n".join(make(asked) for make in (neurons, controls, elements)))
