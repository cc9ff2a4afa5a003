"""Glitches of what surrounds the neurons: step by step as in one go, as Icarus Verilog has them, and their energy."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from icarus import toggles_by_icarus  # pyright: ignore

from fewbits.hardware.activity.delays import DelayedCounts, count_with_delays, delayed_gates
from fewbits.hardware.activity.kernels import BLOCK_CYCLES
from fewbits.hardware.activity.program import gates_of, gates_of_model
from fewbits.hardware.activity.sequential_simulation import SequentialSimulation
from fewbits.hardware.activity.toggles import Stimulus, compile_model, words_of_bits
from fewbits.hardware.characterization.control import reference_network
from fewbits.hardware.characterization.control_glitches import GlitchSample, control_glitches, glitch_energy
from fewbits.hardware.characterization.control_run import run_control
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.control import control_rtlil
from fewbits.hardware.datapath.neuron_design import NeuronDesign, design
from fewbits.hardware.energy.compiled_netlist import CompiledNetlist, compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.power import CLOCK_TOGGLES, Activity, power_of, toggle_costs
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, Netlist
from fewbits.hardware.mapping.synthesis import synthesize
from fewbits.hardware.mapping.timing import Conditions, Timing, analyze, mean_delays_ns
from fewbits.hardware.process.library.liberty import Library

SMALL = Accelerator(neurons=2, buffer_rows=8)
ICARUS_CYCLES = 120
Bits = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def shipped() -> CompiledNetlist:
    """A neuron's netlist: steps of a simulation are the same whatever it is of."""
    return read_compiled_netlist(compiled_netlist_path("ihp-sg13g2", "binary/fixed16"))


def random_bits(netlist: CompiledNetlist, cycles: int) -> Bits:
    generator = np.random.default_rng(0)
    ports = netlist.model.ports.items()
    inputs = {name: nets for name, (direction, nets) in ports if direction == "input" and name != "clk"}
    return {name: generator.integers(0, 2, (cycles, len(nets)), np.uint8) for name, nets in inputs.items()}


def step_through(simulation: SequentialSimulation, bits: Bits) -> None:
    """All cycles but the first count."""
    for cycle in range(len(next(iter(bits.values())))):
        for name, rows in bits.items():
            simulation.set(name, rows[cycle])
        simulation.settle()
        simulation.clock(0, counts=cycle > 0)


def stepped(netlist: CompiledNetlist, cycles: int) -> tuple[Bits, Activity, DelayedCounts]:
    """Stimulus, activity, and toggles with delays of a run of which every cycle is drawn."""
    model = netlist.model
    gates = delayed_gates(gates_of_model(model), model.net_count, netlist.delays_ps)
    sample = GlitchSample(gates, model.net_count, [1.0])
    simulation, bits = SequentialSimulation(model, kinds=1, watch=sample), random_bits(netlist, cycles)
    step_through(simulation, bits)
    return bits, simulation.activity(0), sample.counts(0)


def test_step_by_step_glitches_are_those_of_the_activity_engine(shipped: CompiledNetlist) -> None:
    model = shipped.model
    bits, _, counts = stepped(shipped, BLOCK_CYCLES)
    nets = np.concatenate([model.ports[name][1] for name in bits])
    words = words_of_bits(np.concatenate(list(bits.values()), axis=1))
    counted = words_of_bits(np.ones((BLOCK_CYCLES, 1), np.uint8))[:, 0]
    gates = delayed_gates(gates_of_model(model), model.net_count, shipped.delays_ps)
    engine = count_with_delays(compile_model(model), gates, Stimulus(nets, words, counted, np.zeros(1, np.int64)))
    assert counts.cycles.sum() == engine.cycles[0] == BLOCK_CYCLES - 1
    np.testing.assert_array_equal(counts.with_glitches.sum(axis=0), engine.with_glitches[0])
    assert engine.with_glitches.sum() > 1.2 * engine.settled.sum()


def test_of_a_share_of_none_nothing_is_drawn(shipped: CompiledNetlist) -> None:
    model = shipped.model
    gates = delayed_gates(gates_of_model(model), model.net_count, shipped.delays_ps)
    sample = GlitchSample(gates, model.net_count, [0.0])
    step_through(SequentialSimulation(model, kinds=1, watch=sample), random_bits(shipped, 8))
    assert sample.counts(0).cycles.sum() == sample.counts(0).with_glitches.sum() == 0


