"""How many of the glitches that unit delays count real delays leave: neurons on a cell library, simulated by Icarus.

Each library cell takes the median over its instances of the delay to its latest arrival; Verilog's delays are inertial,
as those of gates are: a pulse shorter than the delay does not pass. Operands are random.

    python benchmarks/glitches.py LIBERTY [PRECISION ...]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "activity"))

from icarus import toggles_by_icarus  # pyright: ignore
from test_toggles import random_stimulus, stimulus_of  # pyright: ignore

from fewbits.hardware.activity import compile_netlist, count_toggles
from fewbits.hardware.characterize import CLOCK_SLEW_NS, build_neuron
from fewbits.hardware.liberty import read_library
from fewbits.hardware.netlist import Netlist
from fewbits.hardware.synthesis import synthesize, top_module
from fewbits.hardware.timing import Conditions, analyze

PRECISIONS = ("fixed4", "fixed8", "binary/fixed16")
CYCLES = 100


def main() -> None:
    """One line for each precision."""
    library = read_library(sys.argv[1])
    shares: list[float] = []
    for precision in sys.argv[2:] or PRECISIONS:
        rtlil = build_neuron(precision).rtlil
        netlist = synthesize(rtlil, library, delay_target_ns=3.66, top=top_module(rtlil)).netlist
        bits = random_stimulus(netlist, CYCLES, 3)
        counts = count_toggles(compile_netlist(netlist), stimulus_of(netlist, bits), glitches=True)
        assert counts.with_glitches is not None
        with tempfile.TemporaryDirectory() as folder:
            seen = toggles_by_icarus(Path(folder), netlist, bits, delays=delays_ps(netlist))
        names = netlist.net_names()
        clocks = set(netlist.clock_nets.tolist())
        real = sum(seen[names[net]] for net in range(2, netlist.net_count) if net not in clocks)
        settled, unit = int(counts.settled.sum()), int(counts.with_glitches.sum())
        shares.append((real - settled) / (unit - settled))
        print(f"{precision}: unit delays {unit / settled:.2f}, liberty {real / settled:.2f}, share {shares[-1]:.2f}")
    print(f"mean share {np.mean(shares):.2f}")


def delays_ps(netlist: Netlist) -> dict[str, int]:
    """Delay of each combinational library cell."""
    arrival = analyze(netlist, Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=netlist.library.wire_load)).arrival_ns.max(
        1
    )
    found: dict[str, int] = {}
    for group in netlist.groups:
        if group.cell.flip_flop is None:
            inputs = np.stack([arrival[group.pin(name)] for name in group.cell.inputs], axis=1)
            delay = arrival[group.pin(group.cell.outputs[0])] - inputs.max(axis=1)
            found[group.cell.name] = max(1, round(1000 * float(np.median(delay[np.isfinite(delay)]))))
    return found


if __name__ == "__main__":
    main()
