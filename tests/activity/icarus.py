"""Icarus Verilog as a foreign oracle: cells from their liberty functions, toggles counted in a VCD."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import numpy as np

from fewbits.hardware.boolean import truth_table, variables
from fewbits.hardware.liberty import Cell
from fewbits.hardware.netlist import Netlist, to_verilog

PERIOD = 8000
"""Time steps of a clock cycle."""


def toggles_by_icarus(
    folder: Path,
    netlist: Netlist,
    stimulus: dict[str, np.ndarray],
    delay: int = 0,
    delays: dict[str, int] | None = None,
) -> Counter[str]:
    """Changes of each wire after the first cycle has settled, by its name in `Netlist.net_names`.

    stimulus: bits by port name, (cycles, bits). delay: time steps that each gate takes, inertially. delays: of library
    cells that take another time.
    """
    cycles = len(next(iter(stimulus.values())))
    for name, bits in stimulus.items():
        rows = ["".join("01"[bit] for bit in row[::-1]) for row in bits]
        (folder / f"{name}.mem").write_text("\n".join(rows) + "\n")
    cells = "\n".join(_model(group.cell, (delays or {}).get(group.cell.name, delay)) for group in netlist.groups)
    (folder / "bench.v").write_text(
        f"`timescale 1ps/1ps\n{cells}\n{to_verilog(netlist)}\n{_bench(netlist, stimulus, cycles)}"
    )
    subprocess.run(["iverilog", "-o", "bench.vvp", "bench.v"], cwd=folder, check=True, capture_output=True)
    subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True)
    return _toggles(folder / "wave.vcd")


def _model(cell: Cell, delay: int) -> str:
    pins = ", ".join(f"{'output' if pin.direction == 'output' else 'input'} {name}" for name, pin in cell.pins.items())
    lines = [f"module {cell.name}({pins});"]
    for name in cell.outputs:
        if cell.flip_flop is not None:
            clock, data = cell.flip_flop.clocked_on.strip("() "), cell.flip_flop.next_state
            inverse = "~" if (cell.pins[name].function or "").strip("() ") == cell.flip_flop.inverted_state else ""
            lines += [
                f"  reg s_{name} = 0;",
                f"  always @(posedge {clock}) s_{name} <= {data};",
                f"  assign {name} = {inverse}s_{name};",
            ]
            continue
        function = cell.pins[name].function or "0"
        inputs = variables(function)
        rows = np.flatnonzero(truth_table(function, inputs))
        terms = [" & ".join(pin if row >> k & 1 else f"~{pin}" for k, pin in enumerate(inputs)) for row in rows]
        wait = f"#{delay} " if delay else ""
        lines.append(f"  assign {wait}{name} = {' | '.join(f'({term})' for term in terms)};")
    return "\n".join([*lines, "endmodule"])


def _bench(netlist: Netlist, stimulus: dict[str, np.ndarray], cycles: int) -> str:
    ports = [name for name, port in netlist.ports.items() if port.direction == "input" and name != "clk"]
    widths = {name: len(netlist.ports[name].nets) for name in netlist.ports}
    declared = [f"  reg [{widths[name] - 1}:0] {name}_;" for name in ports]
    declared += [f"  reg [{widths[name] - 1}:0] {name}_rows [0:{cycles - 1}];" for name in ports]
    loaded = [f'    $readmemb("{name}.mem", {name}_rows);' for name in ports]
    taken = " ".join(f"{name}_ <= {name}_rows[i];" for name in ports)  # after the flip-flops have sampled
    connected = ", ".join(f".\\{name} ({name}_)" for name in ports)
    return "\n".join(
        [
            "module bench;",
            "  reg clk = 0; integer i = 0;",
            *declared,
            f"  {netlist.name} dut(.clk(clk), {connected});",
            "  initial begin",
            *loaded,
            f"    {taken}",
            f'    #{PERIOD - 1} $dumpfile("wave.vcd"); $dumpvars(1, dut);',
            f"    #1 for (i = 1; i < {cycles}; i = i + 1) begin clk = 1; {taken} #{PERIOD // 2} clk = 0;",
            f"    #{PERIOD - PERIOD // 2}; end",
            "    $finish;",
            "  end",
            "endmodule",
        ]
    )


def _toggles(path: Path) -> Counter[str]:
    """Changes between 0 and 1 of each bit of each wire in a VCD, its starting values apart."""
    names: dict[str, list[str]] = {}
    found: Counter[str] = Counter()
    values: dict[str, str] = {}
    with path.open() as lines:
        for line in lines:
            if line.startswith("$var"):
                _, _, width, code, name, *_ = line.split()
                base = name.lstrip("\\")
                bits = [base] if width == "1" else [f"{base}[{k}]" for k in range(int(width))]
                names.setdefault(code, bits)
            elif line[0] in "01xzb":
                text, code = (line[1:].split()) if line[0] == "b" else (line[0], line[1:].strip())
                width = len(names[code])
                text = text.rjust(width, "0" if text[0] != "x" else "x")
                before = values.get(code)
                if before is not None:
                    for k, (old, new) in enumerate(zip(before[::-1], text[::-1], strict=True)):
                        found[names[code][k]] += old + new in ("01", "10")
                values[code] = text
    return found
