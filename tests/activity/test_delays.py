"""Toggles with each gate's own delays: against Icarus Verilog, on gates done by hand, and as a sample of glitches."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from icarus import toggles_by_icarus  # pyright: ignore
from test_toggles import gate, random_stimulus, stimulus_of  # pyright: ignore

from fewbits.errors import HardwareError
from fewbits.hardware.activity.delays import DelayedCounts, count_with_delays, delayed_gates
from fewbits.hardware.activity.glitches import SAMPLED_CYCLES, SAMPLED_SEGMENTS, glitch_factors, sampled
from fewbits.hardware.activity.program import Gates, compile_gates, gates_of
from fewbits.hardware.activity.toggles import Stimulus, compile_netlist, words_of_bits
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS
from fewbits.hardware.characterization.neuron_options import build_neuron
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, Netlist
from fewbits.hardware.mapping.synthesis import synthesize, top_module
from fewbits.hardware.mapping.timing import Conditions, Timing, analyze, mean_delays_ns
from fewbits.hardware.process.library.liberty import Library

INVERTER, AND, EXCLUSIVE_OR = 0b01, 0b1000, 0b0110


def delays_ps(netlist: Netlist, timing: Timing) -> np.ndarray:
    delays_ns = mean_delays_ns(netlist, timing, netlist.loads_pf(netlist.library.wire_load))
    return np.rint(1000 * delays_ns).astype(np.int64)


def compare(folder: Path, netlist: Netlist, timing: Timing, cycles: int) -> None:
    """Net for net, up to one block of cycles."""
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian's package iverilog)")
    bits, delays = random_stimulus(netlist, cycles, 3), delays_ps(netlist, timing)
    gates = delayed_gates(gates_of(netlist), netlist.net_count, delays)
    counts = count_with_delays(compile_netlist(netlist), gates, stimulus_of(netlist, bits))
    theirs = toggles_by_icarus(folder, netlist, bits, net_delays=delays)
    names = netlist.net_names()
    compared = [net for net in range(CONSTANT_ONE + 1, netlist.net_count) if net not in netlist.clock_nets]
    ours = counts.with_glitches[0]
    assert [int(ours[net]) for net in compared] == [theirs[names[net]] for net in compared]
    assert ours.sum() > 1.2 * counts.settled.sum()


def test_toggles_with_liberty_delays_equal_icarus_net_for_net(tmp_path: Path, netlist: Netlist, timing: Timing) -> None:
    compare(tmp_path, netlist, timing, 60)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fixed8", "binary/fixed16"])
def test_toggles_with_liberty_delays_of_larger_neurons_equal_icarus(
    tmp_path: Path, library: Library, precision: str
) -> None:
    rtlil = build_neuron(precision).rtlil
    netlist = synthesize(rtlil, library, delay_target_ns=3.0, top=top_module(rtlil)).netlist
    timing = analyze(netlist, Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load))
    compare(tmp_path, netlist, timing, 60)


def pulses(delays: dict[int, tuple[int, int]]) -> list[int]:
    """Toggles of each net where a port, net 2, rises, and 4 = 2 and not 2 by way of an inverter, net 3."""
    return toggles_of([gate(INVERTER, [2], 3), gate(AND, [2, 3], 4)], delays, 5)


def toggles_of(gates: list[Gates], delays: dict[int, tuple[int, int]], nets: int) -> list[int]:
    """Toggles of each net in the one cycle in which the port, net 2, rises."""
    program = compile_gates(gates, nets, [f"cell{k}" for k in range(nets)], [2])
    array = np.zeros((nets, 2), np.int64)
    for net, both in delays.items():
        array[net] = both
    words = words_of_bits(np.array([[0], [1]], np.uint8))
    counted = words_of_bits(np.array([[0], [1]], np.uint8))[:, 0]
    stimulus = Stimulus(np.array([2]), words, counted, np.zeros(1, np.int64))
    return count_with_delays(program, delayed_gates(gates, nets, array), stimulus).with_glitches[0].tolist()


def test_a_pulse_longer_than_the_gates_delay_passes() -> None:
    assert pulses({3: (50, 50), 4: (30, 40)})[2:] == [1, 1, 2]


def test_a_pulse_shorter_than_the_gates_delay_does_not() -> None:
    assert pulses({3: (50, 50), 4: (30, 60)})[2:] == [1, 1, 0]


def test_a_pulse_as_long_as_the_gates_delay_passes() -> None:
    assert pulses({3: (50, 50), 4: (50, 50)})[2:] == [1, 1, 2]


def test_the_delay_is_that_of_the_outputs_edge() -> None:
    assert pulses({3: (20, 99), 4: (1, 30)})[2:] == [1, 1, 0]
    assert pulses({3: (99, 20), 4: (1, 30)})[2:] == [1, 1, 2]


def test_inputs_that_change_together_make_no_pulse() -> None:
    assert toggles_of([gate(EXCLUSIVE_OR, [2, 2], 3)], {3: (10, 10)}, 4)[2:] == [1, 0]


def test_delays_of_another_shape_are_refused() -> None:
    with pytest.raises(HardwareError, match=r"delays of 4 nets have the shape \(4, 2\)"):
        delayed_gates([gate(INVERTER, [2], 3)], 4, np.zeros((3, 2), np.int64))
    with pytest.raises(HardwareError, match="none is negative"):
        delayed_gates([gate(INVERTER, [2], 3)], 4, np.full((4, 2), -1))


def test_the_sample_is_drawn_from_the_counted_cycles_of_many_segments() -> None:
    counted = np.random.default_rng(0).integers(0, 2, (40, 256, 1), np.uint8)
    counted[:, 0] = 1
    words = words_of_bits(counted.reshape(-1, 1))[:, 0]
    stimulus = Stimulus(np.array([2]), np.zeros((40, 1, 4), np.uint64), words, np.repeat(np.arange(20), 2))
    drawn = sampled(stimulus, np.random.default_rng(1))
    cycles = np.bitwise_count(drawn.counted).sum(axis=1)
    assert np.bincount(drawn.segment, weights=cycles).tolist() == [SAMPLED_CYCLES] * SAMPLED_SEGMENTS
    places = np.linspace(0, 19, SAMPLED_SEGMENTS).round().astype(int)
    kept = words.reshape(20, 2, 4)[places].reshape(-1, 4)
    assert not (drawn.counted & ~kept).any()
    assert not (drawn.counted[:, 0] & np.uint64(1)).any()


def test_glitch_factors_are_the_samples_ratio_by_component() -> None:
    settled = np.array([[4, 2, 0], [6, 2, 0]])
    counts = DelayedCounts(np.array([1, 1]), settled, settled + np.array([[2, 2, 0], [4, 0, 0]]))
    found = glitch_factors(counts, np.diag([1.0, 2.0, 1.0]))
    assert found.factors.tolist() == [0.6, 0.5, 0.0]
    assert found.deviations[:, 1].tolist() == [0.5, -0.5]
    assert np.allclose(found.deviations.mean(axis=0), 0)
