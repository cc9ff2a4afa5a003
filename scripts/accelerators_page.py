"""Write docs/accelerators.md: networks on machines of 256 multipliers each, at several precisions.

Usage: python scripts/accelerators_page.py [--check] [--workers N]
--check writes nothing: it prints the first line that differs, and the exit status is 1. A network, a precision or a
machine more is an entry more in the three lists below. It takes minutes, most of them the search for mappings.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import zip_longest
from pathlib import Path
from typing import Any

import fewbits
from fewbits.hardware import (
    AnyAccelerator,
    Cost,
    LayerShape,
    LoopAccelerator,
    Workload,
    accelerator_from,
    accelerator_named,
    costs,
    load_technology,
)
from fewbits.hardware.costing.breakdown import DRAM
from fewbits.hardware.costing.chip_parts import CONTROL
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
from fewbits.report.chart import Chart
from fewbits.report.roofline import cost_roofline
from fewbits.report.roofline_chart import costs_roofline_chart

PAGE = Path(__file__).parents[1] / "docs" / "accelerators.md"
PRESETS = files("fewbits.hardware.dataflow") / "presets"

NETWORKS = ("lenet", "alex", "resnet8", "resnet18")
PRECISIONS = ("fixed8", "fixed4", "fp8-e4m3", "pow2-4/fixed8", "binary")
MULTIPLIERS_EACH = 256
CLOCK_MHZ = 250.0
OBJECTIVE = "energy-cycles"
"""What mappings are chosen by, where there is a choice: the product of energy and cycles."""


@dataclass(frozen=True)
class Machine:
    """An accelerator of the page: a preset with other sizes, at the page's clock, bandwidth and objective."""

    preset: str
    how: str
    """How it comes to MULTIPLIERS_EACH multipliers."""

    axes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Sizes of an array's axes that differ, by name; a loop that fills such an axis fills it at its new size."""

    memories: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Keys of memories that follow the axes' sizes, by the memory's name."""

    @property
    def accelerator(self) -> AnyAccelerator:
        """As `cost` takes it."""
        made = accelerator_named(self.preset)
        if not isinstance(made, LoopAccelerator):
            return accelerator_from({"preset": self.preset, "clock_mhz": CLOCK_MHZ, "bandwidth": ASSUMED_BANDWIDTH})
        table = tomllib.loads((PRESETS / f"{self.preset}.toml").read_text("utf-8"))
        space = [self._axis(axis) for axis in table.pop("space")]
        memory = [{**one, **self.memories.get(one["name"], {})} for one in table.pop("memory")]
        changed = {"clock_mhz": CLOCK_MHZ, "bandwidth": ASSUMED_BANDWIDTH, "objective": OBJECTIVE}
        return accelerator_from({"dataflow": "loops", **table, **changed, "space": space, "memory": memory})

    def _axis(self, axis: Mapping[str, Any]) -> dict[str, Any]:
        size = self.axes.get(axis["name"], axis["size"])
        unroll = {loop: size if far == axis["size"] else far for loop, far in axis.get("unroll", {}).items()}
        return {**axis, "size": size, **({"unroll": unroll} if unroll else {})}


MACHINES = {
    "diannao": Machine("diannao-16x16", "16 neurons of 16 synapses, as it is"),
    "systolic-ws": Machine("systolic-ws", "16 x 16 elements, as it is"),
    "systolic-os": Machine("systolic-os", "16 x 16 elements, as it is"),
    "systolic-is": Machine("systolic-is", "16 x 16 elements, as it is"),
    "eyeriss": Machine("eyeriss", "16 x 16 elements for 12 x 14", axes={"rows": 16, "columns": 16}),
    "nvdla-like": Machine("nvdla-like", "8 cells of 32 channels, as it is"),
    "tpu-like": Machine("tpu-like", "16 x 16 elements for 32 x 32", axes={"outputs": 16, "inputs": 16}),
    "fpga15": Machine("fpga15", "Tm = 32 outputs x Tn = 8 inputs for 64 x 7", axes={"outputs": 32, "inputs": 8}),
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
    "the lanes beside the array": "R",
}
"""Of what limits a layer. A dataflow's own words stand as they are."""

MEANINGS = {
    "M": "the multipliers: needed products take the largest share of the cycles",
    "I": "idle multipliers: the layer's sizes do not fill the array",
    "B": f"the bandwidth to the memory off the chip, {ASSUMED_BANDWIDTH:g} GB/s",
    "F": "filling and draining the array or the pipeline",
    "S": "stalls inside the chip",
    "U": "set-up of the layer",
    "R": "reading values, or lanes beside the array: a layer without products",
}

Found = dict[tuple[str, str, str], Cost]
"""By network, precision and machine."""