def test_settled_toggles_and_glitches_take_what_all_toggles_take(shipped: CompiledNetlist) -> None:
    model = shipped.model
    _, settled, counts = stepped(shipped, 64)
    found = glitch_energy(model, settled, counts)
    toggles = counts.with_glitches.sum(axis=0) / counts.cycles.sum()
    toggles[model.clock_nets] = CLOCK_TOGGLES
    power = power_of(model, Activity(toggles, settled.duty))
    costs = toggle_costs(model, Activity(toggles, settled.duty), np.zeros(model.cell_count, np.uint8), 1)
    clock_pj = CLOCK_TOGGLES * costs[model.clock_nets, 1].sum()
    expected = power.dynamic_pj.sum() + power.input_switching_pj.sum() - clock_pj
    assert found.settled_pj + found.glitches_pj == pytest.approx(expected)
    assert 0.1 * found.settled_pj < found.glitches_pj < found.settled_pj
    assert found.toggles == pytest.approx(counts.with_glitches.sum() / counts.settled.sum())


@pytest.fixture(scope="module")
def made() -> NeuronDesign:
    return design("binary/fixed16")


@pytest.fixture(scope="module")
def control(made: NeuronDesign, library: Library) -> Netlist:
    """The control of a small accelerator, mapped."""
    return synthesize(
        control_rtlil(made, SMALL), library, delay_target_ns=2.0, top="control", mapping="fast"
    ).netlist  # fmt: skip


def conditions(library: Library) -> Conditions:
    return Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)


@pytest.fixture(scope="module")
def control_timing(control: Netlist, library: Library) -> Timing:
    return analyze(control, conditions(library))


class EnoughError(Exception):
    """Ends a run."""


def start_of_the_run(control: Netlist, made: NeuronDesign) -> Bits:
    """What the ports see from power-on, while LeNet's program begins: reset, start, then its first cycles."""
    inputs = {name: port.nets for name, port in control.ports.items() if port.direction == "input" and name != "clk"}
    rows: dict[str, list[np.ndarray]] = {name: [np.zeros(len(nets), np.uint8)] * 2 for name, nets in inputs.items()}
    rows["rst"] = [np.ones(1, np.uint8), np.zeros(1, np.uint8)]
    rows["start"] = [np.zeros(1, np.uint8), np.ones(1, np.uint8)]

    def record(_kind: int, _before: np.ndarray, after: np.ndarray) -> None:
        for name, nets in inputs.items():
            rows[name].append(after[nets].astype(np.uint8))
        if len(rows["start"]) == ICARUS_CYCLES:
            raise EnoughError

    with suppress(EnoughError):
        run_control(control, made, SMALL, *reference_network(made), watch=record)
    return {name: np.array(bits) for name, bits in rows.items()}


@pytest.mark.slow
def test_the_controls_toggles_with_liberty_delays_equal_icarus_net_for_net(
    tmp_path: Path, control: Netlist, control_timing: Timing, made: NeuronDesign
) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian's package iverilog)")
    delays_ns = mean_delays_ns(control, control_timing, control.loads_pf(control.library.wire_load))
    delays_ps = np.rint(1000 * delays_ns).astype(np.int64)
    bits = start_of_the_run(control, made)
    sample = GlitchSample(delayed_gates(gates_of(control), control.net_count, delays_ps), control.net_count, [1.0])
    step_through(SequentialSimulation(control, kinds=1, watch=sample), bits)
    # Icarus takes port names without dots.
    plain = replace(control, ports={name.replace(".", "_"): port for name, port in control.ports.items()})
    stimulus = {name.replace(".", "_"): rows for name, rows in bits.items()}
    theirs = toggles_by_icarus(tmp_path, plain, stimulus, net_delays=delays_ps)
    names = plain.net_names()
    compared = [net for net in range(CONSTANT_ONE + 1, plain.net_count) if net not in plain.clock_nets]
    counts = sample.counts(0)
    ours = counts.with_glitches.sum(axis=0)
    assert [int(ours[net]) for net in compared] == [theirs[names[net]] for net in compared]
    assert ours.sum() > counts.settled.sum() > 10 * ICARUS_CYCLES


@pytest.mark.slow
def test_a_larger_sample_of_the_controls_cycles_finds_the_same_energy(
    control: Netlist, control_timing: Timing, made: NeuronDesign, library: Library
) -> None:
    network, image = reference_network(made)
    few, many = (
        control_glitches(control, control_timing, made, SMALL, conditions(library), network, image, cycles)
        for cycles in (100, 1000)
    )
    for small, large in zip(few, many, strict=True):
        assert 0 < large.half_interval_pj < small.half_interval_pj
        assert abs(small.glitches_pj - large.glitches_pj) < 2 * small.half_interval_pj
        assert 0 < large.glitches_pj < large.settled_pj
