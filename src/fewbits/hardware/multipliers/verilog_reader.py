"""A user's Verilog read by yosys into gates: in a sandbox that sees one folder, with bounded time, memory and sizes."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from fewbits.errors import HardwareError
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, CONSTANT_ZERO
from fewbits.hardware.mapping.synthesis import Sandbox, run_yosys
from fewbits.hardware.multipliers.gate_circuit import GATES, CircuitPort, Gate, GateCircuit, check_nets
from fewbits.hardware.multipliers.mapped_cells import cell_models

SUFFIXES = (".v", ".sv")
"""Of files that are read."""

LARGEST_FILE = 1 << 20
"""Bytes. EvoApproxLib's multipliers of 8 bits have up to 20,000."""

MOST_GATES = 20_000
"""An array multiplier of 8 bits has about 500, one of 32 bits about 8,000."""

_LONGEST_NAME = 40
"""Characters of a module's name that its circuit's begins with."""

_LARGEST_NETLIST = 64 << 20
"""Bytes that yosys writes: some hundred for a gate."""

_SANDBOX = Sandbox(seconds=60.0, memory_bytes=1 << 30)

_SCRIPT = """{reader} /given/given.v
{models}proc
write_json /given/modules.json
hierarchy -check {top}
synth -flatten -noabc -booth {top}
opt_clean -purge
write_json /given/gates.json
"""

_STATE = re.compile(r"FF|LATCH|_SR_")


def read_text(path: Path) -> str:
    """A Verilog file's text. Raises HardwareError for one that cannot be read, or is too large."""
    try:
        with path.open("rb") as file:
            held = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise HardwareError(
            f"{path}: {error.strerror or 'cannot be read'}: give a Verilog file of a multiplier"
        ) from None
    if len(held) > LARGEST_FILE:
        raise HardwareError(
            f"{path}: larger than {LARGEST_FILE >> 20} MiB: give the multiplier alone, in a file of its own"
        )
    if b"\0" in held:
        raise HardwareError(f"{path}: no Verilog but a binary file")
    return held.decode("utf-8", errors="replace")


def circuit_of(text: str, top: str | None = None, *, system_verilog: bool = False) -> GateCircuit:
    """The circuit of a Verilog text: a combinational module of two inputs and one output.

    top: the module; None for the one that no other holds. Cells of the shipped technology are known. Raises
    HardwareError, one line, for a text that is no such circuit.
    """
    return _circuit_of(text, "read_verilog -sv" if system_verilog else "read_verilog", top)


def circuit_of_rtlil(rtlil: str, top: str) -> GateCircuit:
    """The same of a circuit of fewbits' own, as RTLIL."""
    return _circuit_of(rtlil.replace(" signed \\", " \\"), "read_rtlil", top)


def _circuit_of(text: str, reader: str, top: str | None) -> GateCircuit:
    if top is not None and not re.fullmatch(r"[A-Za-z_]\w*", top):
        raise HardwareError(f"no module {top!r}: a module's name has letters, digits and underscores")
    with tempfile.TemporaryDirectory(prefix="fewbits-multiplier-") as name:
        folder = Path(name)
        models = cell_models(text)
        (folder / "given.v").write_text(text, encoding="utf-8")
        (folder / "cells.v").write_text(models, encoding="utf-8")
        script = _SCRIPT.format(
            reader=reader,
            models="read_verilog /given/cells.v\n" if models else "",
            top=f"-top {top}" if top else "-auto-top",
        )
        (folder / "read.ys").write_text(script, encoding="utf-8")
        try:
            run_yosys(folder, "read.ys", sandbox=_SANDBOX)
        except HardwareError as error:
            _refuse_modules(folder, top)
            raise HardwareError(_reworded(str(error))) from None
        own = _roots(folder)
        chosen = top or (own[0] if len(own) == 1 else None)
        if chosen is None:
            _refuse_modules(folder, top)
        made = _json(folder / "gates.json")["modules"]
        module = next((each for each in made.values() if _is_top(each)), None)
        if module is None:
            raise HardwareError("holds no module")
        return _circuit(chosen or "", module)


def _is_top(module: Mapping[str, Any]) -> bool:
    return int(str(module.get("attributes", {}).get("top", "0")), 2) == 1


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"modules": {}}
    if path.stat().st_size > _LARGEST_NETLIST:
        raise HardwareError(f"too large: {path.stat().st_size >> 20} MiB of gates are no multiplier of 8 bits")
    return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8", errors="replace")))