def evaluated(workers: int) -> tuple[Found, list[str]]:
    """All costs, and a line for each precision and machine that have none, with the networks."""
    technology = load_technology()
    machines = {name: machine.accelerator for name, machine in MACHINES.items()}
    found: Found = {}
    refused: dict[tuple[str, str], list[str]] = defaultdict(list)
    for network in NETWORKS:
        points = costs(network, PRECISIONS, list(machines.values()), technology=technology, workers=workers)
        names = [(precision, name) for name in machines for precision in PRECISIONS]
        for (precision, name), point in zip(names, points, strict=True):
            if point.cost is None:
                refused[f"{precision} on {name}", point.refusal].append(network)
            else:
                found[network, precision, name] = point.cost
        print(network, file=sys.stderr, flush=True)
    return found, [f"{at} ({', '.join(networks)}): {why}" for (at, why), networks in refused.items()]


def page(found: Found, refused: Sequence[str]) -> str:
    """The page's text."""
    lines = [*_head(found), *_reading(found)]
    for network in NETWORKS:
        lines += ["", f"## {network}", "", *_figures(network, found)]
        for precision in PRECISIONS:
            lines += ["", *_limits(network, precision, found)]
    lines += ["", *_rooflines(found)]
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
        f"With DRAM: {DRAM}. Where a machine leaves loops open, their order and tiling are those of the least product "
        "of energy and cycles that the mapper finds."
    )
    yield ""
    yield "| machine | preset | multipliers | how |"
    yield "| --- | --- | --- | --- |"
    for name, machine in MACHINES.items():
        elements = next(cost.products_per_cycle for (_, _, at), cost in found.items() if at == name)
        yield f"| {name} | `{machine.preset}` | {elements} | {machine.how} |"


def _reading(found: Found) -> Iterator[str]:
    """Sentences computed from the figures, and how far they carry."""
    yield ""
    yield "## What it shows"
    yield ""
    for network in NETWORKS:
        yield f"- **{network}.** {' '.join(_of_network(network, found))}"
    shares = {name: memory_share(found[NETWORKS[-1], PRECISIONS[0], name]) for name in _there(found, NETWORKS[-1])}
    most, least = max(shares, key=lambda one: shares[one]), min(shares, key=lambda one: shares[one])
    yield (
        f"- **What a format saves depends on the machine.** On {NETWORKS[-1]} at {PRECISIONS[0]} the memories of "
        f"{most} take {100 * shares[most]:.0f} % of its energy, those of {least} {100 * shares[least]:.0f} %. Narrower "
        "formats save most where multipliers, or rows that hold a value for each multiplier, take the energy, and "
        "least where many small memories do, which take as much whatever they hold."
    )
    controlled = [
        name for name, cost in _at(found, NETWORKS[0], PRECISIONS[0]).items() if cost.breakdown.area_mm2[CONTROL]
    ]
    others = [name for name in _there(found, NETWORKS[0]) if name not in controlled]
    part = ", ".join(
        f"{name} {100 * cost.breakdown.energy_uj[CONTROL] / cost.energy_uj:.0f} %"
        for name, cost in _at(found, NETWORKS[0], PRECISIONS[0]).items()
        if name in controlled
    )
    yield (
        f"- **What is compared.** The figures of {' and '.join(controlled)} hold a synthesized control (of the energy "
        f"of {NETWORKS[0]} at {PRECISIONS[0]}: {part}); no control of {', '.join(others)} is counted, and the logic of "
        "an array is an estimate where the notes below say so. Differences of some tens of percent tell nothing."
    )
    yield (
        "- **What is not compared.** The machines as they were built: their memories stay as large as in the sources, "
        "most of them for other networks and other technologies, and their clocks are replaced by one. Large memories "
        "cost area and energy here, and save transfers, which the chip's energy does not hold: read it beside the "
        "column with DRAM."
    )


def _at(found: Found, network: str, precision: str) -> dict[str, Cost]:
    """By machine, where there is a cost."""
    return {name: found[network, precision, name] for name in MACHINES if (network, precision, name) in found}


def _there(found: Found, network: str) -> list[str]:
    """Machines that compute a network at the first precision."""
    return list(_at(found, network, PRECISIONS[0]))


def _of_network(network: str, found: Found) -> Iterator[str]:
    base = PRECISIONS[0]
    at = _at(found, network, base)
    kinds: dict[str, dict[str, float]] = {
        "time": {name: cost.time_us for name, cost in at.items()},
        "energy on the chip": {name: cost.energy_uj for name, cost in at.items()},
        "energy with DRAM, low end": {name: cost.energy_with_off_chip_uj[0] for name, cost in at.items()},
    }
    ends = []
    for what, values in kinds.items():
        low, high = min(values, key=lambda one: values[one]), max(values, key=lambda one: values[one])
        ends.append(f"{what} is least on {low} and {values[high] / values[low]:.3g} times as much on {high}")
    yield f"At {base} {', '.join(ends)}."
    for precision in PRECISIONS[1:]:
        ratios = {
            name: cost.energy_uj / at[name].energy_uj
            for name, cost in _at(found, network, precision).items()
            if name in at
        }
        if ratios:
            low, high = min(ratios, key=lambda one: ratios[one]), max(ratios, key=lambda one: ratios[one])
            yield f"{precision} takes {ratios[low]:.2f} ({low}) to {ratios[high]:.2f} ({high}) of {base}'s energy."


