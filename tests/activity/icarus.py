"""Icarus Verilog as a foreign oracle: cells from their liberty functions, toggles counted in a VCD."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import numpy as np

from fewbits.hardware.mapping.netlist import Netlist, to_verilog, verilog_name
from fewbits.hardware.process.library.boolean import truth_table, variables
from fewbits.hardware.process.library.liberty import Cell

PERIOD = 100_000
"""Time steps of a clock cycle: more than any net takes to settle, unbuffered ones of many sinks too."""


def toggles_by_icarus(
    folder: Path,
    netlist: Netlist,
    stimulus: dict[str, np.ndarray],
    delay: int = 0,
    net_delays: np.ndarray | None = None,
) -> Counter[str]:
    """Changes of each wire after the first cycle has settled, by its name in `Netlist.net_names`.

    stimulus: bits by port name, (cycles, bits). delay: time steps that each gate takes, inertially. net_delays: instead
    of it, until a fall and a rise of the net that each cell drives, flip-flops too; (net_count, 2).
    """
    cycles = len(next(iter(stimulus.values())))
    for name, bits in stimulus.items():
        rows = ["".join("01"[bit] for bit in row[::-1]) for row in bits]
        (folder / f"{name}.mem").write_text("\n".join(rows) + "\n")
    cells = "\n".join(_model(group.cell, delay, net_delays is not None) for group in netlist.groups)
    given = [] if net_delays is None else _delays(netlist, net_delays)
    (folder / "bench.v").write_text(
        f"`timescale 1ps/1ps\n{cells}\n{to_verilog(netlist)}\n{_bench(netlist, stimulus, cycles, given)}"
    )
    subprocess.run(["iverilog", "-o", "bench.vvp", "bench.v"], cwd=folder, check=True, capture_output=True)
    subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True)
    return _toggles(folder / "wave.vcd")


def _delays(netlist: Netlist, net_delays: np.ndarray) -> list[str]:
    """Parameters of each cell: the delays of its outputs."""
    lines: list[str] = []
    for group in netlist.groups:
        for pin in group.cell.outputs:
            for cell, net in zip(group.cells, group.pin(pin), strict=True):
                if net >= 0:
                    name = f"dut.{verilog_name(netlist, int(cell))}"
                    fall, rise = np.maximum(net_delays[net], 1)
                    lines.append(f"  defparam {name}.R_{pin} = {rise}, {name}.F_{pin} = {fall};")
    return lines


def _model(cell: Cell, delay: int, own_delays: bool) -> str:
    pins = ", ".join(f"{'output' if pin.direction == 'output' else 'input'} {name}" for name, pin in cell.pins.items())
    lines = [f"module {cell.name}({pins});"]
    for name in cell.outputs:
        wait = f"#(R_{name}, F_{name}) " if own_delays else f"#{delay} " if delay and cell.flip_flop is None else ""
        if own_delays:
            lines.append(f"  parameter R_{name} = 1, F_{name} = 1;")
        if cell.flip_flop is not None:
            clock, data = cell.flip_flop.clocked_on.strip("() "), cell.flip_flop.next_state
            inverse = "~" if (cell.pins[name].function or "").strip("() ") == cell.flip_flop.inverted_state else ""
            lines += [
                f"  reg s_{name} = 0;",
                f"  always @(posedge {clock}) s_{name} <= {data};",
                f"  assign {wait}{name} = {inverse}s_{name};",
            ]
            continue
        function = cell.pins[name].function or "0"
        inputs = variables(function)
        rows = truth_table(function, inputs)
        table = "".join("01"[int(value)] for value in reversed(rows))
        # A process, not gates: it sees inputs that change at the same time together.
        lines += [
            f"  wire [{len(rows) - 1}:0] table_{name} = {len(rows)}'b{table};",
            f"  reg f_{name};",
            f"  always @({' or '.join(inputs)}) f_{name} = table_{name}[{{{', '.join(reversed(inputs))}}}];",
            f"  assign {wait}{name} = f_{name};",
        ]
    return "\n".join([*lines, "endmodule"])


def _bench(netlist: Netlist, stimulus: dict[str, np.ndarray], cycles: int, delays: list[str]) -> str:
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
            *delays,
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
