"""Put what converts numbers between formats into the shipped technology table, and into its corners.

Usage: python scripts/characterize_conversions.py LIBERTY CORNER=LIBERTY...
Synthesizes each circuit on the library that the table is of, and finds its figures with the corners' libraries, too.
Everything else in the table stays; so does what is there of the same circuits. Can be stopped and run again.

The sums of the shipped datapaths have 18 widths. Circuits are made for those of the commonest ones: a conversion of
another width, or to another format, is priced as the smallest circuit here that takes and gives all of its numbers.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

from fewbits.formats import parse_format
from fewbits.formats.floating import FLOAT32
from fewbits.hardware.characterization.conversions import with_conversions
from fewbits.hardware.datapath.conversions import Conversion, Integers, Source, decodes
from fewbits.hardware.process.corners_file import corners_path, save_corners
from fewbits.hardware.process.library.check import complete
from fewbits.hardware.process.library.liberty_reader import read_libraries
from fewbits.hardware.process.technology import Technology, load_technology

TABLE = Path(__file__).resolve().parents[1] / "src" / "fewbits" / "hardware" / "process" / "tables" / "ihp-sg13g2.json"

SUMS: tuple[Source, ...] = (
    Integers(31),  # of fixed8
    FLOAT32,  # of all floats
    Integers(23),  # of fixed4
    Integers(47),  # of fixed16
    Integers(62),  # of pow2-6/fixed16
    Integers(17),  # of binary
    Integers(39),  # of fixed12, fixed8/fixed16
    Integers(79),  # of fixed32
)
INTEGERS = ("fixed8", "fixed4", "fixed16", "ternary", "binary", "fixed32", "pow2-4", "pow2-8")
FLOATS = ("fp8-e4m3", "bfloat16", "float16", "float32", "fp8-e5m2", "float-e2m1")
POWERS = (("pow2-4", "fixed8"), ("pow2-4", "fixed16"), ("pow2-5", "fixed16"), ("pow2-6", "fixed32"))


def wanted() -> list[Conversion]:
    """What is shipped, the commonest first."""
    rounding = [Conversion(source, parse_format(name)) for source, name in product(SUMS, (*FLOATS, *INTEGERS))]
    decoding = [
        decodes(stored, wide)
        for stored, wide in permutations([parse_format(name) for name in (*FLOATS, "float-e3m2", "float-e2m3")], 2)
        if wide.holds(stored) and not wide.unpacks(stored)
    ]
    return [*rounding, *(decodes(parse_format(stored), parse_format(wide)) for stored, wide in POWERS), *decoding]


def main() -> None:
    """Rewrite the conversions of the table and of its corners, after each circuit."""
    table = load_technology(TABLE)
    library = complete(read_libraries([Path(sys.argv[1])])).library
    given = dict(argument.split("=", 1) for argument in sys.argv[2:])
    corners = {name: complete(read_libraries([Path(path)])).library for name, path in given.items()}
    for conversion in wanted():
        grown = with_conversions(table, [conversion], library, corners, print)
        if grown is not table:
            table = grown
            save(table)


def save(table: Technology) -> None:
    """The table and its corners, each in its file."""
    path = corners_path(TABLE)
    save_corners(table.corners, path, json.loads(path.read_text(encoding="utf-8"))["about"])
    replace(table, corners={}).save(TABLE)


if __name__ == "__main__":
    main()
