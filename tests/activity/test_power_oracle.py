"""Power at a uniform activity against OpenSTA on the same netlists, and why the two differ."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from opensta_2019 import internal_energy_pj  # pyright: ignore

from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS
from fewbits.hardware.characterization.neuron_options import build_neuron
from fewbits.hardware.energy.power import estimate, uniform_activity
from fewbits.hardware.mapping.netlist import Netlist, to_verilog
from fewbits.hardware.mapping.synthesis import synthesize, top_module
from fewbits.hardware.mapping.timing import Conditions, Timing, analyze
from fewbits.hardware.process.library.liberty import Library

PERIOD_NS = 4.0
TOGGLES = 0.2


def opensta(folder: Path, netlist: Netlist) -> dict[str, dict[str, float]]:
    """Energy per cycle, pJ, by kind of cells and by component of power."""
    if shutil.which("sta") is None:
        pytest.skip("needs OpenSTA (Debian's package opensta)")
    shutil.copyfile(netlist.library.path, folder / "cells.lib")
    (folder / "net.v").write_text(to_verilog(netlist))
    ports = [
        name if len(port.nets) == 1 else f"{{{name}[{bit}]}}"
        for name, port in netlist.ports.items()
        if port.direction == "input" and name != "clk"
        for bit in range(len(port.nets))
    ]
    lines = [
        "set_delay_calculator lumped_cap",
        "read_liberty cells.lib",
        "read_verilog net.v",
        f"link_design {netlist.name}",
        f"create_clock -name clk -period {PERIOD_NS} [get_ports clk]",
        f"set_clock_transition {CLOCK_SLEW_NS} clk",
        *(f"set_input_transition {CLOCK_SLEW_NS} [get_ports {port}]" for port in ports),
        *(f"set_input_delay 0 -clock clk [get_ports {port}]" for port in ports),
        f"set_power_activity -global -activity {TOGGLES} -duty 0.5",
        "report_power -digits 8",
    ]
    (folder / "run.tcl").write_text("\n".join(lines))
    report = subprocess.run(
        ["sta", "-exit", "-no_splash", "run.tcl"], cwd=folder, capture_output=True, text=True
    ).stdout
    found: dict[str, dict[str, float]] = {}
    for kind in ("Sequential", "Combinational"):
        match = re.search(rf"^{kind}\s+(\S+)\s+(\S+)\s+(\S+)", report, re.MULTILINE)
        assert match is not None, report
        watts = zip(("internal", "switching", "leakage"), map(float, match.groups()), strict=True)
        found[kind] = {name: value * PERIOD_NS * 1e3 for name, value in watts}
    return found


def compare(folder: Path, netlist: Netlist, timing: Timing) -> None:
    theirs = opensta(folder, netlist)
    # OpenSTA takes the larger of the loads of a rise and a fall.
    loads = np.repeat(timing.load_pf.max(axis=1, keepdims=True), 2, axis=1)
    power = estimate(netlist, uniform_activity(netlist, TOGGLES), timing.slew_ns, loads)
    internal = internal_energy_pj(netlist, timing, TOGGLES)
    for kind, reported in theirs.items():
        cells = netlist.sequential == (kind == "Sequential")
        assert internal[cells].sum() == pytest.approx(reported["internal"], rel=0.05), kind
        assert power.switching_pj[cells].sum() == pytest.approx(reported["switching"], rel=0.05), kind
        assert power.leakage_uw[cells].sum() * PERIOD_NS * 1e-3 == pytest.approx(reported["leakage"], rel=0.05), kind


def test_power_components_are_those_of_opensta(tmp_path: Path, netlist: Netlist, timing: Timing) -> None:
    compare(tmp_path, netlist, timing)


@pytest.mark.parametrize(
    "precision",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("fixed8", "binary/fixed16", "pow2-6/fixed16")),
        *(pytest.param(name, marks=pytest.mark.nightly) for name in ("fixed16", "fixed32", "float32")),
    ],
)
def test_power_components_of_the_other_precisions_are_those_of_opensta(
    tmp_path: Path, library: Library, precision: str
) -> None:
    rtlil = build_neuron(precision).rtlil
    netlist = synthesize(rtlil, library, delay_target_ns=3.0, top=top_module(rtlil)).netlist
    compare(tmp_path, netlist, analyze(netlist, Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)))


def test_the_mean_of_both_edges_is_about_half_of_what_opensta_charges(netlist: Netlist, timing: Timing) -> None:
    power = estimate(netlist, uniform_activity(netlist, TOGGLES), timing.slew_ns, timing.load_pf)
    ratio = internal_energy_pj(netlist, timing, TOGGLES).sum() / power.internal_pj.sum()
    assert 2.5 < ratio < 4.5


def test_energy_rises_with_activity(netlist: Netlist, timing: Timing) -> None:
    loads = netlist.loads_pf(netlist.library.wire_load)
    energies = [
        estimate(netlist, uniform_activity(netlist, toggles), timing.slew_ns, loads).dynamic_pj.sum()
        for toggles in (0.0, 0.1, 0.2, 0.5, 1.0)
    ]
    assert energies == sorted(energies)
    assert energies[0] < energies[-1]
