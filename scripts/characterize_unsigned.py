"""Add datapaths of unsigned inputs to the shipped technology table; figures that are there stay.

Usage: python scripts/characterize_unsigned.py LIBERTY SRAM [PRECISION ...]
LIBERTY, SRAM: as of `fewbits characterize`, those that the table was made from (docs/results.md). PRECISION: those of
PRECISIONS if none. Of each a neuron of 16 synapses, the control around it, and a processing element. Run again, it
makes nothing anew.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from fewbits.formats import parse_precision
from fewbits.hardware import DatapathKey, load_technology
from fewbits.hardware.characterization.technology_table import characterize
from fewbits.hardware.energy.compiled_netlist import compiled_netlist_path
from fewbits.hardware.process import technology
from fewbits.hardware.process.datapath_key import Element

PRECISIONS = (
    *("fixed4/ufixed4", "fixed8/ufixed8", "fixed3/ufixed3", "fixed2/ufixed2"),
    *("ternary/ufixed8", "ternary/ufixed4", "pow2-4/ufixed4", "fixed4/ufixed8", "binary/ufixed2"),
)
"""Signed against unsigned at each narrow width, and weights that need no multiplier."""

ELEMENTS: tuple[Element, ...] = ("neuron", "processing-element")

TABLE = Path(technology.__file__).parent / "tables" / f"{technology.DEFAULT_TECHNOLOGY}.json"


def add(liberty: Path, sram: Path, precision: str, element: Element) -> str:
    """Add one datapath; returns its name."""
    name = DatapathKey(parse_precision(precision), element=element).name
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / TABLE.name
        shutil.copy(TABLE, copy)
        shutil.copytree(TABLE.with_suffix(""), copy.with_suffix(""))
        made = characterize(
            liberty, sram, [precision], copy, element=element,
            progress=lambda line: None if "Executing" in line else print(line, file=sys.stderr, flush=True),
        )  # fmt: skip
        shipped = load_technology(TABLE)
        kept = ("rtlil_sha256", "control_sha256")
        origins = {key: made.provenance[key] for key in (f"{one} {name}" for one in kept) if key in made.provenance}
        replace(
            shipped,
            datapaths={**shipped.datapaths, name: made.datapaths[name]},
            provenance={**shipped.provenance, **origins},
        ).save(TABLE)
        shutil.copy(compiled_netlist_path(copy, name), compiled_netlist_path(TABLE, name))
    return name


def main() -> None:
    """Add those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("liberty", type=Path)
    parser.add_argument("sram", type=Path)
    parser.add_argument("precisions", nargs="*")
    given = parser.parse_args()
    for element in ELEMENTS:
        for precision in given.precisions or PRECISIONS:
            print(add(given.liberty, given.sram, precision, element), flush=True)


if __name__ == "__main__":
    main()
