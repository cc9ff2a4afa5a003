"""Cells of which one internal-power table is 1 pJ and all others 0, and what OpenSTA's report makes of each.

So a report in pJ a cycle, over the toggles, is the weight with which OpenSTA charges that table.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PERIOD_NS = 4.0
TOGGLES = 0.2
EDGES = ("rise", "fall")

_HEADER = """library (rules) {
  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA";
  leakage_power_unit : "1nW"; pulling_resistance_unit : "1kohm"; capacitive_load_unit (1, pf);
  nom_voltage : 1.0; nom_temperature : 25; nom_process : 1;
  operating_conditions (typical) { process : 1; temperature : 25; voltage : 1; }
  default_operating_conditions : typical;
"""
_ARC = " ".join(
    f'{name} (scalar) {{ values ("0.1"); }}'
    for name in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
)


@dataclass(frozen=True)
class Kind:
    """A cell; its internal-power groups are (pin, related pin, when)."""

    inputs: tuple[str, ...]
    outputs: dict[str, str]
    groups: tuple[tuple[str, str | None, str | None], ...]


KINDS = {
    "inverter": Kind(("A",), {"Y": "!A"}, (("Y", "A", None),)),
    "nand2": Kind(("A", "B"), {"Y": "!(A*B)"}, (("Y", "A", None), ("Y", "B", None))),
    # the states of the exclusive or, and-or-invert and flip-flop as in IHP's library: all of them, and a default
    "xor2": Kind(
        ("A", "B"),
        {"Y": "A^B"},
        (
            *(("Y", "A", when) for when in ("B", "!B", None)),
            *(("Y", "B", when) for when in ("A", "!A", None)),
        ),
    ),
    "aoi21": Kind(
        ("A", "B", "C"),
        {"Y": "!((A*B)+C)"},
        (
            ("Y", "A", None),
            ("Y", "B", None),
            *(("Y", "C", when) for when in ("A*!B", "!A*B", "!A*!B", None)),
        ),
    ),
    "full_adder": Kind(
        ("A", "B", "C"),
        {"S": "(A^B)^C", "CO": "(A*B)+(C*(A+B))"},
        tuple((output, pin, None) for output in ("S", "CO") for pin in "ABC"),
    ),
    "flip_flop": Kind(
        ("D", "CK"),
        {"Q": "IQ"},
        (
            ("Q", "CK", None),
            *(("CK", None, when) for when in ("D*Q", "D*!Q", "!D*Q", "!D*!Q", None)),
            *(("D", None, when) for when in ("CK", "!CK", None)),
        ),
    ),
    "flip_flop_of_defaults": Kind(
        ("D", "CK"), {"Q": "IQ"}, (("Q", "CK", None), ("CK", None, None), ("D", None, None))
    ),
}  # fmt: skip


def charged_weights(folder: Path) -> dict[tuple[str, int, str], float]:
    """Of each table (kind, number of its group, edge): by what weight OpenSTA charges it for a toggle of its pin.

    A clock toggles twice a cycle, all else TOGGLES times. Skips where OpenSTA is not at hand.
    """
    if shutil.which("sta") is None:
        pytest.skip("needs OpenSTA (Debian's package opensta)")
    tables = [(kind, k, edge) for kind, cell in KINDS.items() for k in range(len(cell.groups)) for edge in EDGES]
    energies = {_name(table): {(table[1], table[2]): 1.0} for table in tables}
    kinds = {_name(table): table[0] for table in tables}
    (folder / "rules.lib").write_text(library(kinds, energies))
    (folder / "rules.v").write_text(_verilog(kinds))
    lines = [
        "read_liberty rules.lib", "read_verilog rules.v", "link_design rules",
        f"create_clock -name clk -period {PERIOD_NS} [get_ports CK]", "set_input_transition 0.1 [all_inputs]",
        "set_input_delay 0 -clock clk [get_ports {A B C D}]",
        f"set_power_activity -global -activity {TOGGLES} -duty 0.5",
        *(f"report_power -instances [get_cells {name}_] -digits 8" for name in kinds),
    ]  # fmt: skip
    (folder / "run.tcl").write_text("\n".join(lines))
    report = subprocess.run(
        ["sta", "-exit", "-no_splash", "run.tcl"], cwd=folder, capture_output=True, text=True
    ).stdout
    watts = {name: float(value) for value, name in re.findall(r"^ *(\S+) +\S+ +\S+ +\S+ (\w+)_$", report, re.MULTILINE)}
    return {table: watts[_name(table)] * PERIOD_NS * 1e3 / _toggles(table) for table in tables}


def library(kinds: dict[str, str], energies: dict[str, dict[tuple[int, str], float]]) -> str:
    """Liberty of cells: the kind of each, and the energy in pJ of its tables (number of the group, edge), 0 if none."""
    return _HEADER + "".join(_cell(name, KINDS[kind], energies[name]) for name, kind in kinds.items()) + "}\n"


def _toggles(table: tuple[str, int, str]) -> float:
    kind, k, _ = table
    return 2.0 if KINDS[kind].groups[k][0] == "CK" else TOGGLES


def _name(table: tuple[str, int, str]) -> str:
    return "{}_{}_{}".format(*table)


def _cell(name: str, kind: Kind, energies: dict[tuple[int, str], float]) -> str:
    stores = "IQ" in kind.outputs.values()
    parts = ['ff (IQ, IQN) { clocked_on : "CK"; next_state : "D"; }'] if stores else []
    for pin in kind.inputs:
        clock = "clock : true; " if pin == "CK" else ""
        parts.append(f"pin ({pin}) {{ direction : input; capacitance : 0.001; {clock}{_powers(kind, pin, energies)} }}")
    for pin, function in kind.outputs.items():
        arcs = " ".join(
            f'timing () {{ related_pin : "{related}"; {"timing_type : rising_edge;" if stores else ""} {_ARC} }}'
            for related in (("CK",) if stores else kind.inputs)
        )
        parts.append(
            f'pin ({pin}) {{ direction : output; function : "{function}"; {arcs} {_powers(kind, pin, energies)} }}'
        )
    return f"cell ({name}) {{ area : 1; cell_leakage_power : 0; {' '.join(parts)} }}\n"


def _powers(kind: Kind, pin: str, energies: dict[tuple[int, str], float]) -> str:
    groups: list[str] = []
    for k, (own, related, when) in enumerate(kind.groups):
        if own == pin:
            about = (f'related_pin : "{related}"; ' if related else "") + (f'when : "{when}"; ' if when else "")
            tables = " ".join(
                f'{edge}_power (scalar) {{ values ("{energies.get((k, edge), 0.0)}"); }}' for edge in EDGES
            )
            groups.append(f"internal_power () {{ {about}{tables} }}")
    return " ".join(groups)


def _verilog(kinds: dict[str, str]) -> str:
    """A module of one instance of each cell, all at the same ports; outputs are open."""
    lines = ["module rules (CK, A, B, C, D);", "  input CK, A, B, C, D;"]
    for name, kind in kinds.items():
        wires = ", ".join(f"{name}_{pin}" for pin in KINDS[kind].outputs)
        pins = [f".{pin}({pin})" for pin in KINDS[kind].inputs]
        pins += [f".{pin}({name}_{pin})" for pin in KINDS[kind].outputs]
        lines += [f"  wire {wires};", f"  {name} {name}_ ({', '.join(pins)});"]
    return "\n".join([*lines, "endmodule\n"])
