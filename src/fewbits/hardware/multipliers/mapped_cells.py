"""Verilog models of the shipped technology's cells, for mapped netlists that instantiate them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from fewbits.hardware.energy.compiled_netlist import compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.energy_model import CellKind
from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY

_NETLISTS = ("fixed8", "fixed4", "fixed16")
"""Whose cells are known: among them nearly all that synthesis uses."""


def cell_models(text: str) -> str:
    """Models of the cells that a Verilog text names and does not define; empty where there are none."""
    defined = set(re.findall(r"\bmodule\s+(\w+)", text))
    named = set(re.findall(r"\bsg13g2_\w+", text)) - defined
    return "".join(_model(kind) for kind in (_kinds().values() if named else ()) if kind.name in named)


@cache
def _kinds() -> dict[str, CellKind]:
    found: dict[str, CellKind] = {}
    for name in _NETLISTS:
        path = Path(compiled_netlist_path(DEFAULT_TECHNOLOGY, name))
        if path.exists():
            found |= {block.kind.name: block.kind for block in read_compiled_netlist(path).model.blocks}
    return found


def _model(kind: CellKind) -> str:
    """A module; a flip-flop as one that yosys sees as state."""
    outputs = {each.output for each in kind.functions}
    ports = [f"{'output' if pin in outputs else 'input'} {name}" for pin, name in enumerate(kind.pins)]
    lines: list[str] = []
    for each in kind.functions:
        inputs = ", ".join(kind.pins[pin] for pin in reversed(each.inputs))
        rows = 1 << len(each.inputs)
        value = f"{rows}'b{each.table:0{rows}b}"
        out = kind.pins[each.output]
        if each.is_register:
            lines.append(
                f"  reg {out}_state; always @(posedge {_clock(kind)}) {out}_state <= {kind.pins[each.inputs[0]]};"
            )
            lines.append(f"  assign {out} = {out}_state;")
        elif each.inputs:
            lines.append(f"  wire [{rows - 1}:0] {out}_table = {value}; assign {out} = {out}_table[{{{inputs}}}];")
        else:
            lines.append(f"  assign {out} = 1'b{each.table & 1};")
    body = "\n".join(lines)
    return f"(* fewbits_cell *) module {kind.name}({', '.join(ports)});\n{body}\nendmodule\n"


def _clock(kind: CellKind) -> str:
    """Some input that no function reads: which it is changes nothing, as state is refused."""
    read = {pin for each in kind.functions for pin in each.inputs}
    outputs = {each.output for each in kind.functions}
    return next((name for pin, name in enumerate(kind.pins) if pin not in read | outputs), kind.pins[0])
