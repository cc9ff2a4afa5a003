"""Time the activity engine on a neuron, beside Icarus Verilog with a VCD on the same netlist and operands.

The netlist is the one that the package ships; the operands are random. CPU time of one core, the best of some rounds.
Icarus simulates fewer cycles; its time is given for as many as the engine's.

    python benchmarks/activity_engine.py [--precision fixed16] [--cycles 10000] [--rounds 5] [--icarus CYCLES]
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from fewbits.hardware.activity.toggles import Stimulus, compile_model, count_toggles, words_of_bits
from fewbits.hardware.energy.compiled_netlist import compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.energy_model import CellKind, EnergyModel
from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="fixed16")
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--icarus", type=int, default=0, metavar="CYCLES", help="cycles for Icarus; 0 leaves it out")
    given = parser.parse_args()
    model = read_compiled_netlist(compiled_netlist_path(DEFAULT_TECHNOLOGY, given.precision)).model
    ports = [name for name, (direction, _) in model.ports.items() if direction == "input" and name != "clk"]
    generator = np.random.default_rng(0)
    bits = {name: generator.integers(0, 2, (given.cycles, len(model.ports[name][1])), np.uint8) for name in ports}
    for name in ("shift", "relu"):
        bits[name][:] = bits[name][0]
    program = compile_model(model)
    words = words_of_bits(np.concatenate(list(bits.values()), axis=1))
    nets = np.concatenate([model.ports[name][1] for name in ports])
    counted = words_of_bits(np.ones((given.cycles, 1), np.uint8))[:, 0]
    stimulus = Stimulus(nets, words, counted, np.zeros(len(words), np.int64))
    seconds: dict[bool, float] = {}
    toggles: dict[bool, int] = {}
    for glitches in (False, True):
        counts = count_toggles(program, stimulus, glitches=glitches)
        found = counts.settled if counts.with_glitches is None else counts.with_glitches
        toggles[glitches] = int(found.sum())
        seconds[glitches] = min(timed(lambda g=glitches: count_toggles(program, stimulus, glitches=g), given.rounds))
    evaluations = program.gates * given.cycles
    print(
        f"{given.precision}: {program.gates} cells, {program.core_gates} of them cycle by cycle, {given.cycles} cycles"
    )
    print(
        f"settled toggles: {seconds[False]:.3f} s, {evaluations / seconds[False] / 1e9:.2f} G cell-evaluations a second"
    )
    print(f"with glitches:   {seconds[True]:.3f} s, {seconds[True] / seconds[False]:.1f} times the settled")
    print(f"glitch factor:   {toggles[True] / toggles[False]:.2f}")
    if given.icarus:
        taken = icarus_seconds(model, {name: rows[: given.icarus] for name, rows in bits.items()}, given.icarus)
        scaled = taken * given.cycles / given.icarus
        print(f"Icarus, {given.icarus} cycles: {taken:.1f} s; for {given.cycles}: {scaled:.0f} s, "
              f"{scaled / seconds[False]:.0f} times the engine's")  # fmt: skip


def timed(function: object, rounds: int) -> list[float]:
    """CPU seconds of each call."""
    taken: list[float] = []
    for _ in range(rounds):
        start = time.process_time()
        function()  # pyright: ignore[reportCallIssue]
        taken.append(time.process_time() - start)
    return taken


def icarus_seconds(model: EnergyModel, bits: dict[str, np.ndarray], cycles: int) -> float:
    """CPU seconds of a zero-delay simulation that writes every net's changes into a VCD."""
    if shutil.which("iverilog") is None:
        raise SystemExit("Icarus Verilog is not installed: leave out --icarus")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for port, rows in bits.items():
            text = "\n".join("".join("01"[bit] for bit in row[::-1]) for row in rows)
            (folder / f"{port}.mem").write_text(text + "\n")
        (folder / "bench.v").write_text(verilog(model, bits, cycles))
        subprocess.run(["iverilog", "-o", "bench.vvp", "bench.v"], cwd=folder, check=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True)
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def verilog(model: EnergyModel, bits: dict[str, np.ndarray], cycles: int) -> str:
    """The netlist with its cells as modules, and a bench that gives it a row of bits each cycle."""
    modules = "\n".join(cell_module(block.kind) for block in model.blocks)
    cells: list[str] = []
    for block in model.blocks:
        for cell, row in zip(block.cells, block.nets, strict=True):
            pins = ", ".join(f".{pin}(n[{net}])" for pin, net in zip(block.kind.pins, row, strict=True) if net >= 0)
            cells.append(f"  {block.kind.name} c{cell} ({pins});")
    given = [f"  assign n[{net}] = {port}[{k}];" for port in bits for k, net in enumerate(model.ports[port][1])]
    registers = [f"  reg [{rows.shape[1] - 1}:0] {port}, {port}_rows [0:{cycles - 1}];" for port, rows in bits.items()]
    loads = [f'    $readmemb("{port}.mem", {port}_rows);' for port in bits]
    taken = " ".join(f"{port} <= {port}_rows[i];" for port in bits)
    clock = "\n".join(f"  assign n[{net}] = clk;" for net in model.clock_nets)
    return "\n".join([
        modules, "module bench;", f"  wire [{model.net_count - 1}:0] n;", "  reg clk = 0; integer i;",
        "  assign n[0] = 0; assign n[1] = 1;", clock, *registers, *given, *cells, "  initial begin", *loads,
        '    $dumpfile("wave.vcd"); $dumpvars(1, bench);',
        f"    for (i = 0; i < {cycles}; i = i + 1) begin clk = 1; {taken} #5 clk = 0; #5; end", "    $finish;", "  end",
        "endmodule", "",
    ])  # fmt: skip


def cell_module(kind: CellKind) -> str:
    """A cell from its truth table."""
    outputs = {function.output for function in kind.functions}
    pins = ", ".join(f"{'output' if k in outputs else 'input'} {pin}" for k, pin in enumerate(kind.pins))
    lines = [f"module {kind.name}({pins});"]
    for function in kind.functions:
        names, output = [kind.pins[k] for k in function.inputs], kind.pins[function.output]
        if function.is_register:
            clock = next(pin for pin in kind.pins if pin.startswith("C"))
            lines.append(f"  reg state = 0; always @(posedge {clock}) state <= {names[0]};")
            lines.append(f"  assign {output} = {'~' if function.shows_inverse else ''}state;")
            continue
        rows = [row for row in range(1 << len(names)) if function.table >> row & 1]
        terms = [" & ".join(n if row >> k & 1 else f"~{n}" for k, n in enumerate(names)) for row in rows]
        lines.append(f"  assign {output} = {' | '.join(f'({term})' for term in terms)};")
    return "\n".join([*lines, "endmodule"])


if __name__ == "__main__":
    main()
