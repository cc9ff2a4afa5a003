"""Fill the tables of docs/machines.md in: the three ways to build a machine for two networks, and some converters.

Usage: python scripts/machines_page.py
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import fewbits as fb
from fewbits.formats import Assignment, parse_precision
from fewbits.hardware import Cost, load_technology, workload_of
from fewbits.hardware.costing.conversions import CONVERSIONS

PAGE = Path(__file__).parents[1] / "docs" / "machines.md"

LENET = {"conv1": "fixed8", "conv2": "fixed4", "fc1": "fixed4", "fc2": "fixed8"}
WAYS = ("one", "each", "composable")
SHOWN = (
    *("integer31 to fixed16", "integer31 to fp8-e4m3", "integer31 to bfloat16", "integer31 to float32"),
    *("float32 to fixed8", "float32 to fixed16", "float32 to fp8-e4m3", "float32 to bfloat16"),
    *("pow2-4 in fixed8", "fp8-e4m3 in bfloat16"),
)


def resnet() -> dict[str, str]:
    """ResNet-20: the first layer in bfloat16, the first stage and the last layer at fixed8, all else at fixed4."""
    names = [layer.name for layer in workload_of("resnet20").layers if layer.has_weights]
    wide = {name: "fixed8" for name in names if name.startswith("stage1") or name == "fc"}
    return {name: wide.get(name, "fixed4") for name in names} | {"conv": "bfloat16"}


def costs(model: str, layers: Mapping[str, str]) -> dict[str, Cost]:
    """By what builds the machine; fixed8 for all layers first."""
    chosen = Assignment("mixed", parse_precision("fixed8"), {one: parse_precision(at) for one, at in layers.items()})
    return {"fixed8 for all layers": fb.cost(model, "fixed8")} | {
        f"`{way}`": fb.cost(model, chosen, datapaths=way) for way in WAYS
    }


def machines(model: str, layers: Mapping[str, str]) -> str:
    """A table of a network's costs."""
    rows = [
        "| Datapaths | Energy, µJ | of it conversions | Area, mm² | of it conversions | Cycles |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in costs(model, layers).items():
        energy, area = (of.get(CONVERSIONS, 0.0) for of in (found.breakdown.energy_uj, found.breakdown.area_mm2))
        cells = (f"{found.energy_uj:.4g}", f"{energy:.2g}", f"{found.area_mm2:.4g}", f"{area:.2g}", f"{found.cycles:,}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def converters() -> str:
    """A table of some of the shipped circuits."""
    rows = ["| Conversion | Area, µm² | pJ a value | Longest path, ns | Cycles |", "|---|---|---|---|---|"]
    table = load_technology().conversions
    for name in SHOWN:
        one = table[name]
        rows.append(
            f"| {name} | {one.area_um2:,.0f} | {one.energy_pj:.2g} | {one.longest_path_ns:.2f} | {one.latency} |"
        )
    return "\n".join(rows)


def filled(text: str) -> str:
    """The page with today's figures, each table behind a comment that names it."""
    tables = {"lenet": machines("lenet", LENET), "resnet20": machines("resnet20", resnet()), "converters": converters()}
    for name, table in tables.items():
        text, count = re.subn(
            rf"(?m)(<!-- {name} -->\n)(?:\|.*\n)*", lambda found, table=table: f"{found[1]}{table}\n", text
        )
        if count != 1:
            raise SystemExit(f"{PAGE.name} has no one place for the table {name}")
    return text


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
