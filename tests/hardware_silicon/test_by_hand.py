"""Timing, loads, power and area of a three-cell netlist, each figure worked out by hand from the tiny library.

The netlist: Q -> inverter -> nand (with `enable`) -> D, and Q is also the output `out`. In the library a rise takes
10 ps + 1 ps per fF + 0.1 ps per ps of transition, a fall twice that; transitions are 20 ps + 1 ps per fF.
"""

from __future__ import annotations

import numpy as np
import pytest
from tiny_library import json_netlist  # pyright: ignore

from fewbits.errors import HardwareError
from fewbits.hardware.characterization.netlists import component_costs
from fewbits.hardware.energy.power import Activity, estimate, uniform_activity
from fewbits.hardware.mapping.netlist import Netlist, read_netlist, to_verilog
from fewbits.hardware.mapping.timing import Conditions, analyze
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.technology import LOGIC_COMPONENTS


def nets(netlist: Netlist) -> dict[str, int]:
    group = {group.cell.name: group for group in netlist.groups}
    return {
        "clk": int(group["dff"].pin("CK")[0]),
        "q": int(group["dff"].pin("Q")[0]),
        "d": int(group["dff"].pin("D")[0]),
        "not_q": int(group["inv"].pin("Y")[0]),
        "enable": int(group["nand"].pin("B")[0]),
    }


def test_loads_are_pins_and_wires(loop: Netlist, tiny: Library) -> None:
    loads, net = loop.loads_pf(tiny.wire_load, output_pf=0.004), nets(loop)
    # Q drives the inverter (1 fF) and the port (4 fF) over a wire of fanout 2 (2 fF); the clock's wire counts nothing.
    assert loads[net["q"]] == pytest.approx([0.007, 0.007])
    assert loads[net["not_q"]] == pytest.approx([0.002, 0.002])
    assert loads[net["clk"]] == pytest.approx([0.002, 0.002])


def test_the_longest_path_is_the_sum_of_its_steps(loop: Netlist) -> None:
    timing = analyze(loop, Conditions(clock_slew_ns=0.0, input_slew_ns=0.0))
    # No wires: Q, not_q and D bear 1 fF each. Q falls 2 (10 + 1) = 22 ps after the clock, with a transition of 21 ps;
    # not_q rises 10 + 1 + 2.1 later; D falls 2 (10 + 1 + 2.1) later; setup is 30 + 0.1 x 21.
    assert timing.longest_path_ns == pytest.approx(0.022 + 0.0131 + 0.0262 + 0.0321)
    assert [step.edge for step in timing.path] == ["fall", "rise", "fall"]
    assert [step.library_cell for step in timing.path] == ["dff", "inv", "nand"]
    assert timing.end == "f"
    assert timing.highest_clock_mhz == pytest.approx(1000 / timing.longest_path_ns)


def test_wires_lengthen_the_path(loop: Netlist, tiny: Library) -> None:
    bare = analyze(loop, Conditions(0.0, 0.0))
    wired = analyze(loop, Conditions(0.0, 0.0, wire=tiny.wire_load))
    assert wired.longest_path_ns > bare.longest_path_ns


def test_a_late_input_starts_the_longest_path(loop: Netlist) -> None:
    timing = analyze(loop, Conditions(0.0, 0.0, input_arrival_ns=1.0))
    assert timing.path[0].driver == "input"
    # D falls 2 (10 + 1) after the input, with a transition of 21 ps before the setup.
    assert timing.longest_path_ns == pytest.approx(1.0 + 0.022 + 0.0321)


def test_levels_count_from_the_registers(loop: Netlist) -> None:
    assert dict(zip(loop.cell_names, loop.levels, strict=True)) == {"f": 0, "$flatten\\multiplier0.i": 1, "n": 2}


def test_overloaded_nets_are_counted(loop: Netlist) -> None:
    assert loop.overloaded(loop.loads_pf(None)) == 0
    assert loop.overloaded(loop.loads_pf(None, output_pf=0.020)) == 1  # Q may drive 20 fF, and has 21


@pytest.fixture
def activity(loop: Netlist) -> Activity:
    return uniform_activity(loop, 0.5)


def test_a_net_switches_half_c_v_squared_a_toggle(loop: Netlist, activity: Activity) -> None:
    power = estimate(loop, activity, np.zeros((loop.net_count, 2)), loop.loads_pf(None))
    # 1/2 x 1 fF x (2 V)^2 x 0.5 toggles = 1 fJ for each cell; the clock's 2 fF toggle twice, enable's 3 fF 0.5 times.
    assert power.switching_pj == pytest.approx([0.001, 0.001, 0.001])
    net = nets(loop)
    assert power.input_switching_pj[net["clk"]] == pytest.approx(0.008)
    assert power.input_switching_pj[net["enable"]] == pytest.approx(0.003)


def test_internal_energy_is_weighted_by_cause_and_state(loop: Netlist, activity: Activity) -> None:
    power = estimate(loop, activity, np.zeros((loop.net_count, 2)), loop.loads_pf(None))
    flop, inverter, nand = power.internal_pj
    assert inverter == pytest.approx(0.5 * 0.001)
    assert nand == pytest.approx(0.5 * 0.0015)  # A's 1 fJ and B's 2 fJ, each as likely the cause
    # Clock, two toggles: D and Q differ in half of the cycles: 0.5 x 2 fJ + 0.5 x 6 fJ each; Q: 0.5 toggles of 6 fJ.
    assert flop == pytest.approx(2 * 0.004 + 0.5 * 0.006)


