"""Add neurons of fixed8 with other multipliers to the shipped technology table; figures that are there stay.

Usage: python scripts/characterize_multipliers.py LIBERTY SRAM [MULTIPLIER ...]
LIBERTY, SRAM: as of `fewbits characterize`, those that the table was made from (docs/results.md). MULTIPLIER: those of
MULTIPLIERS if none. Run again, it makes nothing anew. The control around the neurons is that of fixed8: their ports,
widths and latencies are the same.
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

PRECISION = "fixed8"

MULTIPLIERS = (
    *("array", "truncated-4", "truncated-6", "truncated-8"),
    *("broken-array-6-2", "perforated-2", "mitchell"),
)
"""The exact array, and of each approximation what saves little, some or much."""

TABLE = Path(technology.__file__).parent / "tables" / f"{technology.DEFAULT_TECHNOLOGY}.json"


def add(liberty: Path, sram: Path, multiplier: str) -> str:
    """Add one multiplier's neuron; returns its name."""
    name = DatapathKey(parse_precision(PRECISION), multiplier).name
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / TABLE.name
        shutil.copy(TABLE, copy)
        shutil.copytree(TABLE.with_suffix(""), copy.with_suffix(""))
        made = characterize(
            liberty, sram, [PRECISION], copy, multiplier=multiplier, with_control=False,
            progress=lambda line: None if "Executing" in line else print(line, file=sys.stderr, flush=True),
        )  # fmt: skip
        shipped = load_technology(TABLE)
        own, usual = made.datapaths[name], shipped.datapaths[PRECISION]
        latencies = [(one.accumulator_bits, one.pipeline_stages, one.accumulate_cycles) for one in (own, usual)]
        if latencies[0] != latencies[1]:
            raise SystemExit(f"{name} has other latencies than {PRECISION}: its control is to be made, too")
        key = f"rtlil_sha256 {name}"
        replace(
            shipped,
            datapaths={**shipped.datapaths, name: replace(own, control=usual.control)},
            provenance={**shipped.provenance, key: made.provenance[key]},
        ).save(TABLE)
        shutil.copy(compiled_netlist_path(copy, name), compiled_netlist_path(TABLE, name))
    return name


def main() -> None:
    """Add those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("liberty", type=Path)
    parser.add_argument("sram", type=Path)
    parser.add_argument("multipliers", nargs="*")
    given = parser.parse_args()
    for multiplier in given.multipliers or MULTIPLIERS:
        print(add(given.liberty, given.sram, multiplier))


if __name__ == "__main__":
    main()
