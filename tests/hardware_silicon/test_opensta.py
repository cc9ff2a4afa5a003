"""Timing and power of a real neuron on the real library against OpenSTA, on the same netlist and assumptions.

Longest path, switching and leakage are compared as they are. Internal energy is not defined alike: OpenSTA of 2019
(Debian's) adds the rise and the fall energy at each toggle, and sums over the inputs, each weighted by a probability
that the output depends on it; later versions take the mean of both, as `power.estimate` does. What is compared is that
sum over the gates of one or two inputs, where the probability is plain: the tables, transitions and loads are alike.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS
from fewbits.hardware.characterization.neuron_options import build_neuron
from fewbits.hardware.energy.power import estimate, uniform_activity
from fewbits.hardware.mapping.netlist import Netlist, to_verilog, verilog_name
from fewbits.hardware.mapping.synthesis import synthesize, top_module
from fewbits.hardware.mapping.timing import FALL, RISE, Conditions, Timing, analyze
from fewbits.hardware.process.library.liberty import Cell, Library
from fewbits.hardware.process.library.liberty_reader import read_library

PERIOD_NS = 4.0
TOGGLES = 0.2


@pytest.fixture(scope="module")
def library(pdk: Path) -> Library:
    if shutil.which("sta") is None:
        pytest.skip("needs OpenSTA (Debian's package opensta)")
    return read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")


@pytest.fixture(scope="module")
def netlist(library: Library) -> Netlist:
    rtlil = build_neuron("fixed4").rtlil
    return synthesize(rtlil, library, delay_target_ns=3.0, top=top_module(rtlil), mapping="fast").netlist


@pytest.fixture(scope="module")
def timing(netlist: Netlist, library: Library) -> Timing:
    return analyze(netlist, Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load))


@pytest.fixture(scope="module")
def folder(library: Library, netlist: Netlist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("opensta")
    shutil.copyfile(library.path, made / "cells.lib")
    (made / "net.v").write_text(to_verilog(netlist))
    return made


def run_opensta(folder: Path, netlist: Netlist, calculator: str) -> str:
    """OpenSTA's report of the longest path and of power, with one of its delay calculators."""
    bits = [
        name if len(port.nets) == 1 else f"{{{name}[{bit}]}}"
        for name, port in netlist.ports.items()
        if port.direction == "input" and name != "clk"
        for bit in range(len(port.nets))
    ]
    (folder / "run.tcl").write_text(
        "\n".join(
            [
                f"set_delay_calculator {calculator}",
                "read_liberty cells.lib",
                "read_verilog net.v",
                f"link_design {netlist.name}",
                f"create_clock -name clk -period {PERIOD_NS} [get_ports clk]",
                f"set_clock_transition {CLOCK_SLEW_NS} clk",
                *(f"set_input_transition {CLOCK_SLEW_NS} [get_ports {bit}]" for bit in bits),
                *(f"set_input_delay 0 -clock clk [get_ports {bit}]" for bit in bits),
                "report_checks -digits 6",
                f"set_power_activity -global -activity {TOGGLES} -duty 0.5",
                "report_power -digits 8",
                "report_power -digits 8 -instances [get_cells *]",
            ]
        )
    )
    done = subprocess.run(["sta", "-exit", "-no_splash", "run.tcl"], cwd=folder, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def lumped(folder: Path, netlist: Netlist) -> str:
    return run_opensta(folder, netlist, "lumped_cap")


def longest_path_ns(report: str) -> float:
    found = re.search(r"(-?[\d.]+)\s+slack", report)
    assert found is not None, report
    return PERIOD_NS - float(found[1])


def power_pj(report: str, kind: str) -> dict[str, float]:
    """Energy per cycle of the `Sequential` or `Combinational` cells, pJ."""
    found = re.search(rf"^{kind}\s+(\S+)\s+(\S+)\s+(\S+)", report, re.MULTILINE)
    assert found is not None, report
    watts = dict(zip(("internal", "switching", "leakage"), map(float, found.groups()), strict=True))
    return {name: value * PERIOD_NS * 1e3 for name, value in watts.items()}


def test_longest_path_equals_that_of_lumped_loads(timing: Timing, lumped: str) -> None:
    assert timing.longest_path_ns == pytest.approx(longest_path_ns(lumped), abs=2e-5)


def test_longest_path_is_near_that_with_wire_resistance(folder: Path, netlist: Netlist, timing: Timing) -> None:
    report = run_opensta(folder, netlist, "dmp_ceff_elmore")
    assert timing.longest_path_ns == pytest.approx(longest_path_ns(report), rel=0.03)


@pytest.mark.parametrize("kind", ["Sequential", "Combinational"])
def test_switching_energy_is_equal(netlist: Netlist, timing: Timing, lumped: str, kind: str) -> None:
    # OpenSTA takes the larger of the loads of a rise and a fall, where the energy of a toggle is the mean's.
    loads = np.repeat(timing.load_pf.max(axis=1, keepdims=True), 2, axis=1)
    power = estimate(netlist, uniform_activity(netlist, TOGGLES), timing.slew_ns, loads)
    cells = netlist.sequential == (kind == "Sequential")
    assert power.switching_pj[cells].sum() == pytest.approx(power_pj(lumped, kind)["switching"], rel=0.005)


@pytest.mark.parametrize(("kind", "tolerance"), [("Sequential", 0.05), ("Combinational", 0.01)])
def test_leakage_is_equal(netlist: Netlist, timing: Timing, lumped: str, kind: str, tolerance: float) -> None:
    # OpenSTA weights a flip-flop's states as if the tied reset were free.
    power = estimate(netlist, uniform_activity(netlist, TOGGLES), timing.slew_ns, timing.load_pf)
    cells = netlist.sequential == (kind == "Sequential")
    leakage_pj = power.leakage_uw[cells].sum() * PERIOD_NS * 1e-3
    assert leakage_pj == pytest.approx(power_pj(lumped, kind)["leakage"], rel=tolerance)


def test_internal_energy_tables_are_read_alike(netlist: Netlist, timing: Timing, lumped: str) -> None:
    rows = re.findall(r"^\s*(\S+)\s+\S+\s+\S+\s+\S+\s+(\w+_\d+)$", lumped, re.MULTILINE)
    reported = {cell: float(watts) * PERIOD_NS * 1e3 for watts, cell in rows}
    compared = {
        verilog_name(netlist, int(number)): TOGGLES * sum_of_edges(group.cell, row, timing)
        for group in netlist.groups
        if is_plain(group.cell)
        for number, row in zip(group.cells, group.nets, strict=True)
    }
    assert len(compared) > 100
    assert sum(compared.values()) == pytest.approx(sum(reported[name] for name in compared), rel=0.01)


def is_plain(cell: Cell) -> bool:
    """Whether all internal energy is the output's, caused by one or two inputs, in any state."""
    return (
        cell.flip_flop is None
        and len(cell.inputs) <= 2
        and all(power.related_pin and power.when is None for power in cell.powers)
    )


def sum_of_edges(cell: Cell, row: np.ndarray, timing: Timing) -> float:
    """Rise and fall energy of one instance, over its inputs: half of each where there are two, pJ."""
    pins = list(cell.pins)
    total = 0.0
    for power in cell.powers:
        source, sink = (int(row[pins.index(pin)]) for pin in (power.related_pin or "", power.pin))
        sense = next(arc.sense for arc in cell.arcs if (arc.pin, arc.related_pin) == (power.pin, power.related_pin))
        for after, table in ((FALL, power.fall), (RISE, power.rise)):
            before = 1 - after if sense == "negative_unate" else after
            if table is not None:
                energy = table.at(float(timing.slew_ns[source, before]), float(timing.load_pf[sink].max()))
                total += energy / len(cell.inputs)
    return total
