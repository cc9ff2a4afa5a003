"""What surrounds the neurons: its netlist runs programs in the schedule's cycles, meets the clock, and costs energy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.activity.kernels import BLOCK_CYCLES
from fewbits.hardware.activity.sequential_simulation import SequentialSimulation
from fewbits.hardware.activity.toggles import Stimulus, compile_model, count_toggles, words_of_bits
from fewbits.hardware.characterization import control_run
from fewbits.hardware.characterization.control import control_cost, reference_network
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.control import control_rtlil
from fewbits.hardware.dataflow.diannao.control_sizes import each_neuron
from fewbits.hardware.dataflow.diannao.operands import counted_words
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.energy.compiled_netlist import compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.energy.power import power_of, uniform_activity
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.synthesis import synthesize
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.process.technology import load_technology

SMALL = Accelerator(neurons=2, buffer_rows=8)


@pytest.mark.parametrize(
    "name", [name for name, one in load_technology().datapaths.items() if one.control or one.synapses == 16]
)
def test_every_shipped_control_meets_the_clock_or_the_table_says_which_does_not(name: str) -> None:
    table = load_technology()
    control = table.datapath(name).control
    assert control is not None
    assert table.target_clock_mhz == 250
    if control.longest_path_ns > 4:
        assert name == "fixed32"
        assert control.clock_mhz == pytest.approx(1000 / control.longest_path_ns)
        assert "the control of fixed32 reaches 247.6 of 250 MHz" in table.provenance["notes"]
    else:
        assert control.clock_mhz == table.target_clock_mhz


def test_step_by_step_toggles_are_those_of_the_activity_engine() -> None:
    model = read_compiled_netlist(compiled_netlist_path("ihp-sg13g2", "binary/fixed16")).model
    inputs = {name: nets for name, (direction, nets) in model.ports.items() if direction == "input" and name != "clk"}
    random = np.random.default_rng(0)
    bits = {name: random.integers(0, 2, (BLOCK_CYCLES, len(nets)), np.uint8) for name, nets in inputs.items()}
    simulation = SequentialSimulation(model, kinds=1)
    for cycle in range(BLOCK_CYCLES):
        for name, rows in bits.items():
            simulation.set(name, rows[cycle])
        simulation.settle()
        simulation.clock(0, counts=cycle > 0)
    nets = np.concatenate(list(inputs.values()))
    words = words_of_bits(np.concatenate(list(bits.values()), axis=1).astype(bool))
    counted = counted_words(np.ones(BLOCK_CYCLES, bool))
    engine = count_toggles(compile_model(model), Stimulus(nets, words, counted, np.zeros(1, np.int64)))
    activity = simulation.activity(0)
    data = np.setdiff1d(np.arange(model.net_count), model.clock_nets)
    stepped: NDArray[np.float64] = activity.toggles[data] * (BLOCK_CYCLES - 1)
    assert engine.settled[0].sum() > 10_000
    np.testing.assert_array_equal(np.rint(stepped).astype(np.int64), engine.settled[0][data])


@pytest.fixture(scope="module")
def netlist(pdk: Path) -> Netlist:
    """The control of a small accelerator, mapped."""
    library = read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")
    rtlil = control_rtlil(design("binary/fixed16"), SMALL)
    return synthesize(rtlil, library, delay_target_ns=2.0, top="control", mapping="fast").netlist


@pytest.mark.slow
def test_the_netlist_runs_lenet_in_the_schedules_cycles(netlist: Netlist) -> None:
    made = design("binary/fixed16")
    network, image = reference_network(made)
    simulation = control_run.run_control(netlist, made, SMALL, network, image)
    computing, pooling = (simulation.activity(kind).toggles.mean() for kind in (0, 1))
    assert 0 < pooling < computing < 0.5


@pytest.mark.slow
def test_a_neurons_part_of_the_netlist_is_its_registers_with_what_feeds_them(netlist: Netlist) -> None:
    made = design("binary/fixed16")
    model = energy_model(netlist, np.full((netlist.net_count, 2), 0.1), netlist.loads_pf(None))
    power = power_of(model, uniform_activity(model, 0.2))
    share = each_neuron(netlist, power, power, SMALL.neurons)
    assert share.registers == SMALL.synapses * made.precision.weights.bits + 2 * made.accumulator_bits
    flip_flop = min(cell.area_um2 for cell in netlist.library.flip_flops())
    assert flip_flop * share.registers < share.area_um2 < 2 * flip_flop * share.registers
    assert 0 < share.computing_pj * SMALL.neurons < power.dynamic_pj.sum()


@pytest.mark.slow
def test_a_netlist_of_another_accelerator_is_found_out(netlist: Netlist) -> None:
    made = design("binary/fixed16")
    network, image = reference_network(made)
    with pytest.raises(HardwareError, match="the synthesized control"):
        control_run.run_control(netlist, made, replace(SMALL, memory_latency=7), network, image)


@pytest.mark.slow
def test_characterized_anew_the_control_costs_what_the_table_says(pdk: Path) -> None:
    made = design("fixed4")
    library = read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")
    conditions = Conditions(0.1, 0.1, wire=library.wire_load)
    lines: list[str] = []
    found = control_cost(
        "fixed4", control_rtlil(made, Accelerator()), made, library, conditions, 250.0, lines.append
    )  # fmt: skip
    assert found == load_technology().datapath("fixed4").control
    assert any("running LeNet" in line for line in lines)
