"""Write docs/accelerators.md: networks on machines of 256 multipliers each, at several precisions.

Usage: python scripts/accelerators_page.py [--check] [--workers N]
--check writes nothing: it prints the first line that differs, and the exit status is 1. A network, a precision or a
machine more is an entry more in the three lists below. It takes minutes, most of them the search for mappings.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from fewbits.hardware import Cost, accelerator_named, costs, load_technology
from fewbits.hardware.costing.limits import (
    BANDWIDTH,
    FILLING,
    IDLE_MULTIPLIERS,
    MULTIPLIERS,
    NO_PRODUCTS,
    SET_UP,
    STALLS,
)
from fewbits.hardware.dataflow.accelerator import ASSUMED_BANDWIDTH, ASSUMED_MEMORY

PAGE = Path(__file__).parents[1] / "docs" / "accelerators.md"

NETWORKS = ("lenet", "alex", "resnet8", "resnet18")
PRECISIONS = ("fixed8", "fixed4", "fp8-e4m3", "pow2-4/fixed8", "binary")
MULTIPLIERS_EACH = 256
CLOCK_MHZ = 250.0


@dataclass(frozen=True)
class Machine:
    """An accelerator of the page."""

    preset: str
    how: str
    """How it comes to MULTIPLIERS_EACH multipliers."""

    sizes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """That differ from the preset's."""

    axes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Sizes of an array's axes that differ, by name."""

    @property
    def accelerator(self) -> Any:
        """With the page's clock and bandwidth."""
        made: Any = accelerator_named(self.preset)
        changed = {"clock_mhz": CLOCK_MHZ, "bandwidth": ASSUMED_BANDWIDTH, **self.sizes}
        if self.axes:
            changed["space"] = tuple(
                replace(axis, size=self.axes.get(axis.name, axis.size)) for axis in changed.get("space", made.space)
            )
        return replace(made, **changed)


MACHINES = {
    "diannao": Machine("diannao-16x16", "16 neurons of 16 synapses, as it is"),
}
"""By the name of their columns."""

LETTERS = {
    MULTIPLIERS: "M",
    IDLE_MULTIPLIERS: "I",
    BANDWIDTH: "B",
    FILLING: "F",
    STALLS: "S",
    SET_UP: "U",
    NO_PRODUCTS: "R",
}
"""Of what limits a layer. A dataflow's own words stand as they are."""

MEANINGS = {
    "M": "the multipliers: most of them do needed products in most cycles",
    "I": "idle multipliers: the layer's sizes do not fill the array",
    "B": f"the bandwidth to the memory off the chip, {ASSUMED_BANDWIDTH:g} GB/s",
    "F": "filling and draining the array or the pipeline",
    "S": "stalls inside the chip",
    "U": "set-up of the layer",
    "R": "reading values: a layer without products",
}

Found = dict[tuple[str, str, str], Cost]
"""By network, precision and machine."""


def evaluated(workers: int) -> tuple[Found, list[str]]:
    """All costs, and a line for each point that has none."""
    technology = load_technology()
    machines = {name: machine.accelerator for name, machine in MACHINES.items()}
    found: Found = {}
    refused: list[str] = []
    for network in NETWORKS:
        points = costs(network, PRECISIONS, list(machines.values()), technology=technology, workers=workers)
        names = [(precision, name) for name in machines for precision in PRECISIONS]
        for (precision, name), point in zip(names, points, strict=True):
            if point.cost is None:
                refused.append(f"{network} at {precision} on {name}: {point.refusal}")
            else:
                found[network, precision, name] = point.cost
        print(network, file=sys.stderr, flush=True)
    return found, refused


def page(found: Found, refused: Sequence[str]) -> str:
    """The page's text."""
    lines = [*_head(found), *_reading(found)]
    for network in NETWORKS:
        lines += ["", f"## {network}", "", *_figures(network, found)]
        for precision in PRECISIONS:
            lines += ["", *_limits(network, precision, found)]
    if refused:
        lines += ["", "## Not computed", "", *(f"- {line}" for line in refused)]
    lines += ["", "## What the figures leave out", "", *_notes(found)]
    return "\n".join(lines) + "\n"


def _head(found: Found) -> Iterator[str]:
    technology = next(iter(found.values())).technology
    yield "# Accelerators beside one another"
    yield ""
    yield "<!-- Made by scripts/accelerators_page.py: change its lists, then run it. -->"
    yield ""
    yield (
        f"{len(NETWORKS)} networks on {len(MACHINES)} machines of {MULTIPLIERS_EACH} multipliers each, at "
        f"{len(PRECISIONS)} precisions: `python scripts/accelerators_page.py` makes this page."
    )
    yield ""
    yield (
        f"All figures are of one image, on {technology}, at {CLOCK_MHZ:g} MHz where the machine keeps that, with a "
        f"memory of {ASSUMED_BANDWIDTH:g} GB/s ({ASSUMED_MEMORY}), at the table's assumed switching activity. "
        "Energy and area are the chip's: what the memory beyond it takes is in neither. A product is two operations. "
        "Memories keep their presets' sizes, so that machines differ in them: areas say how much."
    )
    yield ""
    yield "| machine | preset | multipliers | how |"
    yield "| --- | --- | --- | --- |"
    for name, machine in MACHINES.items():
        elements = next(cost.products_per_cycle for (_, _, at), cost in found.items() if at == name)
        yield f"| {name} | `{machine.preset}` | {elements} | {machine.how} |"