def test_a_busier_input_bears_more_of_the_cause(loop: Netlist, activity: Activity) -> None:
    toggles = activity.toggles.copy()
    toggles[nets(loop)["enable"]] = 1.5
    power = estimate(loop, Activity(toggles, activity.duty), np.zeros((loop.net_count, 2)), loop.loads_pf(None))
    assert power.internal_pj[2] == pytest.approx(0.5 * (0.25 * 0.001 + 0.75 * 0.002))


def test_clock_energy_follows_how_often_data_change(loop: Netlist) -> None:
    quiet = estimate(loop, uniform_activity(loop, 0.0), np.zeros((loop.net_count, 2)), loop.loads_pf(None))
    assert quiet.internal_pj == pytest.approx([2 * 0.002, 0, 0])  # D equals Q: 3 fJ up, 1 fJ down


def test_leakage_is_the_mean_over_states(loop: Netlist, activity: Activity) -> None:
    power = estimate(loop, activity, np.zeros((loop.net_count, 2)), loop.loads_pf(None))
    assert power.leakage_uw == pytest.approx([0.040, 0.010, 0.015])
    duty = activity.duty.copy()
    duty[nets(loop)["enable"]] = 0.0
    tied = estimate(loop, Activity(activity.toggles, duty), np.zeros((loop.net_count, 2)), loop.loads_pf(None))
    assert tied.leakage_uw[2] == pytest.approx(0.012)  # B at 0: 8 and 16 nW


def test_components_share_everything_out(loop: Netlist, activity: Activity) -> None:
    power = estimate(loop, activity, np.zeros((loop.net_count, 2)), loop.loads_pf(None))
    costs = component_costs(loop, power)
    assert set(costs) == set(LOGIC_COMPONENTS)
    assert {name: cost.area_um2 for name, cost in costs.items()} == {
        "multipliers": 1.0,
        "adder_tree": 0.0,
        "registers": 6.0,
        "rest": 2.0,
    }
    total = power.dynamic_pj.sum() + power.input_switching_pj.sum()
    assert sum(cost.energy_pj for cost in costs.values()) == pytest.approx(total, rel=1e-6)
    assert sum(cost.leakage_uw for cost in costs.values()) == pytest.approx(0.065)


@pytest.mark.parametrize("toggles", [-0.1, 2.1, float("nan")])
def test_impossible_activity_is_refused(loop: Netlist, toggles: float) -> None:
    with pytest.raises(HardwareError, match="0 to 2"):
        uniform_activity(loop, toggles)


def test_verilog_names_every_cell_and_port(loop: Netlist) -> None:
    text = to_verilog(loop)
    assert "module top (clk, enable, out);" in text
    assert "inv multiplier0_1 (.A(out)" in text
    assert text.count("endmodule") == 1


def test_a_netlist_without_an_end_has_no_path(tiny: Library) -> None:
    text = json_netlist({"i": ("inv", {"A": 2, "Y": 3})}, {"a": ("input", [2])})
    with pytest.raises(HardwareError, match="no path"):
        analyze(read_netlist(text, tiny, "top"), Conditions(0.0, 0.0))


def test_two_outputs_on_one_net_are_refused(tiny: Library) -> None:
    cells = {"i": ("inv", {"A": 2, "Y": 4}), "j": ("inv", {"A": 3, "Y": 4})}
    ports = {"a": ("input", [2]), "b": ("input", [3]), "y": ("output", [4])}
    with pytest.raises(HardwareError, match="2 outputs drive one net, y"):
        read_netlist(json_netlist(cells, ports), tiny, "top")


def test_an_output_on_an_input_port_is_refused(tiny: Library) -> None:
    text = json_netlist({"i": ("inv", {"A": 2, "Y": 3})}, {"a": ("input", [2]), "b": ("input", [3])})
    with pytest.raises(HardwareError, match="drive one net, b"):
        read_netlist(text, tiny, "top")


def test_a_loop_of_one_gate_is_refused(tiny: Library) -> None:
    text = json_netlist({"i": ("nand", {"A": 2, "B": 3, "Y": 3})}, {"a": ("input", [2]), "y": ("output", [3])})
    with pytest.raises(HardwareError, match="combinational loop through or before i"):
        analyze(read_netlist(text, tiny, "top"), Conditions(0.0, 0.0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"modules": {}}',
        '{"modules": {"top": {"cells": 3}}}',
        '{"modules": {"top": {"ports": {}, "cells": {"i": {}}}}}',
        '{"modules": {"top": {"ports": {"a": 3}, "cells": {}}}}',
        '{"modules": {"top": {"ports": {}, "cells": {"i": {"type": "inv", "connections": {"A": [{}]}}}}}}',
        "[" * 100_000,
    ],
)
def test_other_json_is_refused(tiny: Library, text: str) -> None:
    with pytest.raises(HardwareError, match="JSON netlist"):
        read_netlist(text, tiny, "top")