def _figures(network: str, found: Found) -> Iterator[str]:
    figures = ("cycles", "MHz", "time, µs", "energy, µJ", "of it memories", "with DRAM, µJ", "area, mm²")
    figures += ("GOPS", "GOPS/W", "GOPS/mm²")
    yield f"| machine | precision | {' | '.join(figures)} | cycles by limit |"
    yield "| --- | --- |" + " --: |" * len(figures) + " --- |"
    for name in MACHINES:
        for precision in PRECISIONS:
            cost = found.get((network, precision, name))
            if cost is None:
                yield f"| {name} | {precision} |" + " - |" * 11
                continue
            cells = (
                *(f"{cost.cycles:,}", f"{cost.clock_mhz:.4g}", _figure(cost.time_us), _figure(cost.energy_uj)),
                f"{100 * memory_share(cost):.0f} %",
                " to ".join(_figure(one) for one in cost.energy_with_off_chip_uj),
                *(_figure(one) for one in (cost.area_mm2, cost.gops, cost.gops_per_w, cost.gops_per_mm2)),
            )
            yield f"| {name} | {precision} | {' | '.join(cells)} | {_shares(cost)} |"


def _figure(value: float) -> str:
    """Four digits, or all in front of the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def memory_share(cost: Cost) -> float:
    """The part of the chip's energy that its memories take."""
    return sum(memory.energy_uj for layer in cost.breakdown.layers for memory in layer.memories) / cost.energy_uj


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
    at = _at(found, network, precision)
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


FPGA15_LAYERS = (
    *((48, 3, 55, 11, 4), (128, 48, 27, 5, 1), (192, 256, 13, 3, 1), (192, 192, 13, 3, 1), (128, 192, 13, 3, 1)),
)
"""Of one of AlexNet's two halves: output and input channels, output size, kernel, stride. Zhang et al., FPGA 2015."""

ROOFLINES = {
    "roofline-fpga15.svg": "The accelerator of Zhang et al. (FPGA 2015) as published, <Tm, Tn> = <64, 7> in float32 at "
    "100 MHz, with the five convolutions of one of AlexNet's halves",
    "roofline-machines.svg": f"{NETWORKS[-1]} at {PRECISIONS[0]} on the machines of this page",
}
"""Charts in docs/figures, and what each is of."""


def roofline_charts(found: Found) -> dict[str, Chart]:
    """By file, as ROOFLINES."""
    layers = (
        LayerShape(
            f"conv{number}", "convolution", inputs, ((size - 1) * stride + kernel,) * 2, outputs, (size, size),
            (kernel, kernel), (stride, stride),
        )
        for number, (outputs, inputs, size, kernel, stride) in enumerate(FPGA15_LAYERS, start=1)
    )  # fmt: skip
    published = fewbits.cost(Workload(tuple(layers)), "float32", accelerator="fpga15")
    machines = _at(found, NETWORKS[-1], PRECISIONS[0])
    charts = (
        costs_roofline_chart("fpga15, AlexNet's convolutions", [cost_roofline("float32", published)], "fpga15"),
        costs_roofline_chart(
            f"{NETWORKS[-1]} at {PRECISIONS[0]}",
            [cost_roofline(name, one) for name, one in machines.items()],
            "machines",
        ),
    )
    return dict(zip(ROOFLINES, charts, strict=True))


def _rooflines(found: Found) -> Iterator[str]:
    yield "## Rooflines"
    yield ""
    yield (
        "As in figure 8 of Zhang et al.: operations for each byte that crosses the chip's border against operations a "
        "second, under the ceilings of multipliers and memory. `fewbits cost MODEL PRECISION --roofline FILE.svg` "
        "draws one."
    )
    for file, chart in roofline_charts(found).items():
        yield ""
        yield f"![{ROOFLINES[file]}](figures/{file})"
        yield ""
        yield f"{ROOFLINES[file]}. {chart.caption if 'fpga15' in file else ''}".strip()
        yield f"<!-- {file}: {chart.sha256} -->"


_LAYERS = re.compile(r"(?<!\w)'[\w.]+'(, '[\w.]+')*( and [0-9]+ more)?(?!\w)")
"""Names of layers in a note."""


def _notes(found: Found) -> Iterator[str]:
    """Each note of a cost once, with the machines that it is of; names of layers and precisions are left out."""
    machines: dict[str, list[str]] = defaultdict(list)
    for (_, precision, name), cost in found.items():
        for note in cost.notes:
            said = _LAYERS.sub("some layers", note).replace(f" of {precision}", " of each precision")
            if name not in machines[said]:
                machines[said].append(name)
    for note, names in machines.items():
        yield f"- {', '.join(names)}: {note}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing, tell whether the page is up to date")
    parser.add_argument("--workers", type=int, default=2, help="processes; 2 if not given")
    given = parser.parse_args(arguments)
    found, refused = evaluated(given.workers)
    text = page(found, refused)
    if not given.check:
        for file, chart in roofline_charts(found).items():
            (PAGE.parent / "figures" / file).write_bytes(chart.svg())
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
