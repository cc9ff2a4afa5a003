"""Put the composable neuron into the shipped technology table: one circuit, an entry for each of its two modes.

Usage: python scripts/characterize_composable.py LIBERTY [CORNER=LIBERTY...]
Synthesizes the neuron as `fewbits characterize --multiplier composable` does, on the library that the table is of, and
writes the entries `fixed8 composable` and `fixed4 composable`, their compiled netlists and what they were made from.
Everything else in the table stays. Can be run again.

The control around such neurons is synthesized, too, and runs LeNet's program in either mode. With the libraries of the
table's corners, all of it has its figures there.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
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

MODES = ("fixed8", "fixed4")


def main() -> None:
    """Rewrite the table's two entries."""
    library = complete(read_libraries([Path(sys.argv[1])])).library
    table = load_technology(TABLE)
    if library.sha256 != table.provenance["liberty_sha256"]:
        raise SystemExit(f"{sys.argv[1]} is not the library that {TABLE.name} was made of")
    given = Assumptions(
        Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load), table.target_clock_mhz, TOGGLES_PER_CYCLE
    )
    for mode in MODES:
        made = make_neuron(print, pickle.dumps(library), [build_neuron(mode, "composable")], given)
        table = made.into(table)
        name = made.neuron.precision
        table = make_control(print, pickle.dumps(library), made.neuron, None, given).into(table)
        made.netlist.save(compiled_netlist_path(TABLE, name))
    replace(table, corners={}).save(TABLE)
    given_corners = dict(argument.split("=", 1) for argument in sys.argv[2:])
    if given_corners:
        files = {name: CornerFiles((Path(path),)) for name, path in given_corners.items()}
        characterize_corners(TABLE, Path(sys.argv[1]), files, MODES, progress=print, multiplier="composable")


if __name__ == "__main__":
    main()
