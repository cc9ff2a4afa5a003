"""Measure multipliers of fixed8 alone, on a cell library: area, energy, path and error, as a table and a chart.

Usage: python scripts/approximate_multipliers.py LIBERTY [--out docs/figures/approximate_multipliers] [FILE.v ...]
LIBERTY: of the standard cells, such as IHP's sg13g2_stdcell_typ_1p20V_25C.lib. FILE.v: circuits of a user's beside the
multipliers of NAMES. Each multiplier is combinational, mapped by yosys and ABC for half of 4 ns; energy is at 0.2
toggles a net, as in technology tables. Error: mean of |product - exact| over all pairs, in percent of 2**16, as
EvoApproxLib has it.
Writes OUT.json (the figures) and OUT.svg (the chart).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fewbits.formats import ProductTable, parse_precision
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS, TOGGLES_PER_CYCLE
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.energy.power import power_of, uniform_activity
from fewbits.hardware.mapping.synthesis import synthesize
from fewbits.hardware.mapping.timing import Conditions, analyze
from fewbits.hardware.multipliers import multiplier_kind, product_table
from fewbits.hardware.multipliers.alone import TOP, multiplier_rtlil
from fewbits.hardware.process.library.check import complete
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_libraries

PRECISION = parse_precision("fixed8")

NAMES = (
    *("booth", "array", "operator"),
    *("truncated-2", "truncated-4", "truncated-6", "truncated-7", "truncated-8"),
    *("broken-array-6-2", "broken-array-8-3", "perforated-1", "perforated-2", "mitchell"),
)
"""What is measured."""

DELAY_TARGET_NS = 2.0
"""That ABC sizes cells for: half of the shipped table's period."""

EXACT = {"booth": "exact radix-4 Booth", "array": "exact array", "operator": "exact a * b of yosys"}


@dataclass(frozen=True)
class Measured:
    """One multiplier alone."""

    name: str
    area_um2: float
    energy_pj: float
    path_ns: float
    error_percent: float


def measured(name: str, library: Library) -> Measured:
    """A multiplier mapped to a library. Raises HardwareError as the registry and synthesis do."""
    kind = multiplier_kind(name)
    netlist = synthesize(multiplier_rtlil(kind, PRECISION), library, delay_target_ns=DELAY_TARGET_NS, top=TOP).netlist
    conditions = Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)
    timing = analyze(netlist, conditions)
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(conditions.wire))
    power = power_of(model, uniform_activity(model, TOGGLES_PER_CYCLE))
    exact = ProductTable.exact(PRECISION.weights, PRECISION.inputs)
    error = np.abs(product_table(name, PRECISION).values.astype(np.int64) - exact.values).mean() / 2**16
    return Measured(
        kind.name,
        float(sum(group.cell.area_um2 * len(group.cells) for group in netlist.groups)),
        float(power.dynamic_pj.sum() + power.input_switching_pj.sum()),
        float(timing.longest_path_ns),
        100 * float(error),
    )


def sentence(found: Sequence[Measured]) -> str:
    """What approximations save against exact Booth."""
    booth = next(one for one in found if one.name == "booth")
    close = [one for one in found if 0 < one.error_percent <= 0.06]
    best = min(close, key=lambda one: one.area_um2)
    larger = [one.name for one in found if one.error_percent > 0 and one.area_um2 >= booth.area_um2]
    area, energy = best.area_um2 / booth.area_um2 - 1, best.energy_pj / booth.energy_pj - 1
    return (
        f"Of the multipliers with a mean error of at most 0.06 %, the smallest, {best.name} ({best.error_percent:.2g} "
        f"%), takes {abs(area):.0%} {'more' if area > 0 else 'less'} area and {abs(energy):.0%} "
        f"{'more' if energy > 0 else 'less'} energy than the exact radix-4 Booth multiplier; as large or larger: "
        f"{', '.join(larger) or 'none'}."
    )


def chart(found: Sequence[Measured]) -> str:
    """Area against error, exact ones as lines across; SVG."""
    import vl_convert as vlc

    inexact = [one for one in found if one.error_percent > 0]
    exact = [one for one in found if one.error_percent == 0]
    points = [asdict(one) | {"kind": family(one.name)} for one in inexact]
    lines = [asdict(one) | {"label": EXACT.get(one.name, f"exact {one.name.partition('-')[0]}")} for one in exact]
    x = {
        "field": "error_percent", "type": "quantitative", "scale": {"type": "log"},
        "title": "mean absolute error, % of 2^16 (logarithmic)",
    }  # fmt: skip
    y = {"field": "area_um2", "type": "quantitative", "title": "area on SG13G2, um2"}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 620,
        "height": 380,
        "layer": [
            {"data": {"values": lines}, "mark": {"type": "rule", "strokeDash": [4, 3]}, "encoding": {"y": y}},
            {
                "data": {"values": lines},
                "mark": {"type": "text", "align": "right", "dy": -5},
                "encoding": {"y": y, "x": {"value": 618}, "text": {"field": "label"}},
            },
            {
                "data": {"values": points},
                "mark": {"type": "point", "filled": True, "size": 70},
                "encoding": {"x": x, "y": y, "color": {"field": "kind", "type": "nominal", "title": "from"}},
            },
            {
                "data": {"values": points},
                "mark": {"type": "text", "align": "left", "dx": 7, "fontSize": 10},
                "encoding": {"x": x, "y": y, "text": {"field": "label"}},
            },
        ],
    }
    for point in points:
        point["label"] = short(point["name"])
    return vlc.vegalite_to_svg(spec)


def family(name: str) -> str:
    """Where a multiplier is from."""
    return "EvoApproxLib" if name.startswith("mul8s_") else "named approximation"


def short(name: str) -> str:
    """A name without its hash."""
    return name.partition("-")[0].removeprefix("mul8s_") if name.startswith("mul8s_") else name


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("liberty", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/figures/approximate_multipliers"))
    parser.add_argument("files", nargs="*")
    given = parser.parse_args()
    library = complete(read_libraries([given.liberty])).library
    found = [measured(name, library) for name in (*NAMES, *given.files)]
    provenance = {"liberty": library.file_names, "liberty_sha256": library.sha256, "precision": PRECISION.name}
    given.out.with_suffix(".json").write_text(
        json.dumps({"provenance": provenance, "multipliers": [asdict(one) for one in found]}, indent=1) + "\n"
    )
    given.out.with_suffix(".svg").write_text(chart(found))
    print("| multiplier | area, um2 | energy, pJ | longest path, ns | mean error, % |\n| --- | --- | --- | --- | --- |")
    for one in sorted(found, key=lambda one: one.error_percent):
        print(
            f"| {short(one.name)} | {one.area_um2:,.0f} | {one.energy_pj:.3f} | {one.path_ns:.2f} | "
            f"{one.error_percent:.2g} |"
        )
    print("\n" + sentence(found))


if __name__ == "__main__":
    main()
