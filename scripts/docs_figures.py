"""Make the figures in README.md and in docs/ (results, search) that follow from stored results and the shipped table.

Usage: python scripts/docs_figures.py
A block that is made stands between `<!-- made by scripts/docs_figures.py: NAME -->` and `<!-- end -->`. Accuracies and
the energies of the networks' own operands come from docs/three-seeds.json (`fewbits run docs/three-seeds.toml --out D`
and `python scripts/store_reproduction.py docs/three-seeds.toml D`), all else from the technology table of the day.
tests/test_documented_figures.py compares each block and picture with what this script gives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import search_families
from reproduction_tables import results_of

from fewbits.hardware import load_technology
from fewbits.hardware.datapath.control_growth import control_errors
from fewbits.hardware.datapath.estimates import element_errors
from fewbits.hardware.datapath.interpolation import interpolation_errors
from fewbits.hardware.datapath.sizes import SizeError, size_errors
from fewbits.hardware.process.datapath_key import DEFAULT_SYNAPSES
from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY
from fewbits.report import group_runs, published
from fewbits.report.accuracy_chart import accuracy_energy_chart
from fewbits.report.chart import Chart
from fewbits.report.rows import Group
from fewbits.report.table import markdown
from fewbits.study import RunResult

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "docs" / "three-seeds.json"
CHART = ROOT / "docs" / "figures" / "accuracy-energy.png"
FAMILIES_CHART = ROOT / "docs" / "figures" / "search-families.png"
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md", ROOT / "docs" / "search.md")

_BLOCK = re.compile(r"(<!-- made by scripts/docs_figures\.py: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def stored() -> list[dict[str, Any]]:
    """The stored runs, as scripts/store_reproduction.py keeps them."""
    return json.loads(STORED.read_text())["runs"]


@cache
def _results() -> tuple[RunResult, ...]:
    return tuple(results_of(stored()))


def _group(*seeds: int) -> Group:
    (group,) = group_runs([run for run in _results() if run.seed in seeds])
    return group


def default_study() -> str:
    """What `fewbits run default` prints: seed 0 of the stored runs."""
    return markdown([_group(0)]).split("\n", 2)[2]


def three_seeds() -> str:
    """The table of all seeds."""
    return markdown([_group(0, 1, 2)]).split("\n", 2)[2]


def default_chart() -> Chart:
    """The chart of the default study."""
    return accuracy_energy_chart(_group(0), "accuracy-energy")


def savings() -> str:
    """Area and power saved against float32, the published figures beside them."""
    found = published.compare([_group(0)])
    assert found is not None
    lines = [
        [pair.precision, *(f"{value:.1f}" for value in figures)]
        for pair in found.pairs
        for figures in [
            (pair.area_percent, pair.published_area_percent, pair.power_percent, pair.published_power_percent)
        ]
    ]
    return _table(["precision", "area", "area, published", "power", "power, published"], lines)


def neurons() -> str:
    """Each precision's neuron in the shipped table."""
    lines: list[list[str]] = []
    for name, one in load_technology(DEFAULT_TECHNOLOGY).datapaths.items():
        if one.synapses != DEFAULT_SYNAPSES:
            continue
        parts = [one.components[part].area_um2 for part in ("multipliers", "adder_tree", "registers", "rest")]
        figures = [f"{area:.0f}" for area in (sum(parts), *parts)]
        widths = [str(one.accumulator_bits), str(one.pipeline_stages)]
        lines.append([name, *figures, f"{one.longest_path_ns:.2f}", *widths, one.multiplier])
    heads = ["precision", "area", "multipliers", "adder tree", "registers", "rest", "longest path"]
    return _table([*heads, "accumulator bits", "stages"], lines, last="multiplier")


def controls() -> str:
    """Each precision's control in the shipped table, where it was synthesized."""
    table = load_technology(DEFAULT_TECHNOLOGY)
    lines = [
        [name, f"{one.area_um2:.0f}", str(one.cells), str(one.registers), f"{one.longest_path_ns:.2f}"]
        + [f"{energy:.0f}" for energy in (one.computing_pj, one.pooling_pj, one.clock_tree_pj)]
        for name, datapath in table.datapaths.items()
        if (one := datapath.control) is not None and datapath.synapses == DEFAULT_SYNAPSES
        if f"control_estimate {name}" not in table.provenance
    ]
    heads = ["precision", "area", "cells", "flip-flops", "longest path", "pJ a cycle, computing", "pooling"]
    return _table([*heads, "clock tree, estimated"], lines)


