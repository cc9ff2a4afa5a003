"""Put precisions into the shipped technology table: a neuron of each, and the control around it.

Usage: python scripts/characterize_precisions.py LIBERTY PRECISION... [slow=LIBERTY fast=LIBERTY]
Synthesizes as `fewbits characterize` does, on the library that the table is of, and writes the entries, their compiled
netlists and what they were made from; then, where libraries of corners are given, their figures there. Everything else
in the table stays. Can be run again.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from fewbits.hardware.characterization.corners import CornerFiles, characterize_corners
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS, TOGGLES_PER_CYCLE
from fewbits.hardware.characterization.neuron_options import build_neuron
from fewbits.hardware.characterization.precisions import Assumptions, make_control, make_neuron
from fewbits.hardware.energy.compiled_netlist import compiled_netlist_path
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.library.check import complete
from fewbits.hardware.process.library.liberty_reader import read_libraries
from fewbits.hardware.process.technology import load_technology

TABLE = Path(__file__).resolve().parents[1] / "src" / "fewbits" / "hardware" / "process" / "tables" / "ihp-sg13g2.json"


def main() -> None:
    """Add one precision after another; each is in the table before the next begins."""
    library = complete(read_libraries([Path(sys.argv[1])])).library
    table = load_technology(TABLE)
    if library.sha256 != table.provenance["liberty_sha256"]:
        raise SystemExit(f"{sys.argv[1]} is not the library that {TABLE.name} was made of")
    given = Assumptions(
        Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load), table.target_clock_mhz, TOGGLES_PER_CYCLE
    )
    pickled = pickle.dumps(library)
    precisions = [one for one in sys.argv[2:] if "=" not in one]
    for precision in precisions:
        made = make_neuron(print, pickled, [build_neuron(precision)], given)
        table = made.into(load_technology(TABLE))
        table = make_control(print, pickled, made.neuron, None, given).into(table)
        made.netlist.save(compiled_netlist_path(TABLE, made.neuron.precision))
        table.save(TABLE)
    corners = dict(one.split("=", 1) for one in sys.argv[2:] if "=" in one)
    if corners:
        files = {name: CornerFiles((Path(path),)) for name, path in corners.items()}
        characterize_corners(TABLE, Path(sys.argv[1]), files, precisions, progress=print)


if __name__ == "__main__":
    main()