def _roots(folder: Path) -> list[str]:
    """Modules of the user's that no other module holds."""
    modules = _json(folder / "modules.json")["modules"]
    held = {cell["type"] for module in modules.values() for cell in module["cells"].values()}
    return [name for name, module in modules.items() if name not in held and "fewbits_cell" not in module["attributes"]]


def _refuse_modules(folder: Path, top: str | None) -> None:
    """Raise HardwareError where the file's modules leave open which is meant."""
    if not (folder / "modules.json").exists():
        return
    modules, roots = _json(folder / "modules.json")["modules"], _roots(folder)
    if top is not None and top not in modules:
        raise HardwareError(f"no module {top!r}, only {_listed([*modules])}: give FILE.v:MODULE with one of them")
    if top is None and len(roots) > 1:
        raise HardwareError(f"several modules that no other holds, {_listed(roots)}: choose one as FILE.v:MODULE")
    if top is None and not roots:
        raise HardwareError(f"no module that is not part of another{': ' + _listed([*modules]) if modules else ''}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _reworded(message: str) -> str:
    """Yosys' error without its folder's names."""
    if found := re.search(r"Module `\\?(\S+?)' referenced in module `\\?(\S+?)'", message):
        return (
            f"module {found[2]} holds a {found[1]}, which the file does not define: add its module to the file, such "
            "as a Verilog model of the library's cell"
        )
    if "Wasm" in message:
        return f"yosys crashed on it, or needed more than {_SANDBOX.memory_bytes >> 20} MiB: give the multiplier alone"
    message = re.sub(r"^yosys stopped with status -?\d+: ", "", message)
    found = re.match(r"(?:/\S*/)?given\.v:(\d+): (?:ERROR: ?)?(.*)", message)
    words = f"line {found[1]}: {found[2]}" if found else re.sub(r"ERROR: ?", "", message)
    return f"yosys cannot read it: {words[:300]}"


def _circuit(name: str, module: Mapping[str, Any]) -> GateCircuit:
    """A flat module of gates. Raises HardwareError for state, unknown cells, other ports."""
    cells = [cell for cell in module["cells"].values() if cell["type"] != "$scopeinfo"]
    states = [cell["type"] for cell in cells if _STATE.search(cell["type"])]
    if states:
        raise HardwareError(
            f"{name} holds state ({len(states)} flip-flops or latches): a product must depend on the operands alone, "
            "so give the combinational circuit"
        )
    unknown = sorted({cell["type"] for cell in cells} - {f"$_{kind}_" for kind in GATES})
    if unknown:
        raise HardwareError(f"{name} holds {_listed(unknown)}: give a circuit of logic gates alone")
    if len(cells) > MOST_GATES:
        raise HardwareError(f"{name} has {len(cells)} gates, {MOST_GATES} at most are read")
    numbers: dict[str | int, int] = {"0": CONSTANT_ZERO, "1": CONSTANT_ONE, "x": CONSTANT_ZERO, "z": CONSTANT_ZERO}

    def net(bit: str | int) -> int:
        return numbers.setdefault(bit, len(numbers) - 2)

    ports = {"input": list[CircuitPort](), "output": list[CircuitPort](), "inout": list[CircuitPort]()}
    for port, made in module["ports"].items():
        if made["direction"] == "output" and {"x", "z"} & set(made["bits"]):
            raise HardwareError(f"{name}: nothing drives bit {_undriven(made['bits'])} of its output {port!r}")
        ports[made["direction"]].append(CircuitPort(port, tuple(net(bit) for bit in made["bits"])))
    told = ", ".join(f"{way} {one.name} of {len(one.nets)} bits" for way, all_ in ports.items() for one in all_)
    if (len(ports["input"]), len(ports["output"]), len(ports["inout"])) != (2, 1, 0):
        raise HardwareError(
            f"{name} has {told or 'no ports'}: a multiplier has two inputs, of the weight and of the input, and one "
            "output"
        )
    gates = tuple(
        Gate(kind, tuple(net(cell["connections"][pin][0]) for pin in GATES[kind][0]), net(cell["connections"]["Y"][0]))
        for cell in cells
        for kind in (cell["type"].removeprefix("$_").removesuffix("_"),)
    )
    first, second = ports["input"]
    made = GateCircuit(
        re.sub(r"\W+", "_", name)[:_LONGEST_NAME], (first, second), ports["output"][0], gates, len(numbers) - 2
    )
    check_nets(made)
    return made


def _undriven(bits: Sequence[str | int]) -> int:
    return next(place for place, bit in enumerate(bits) if bit in ("x", "z"))