def interpolation() -> str:
    """Each characterized figure beside that interpolated without it."""
    errors = interpolation_errors(load_technology(DEFAULT_TECHNOLOGY))
    lines = [
        [one.precision, *(f"{value:+.1f}" for value in (one.area_percent, one.leakage_percent, one.energy_percent))]
        for one in errors
    ]
    return _table(["left out", "area", "leakage", "energy"], lines)


def sizes() -> str:
    """The neurons of other sizes, one left out at a time: the largest error of each precision and way."""
    found: dict[tuple[str, str], list[SizeError]] = {}
    for error in size_errors(load_technology(DEFAULT_TECHNOLOGY)):
        precision, _, _ = error.name.partition(" ")
        way = "between its neighbours" if error.way.startswith("between") else error.way
        found.setdefault((precision, way), []).append(error)
    lines = [[precision, way, str(len(errors)), *_largest(errors)] for (precision, way), errors in found.items()]
    return _table(["precision", "found", "left out", "area", "leakage", "energy"], lines)


def _largest(errors: list[SizeError]) -> list[str]:
    """Of each figure, the error that is furthest from 0."""
    figures = zip(*((one.area_percent, one.leakage_percent, one.energy_percent) for one in errors), strict=True)
    return [f"{max(each, key=abs):+.1f}" for each in figures]


def control_sizes() -> str:
    """The control around neurons of other synapses, left out."""
    lines = [
        [one.name, one.way, f"{one.area_percent:+.1f}", f"{one.leakage_percent:+.1f}", f"{one.computing_percent:+.1f}"]
        for one in control_errors(load_technology(DEFAULT_TECHNOLOGY))
    ]
    return _table(["left out", "found", "area", "leakage", "energy, computing"], lines)


def elements() -> str:
    """Each processing element in the shipped table, and how far that estimated from its neuron is from it."""
    table = load_technology(DEFAULT_TECHNOLOGY)
    lines: list[list[str]] = []
    for error in element_errors(table):
        one = table.datapath(error.name)
        areas = [one.components[part].area_um2 for part in ("multipliers", "registers", "rest")]
        energy = sum(part.energy_pj for part in one.components.values())
        figures = [*(f"{area:.0f}" for area in (sum(areas), *areas)), f"{energy:.2f}", f"{one.longest_path_ns:.2f}"]
        errors = [f"{value:+.0f}" for value in (error.area_percent, error.energy_percent)]
        lines.append([error.name.removesuffix(" processing element"), *figures, *errors])
    heads = ["precision", "area", "multiplier", "registers", "addition", "pJ a cycle", "longest path"]
    return _table([*heads, "estimated area, %", "energy, %"], lines)


def families() -> str:
    """What the cheapest assignment by energy, and by bit operations, takes; by what it may lose."""
    heads = ["points below float", *("by energy", "%", "µJ"), *("by bit operations", "%", "µJ"), "times the energy"]
    return _table(heads, search_families.choices()) + "\n" + search_families.summary() + "\n"


def _table(heads: list[str], lines: list[list[str]], last: str | None = None) -> str:
    """A Markdown table: the first column is text, as is one called `last`; the others are numbers."""
    rule = ["---", *["---:"] * (len(heads) - 1), *["---"] * (last is not None)]
    rows = [[*heads, *([last] if last else [])], rule, *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


BLOCKS: dict[str, Callable[[], str]] = {
    "default-study": default_study,
    "three-seeds": three_seeds,
    "savings": savings,
    "neurons": neurons,
    "controls": controls,
    "interpolation": interpolation,
    "sizes": sizes,
    "control-sizes": control_sizes,
    "elements": elements,
    "families": families,
}


def remade(text: str) -> str:
    """A page with each block made anew. Raises KeyError for a block that nothing makes."""
    return _BLOCK.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[3], text)


def main() -> None:
    """Write the pages and the charts."""
    for page in PAGES:
        page.write_text(remade(page.read_text()))
    CHART.write_bytes(default_chart().png())
    FAMILIES_CHART.write_bytes(search_families.chart().png())


if __name__ == "__main__":
    main()