def _reading(found: Found) -> Iterator[str]:
    """Sentences computed from the figures."""
    yield ""
    yield "## What it shows"
    yield ""
    for network in NETWORKS:
        yield f"- **{network}.** " + " ".join(_of_network(network, found))
    yield (
        "- What is not shown: the machines' own memories, clocks and technologies. A machine that was built with more "
        "memory, or at a higher clock, is not told to be worse by this page; only its way to run the loops is."
    )


def _of_network(network: str, found: Found) -> Iterator[str]:
    for precision in PRECISIONS[:1]:
        at = {name: found[network, precision, name] for name in MACHINES if (network, precision, name) in found}
        fast = sorted(at, key=lambda name: at[name].time_us)
        frugal = sorted(at, key=lambda name: at[name].energy_uj)
        yield (
            f"At {precision} {fast[0]} takes the least time ({at[fast[0]].time_us:,.4g} µs), {fast[-1]} the most "
            f"({at[fast[-1]].time_us / at[fast[0]].time_us:.3g} times as much); {frugal[0]} takes the least energy "
            f"({at[frugal[0]].energy_uj:,.4g} µJ), {frugal[-1]} the most "
            f"({at[frugal[-1]].energy_uj / at[frugal[0]].energy_uj:.3g} times)."
        )
    base = PRECISIONS[0]
    for precision in PRECISIONS[1:]:
        ratios = {
            name: found[network, precision, name].energy_uj / found[network, base, name].energy_uj
            for name in MACHINES
            if (network, precision, name) in found and (network, base, name) in found
        }
        if ratios:
            low, high = min(ratios, key=lambda one: ratios[one]), max(ratios, key=lambda one: ratios[one])
            yield f"{precision} takes {ratios[low]:.2f} ({low}) to {ratios[high]:.2f} ({high}) of {base}'s energy."


def _figures(network: str, found: Found) -> Iterator[str]:
    figures = ("cycles", "MHz", "time, µs", "energy, µJ", "area, mm²", "GOPS", "GOPS/W", "GOPS/mm²")
    yield f"| machine | precision | {' | '.join(figures)} | cycles by limit |"
    yield "| --- | --- |" + " --: |" * len(figures) + " --- |"
    for name in MACHINES:
        for precision in PRECISIONS:
            cost = found.get((network, precision, name))
            if cost is None:
                yield f"| {name} | {precision} |" + " - |" * 9
                continue
            figures = (cost.time_us, cost.energy_uj, cost.area_mm2, cost.gops, cost.gops_per_w, cost.gops_per_mm2)
            yield (
                f"| {name} | {precision} | {cost.cycles:,} | {cost.clock_mhz:.4g} | "
                + " | ".join(f"{figure:,.4g}" for figure in figures)
                + f" | {_shares(cost)} |"
            )


def _shares(cost: Cost) -> str:
    """Cycles of the layers that each thing limits, in percent of all."""
    cycles: dict[str, int] = defaultdict(int)
    for layer in cost.breakdown.layers:
        cycles[_letter(layer.limit)] += layer.cycles
    ranked = sorted(cycles.items(), key=lambda one: -one[1])
    return ", ".join(f"{letter} {100 * count / cost.cycles:.0f} %" for letter, count in ranked)


def _letter(limit: str) -> str:
    return LETTERS.get(limit, limit)


def _limits(network: str, precision: str, found: Found) -> Iterator[str]:
    """A layer a row, a machine a column: what limits it, and the part of the multipliers' products that it needs."""
    at = {name: found[network, precision, name] for name in MACHINES if (network, precision, name) in found}
    if not at:
        return
    heading = f"{network} at {precision}: what limits each layer, and how busy its multipliers are"
    yield f"<details><summary>{heading}</summary>"
    yield ""
    used = {_letter(layer.limit) for cost in at.values() for layer in cost.breakdown.layers}
    yield "; ".join(f"{letter}: {meaning}" for letter, meaning in MEANINGS.items() if letter in used) + "."
    yield ""
    yield "| layer |" + "".join(f" {name} |" for name in at)
    yield "| --- |" + " --- |" * len(at)
    for rows in zip(*(cost.breakdown.layers for cost in at.values()), strict=True):
        cells = (
            f" {_letter(layer.limit)}" + (f" {100 * layer.utilization:.0f} %" if layer.products else "") + " |"
            for layer in rows
        )
        yield f"| {rows[0].name} |" + "".join(cells)
    yield ""
    yield "</details>"


def _notes(found: Found) -> Iterator[str]:
    """Each note of a cost once, with the machines that it is of."""
    machines: dict[str, list[str]] = defaultdict(list)
    for (_, _, name), cost in found.items():
        for note in cost.notes:
            if name not in machines[note]:
                machines[note].append(name)
    for note, names in machines.items():
        yield f"- {', '.join(names)}: {note}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing, tell whether the page is up to date")
    parser.add_argument("--workers", type=int, default=2, help="processes; 2 if not given")
    given = parser.parse_args(arguments)
    text = page(*evaluated(given.workers))
    if not given.check:
        PAGE.write_text(text, encoding="utf-8")
        print(PAGE)
        return 0
    kept = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    pairs = zip_longest(kept.splitlines(), text.splitlines(), fillvalue="(end)")
    for number, (old, new) in enumerate(pairs, start=1):
        if old != new:
            print(f"line {number}:\n  kept: {old}\n  made: {new}")
            return 1
    print("up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
