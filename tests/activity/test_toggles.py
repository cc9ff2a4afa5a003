"""Toggle counts against Icarus Verilog, and the engine's own rules."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icarus import toggles_by_icarus  # pyright: ignore

from fewbits.errors import HardwareError
from fewbits.hardware.activity.kernels import BLOCK_WORDS
from fewbits.hardware.activity.program import Gates, compile_gates
from fewbits.hardware.activity.toggles import Stimulus, bits_of_words, compile_netlist, count_toggles, words_of_bits
from fewbits.hardware.characterization.neuron_options import build_neuron
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, Netlist
from fewbits.hardware.mapping.synthesis import synthesize, top_module
from fewbits.hardware.process.library.gate_functions import evaluate, gate_program
from fewbits.hardware.process.library.liberty import Library


def random_stimulus(netlist: Netlist, cycles: int, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    held = {"shift", "relu"}
    stimulus: dict[str, np.ndarray] = {}
    for name, port in netlist.ports.items():
        if port.direction == "input" and name != "clk":
            bits = generator.integers(0, 2, (1 if name in held else cycles, len(port.nets)), dtype=np.uint8)
            stimulus[name] = np.broadcast_to(bits, (cycles, len(port.nets)))
    return stimulus


def stimulus_of(netlist: Netlist, bits: dict[str, np.ndarray]) -> Stimulus:
    words = words_of_bits(np.concatenate(list(bits.values()), axis=1))
    cycles = len(next(iter(bits.values())))
    counted = words_of_bits(np.ones((cycles, 1), np.uint8))[:, 0]
    nets = np.concatenate([netlist.ports[name].nets for name in bits])
    return Stimulus(nets, words, counted, np.zeros(len(words), np.int64))


def compare(folder: Path, netlist: Netlist, cycles: int, glitches: bool) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("needs Icarus Verilog (Debian's package iverilog)")
    bits = random_stimulus(netlist, cycles, 3)
    counts = count_toggles(compile_netlist(netlist), stimulus_of(netlist, bits), glitches=glitches)
    ours = counts.with_glitches if counts.with_glitches is not None else counts.settled
    theirs = toggles_by_icarus(folder, netlist, bits, delay=1 if glitches else 0)
    names = netlist.net_names()
    compared = [net for net in range(CONSTANT_ONE + 1, netlist.net_count) if net not in netlist.clock_nets]
    assert [int(ours[0, net]) for net in compared] == [theirs[names[net]] for net in compared]
    assert ours.sum() > 10 * cycles


def test_settled_toggles_equal_icarus_net_for_net(tmp_path: Path, netlist: Netlist) -> None:
    compare(tmp_path, netlist, 300, glitches=False)


def test_unit_delay_toggles_equal_icarus_net_for_net(tmp_path: Path, netlist: Netlist) -> None:
    compare(tmp_path, netlist, 300, glitches=True)


@pytest.mark.parametrize("glitches", [False, True], ids=["settled", "unit delay"])
@pytest.mark.parametrize(
    "precision",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("fixed8", "pow2-6/fixed16", "binary/fixed16")),
        *(pytest.param(name, marks=pytest.mark.nightly) for name in ("fixed16", "fixed32", "float32")),
    ],
)
def test_toggles_of_larger_neurons_equal_icarus(
    tmp_path: Path, library: Library, precision: str, glitches: bool
) -> None:
    rtlil = build_neuron(precision).rtlil
    netlist = synthesize(rtlil, library, delay_target_ns=3.0, top=top_module(rtlil)).netlist
    compare(tmp_path, netlist, 20 if precision in ("fixed32", "float32") else 100, glitches)


@given(inputs=st.integers(1, 5), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_gate_program_computes_its_truth_table(inputs: int, data: st.DataObject) -> None:
    table = data.draw(st.integers(0, 2 ** (1 << inputs) - 1))
    literals = [sum(1 << row for row in range(1 << inputs) if row >> k & 1) for k in range(inputs)]
    assert evaluate(gate_program(table, inputs), literals, 2 ** (1 << inputs) - 1) == table


@pytest.mark.parametrize(("table", "inputs", "operations"), [(0b0111, 2, 1), (0b0110, 2, 1), (0xCA, 3, 3)])
def test_common_gates_take_few_operations(table: int, inputs: int, operations: int) -> None:
    assert len(gate_program(table, inputs).operations) == operations  # NAND, XOR, multiplexer


def gate(table: int, inputs: list[int], output: int, *, register: bool = False) -> Gates:
    return Gates("cell", table, np.array([inputs]), np.array([output]), np.array([output]), register)


INVERTER, BUFFER, EXCLUSIVE_OR = 0b01, 0b10, 0b0110


def counts_of(gates: list[Gates], nets: int, port: int, bits: list[int], watch: int) -> tuple[list[int], list[int]]:
    """Settled values of one net, and every net's toggles."""
    program = compile_gates(gates, nets, [f"cell{k}" for k in range(nets)], [port])
    words = words_of_bits(np.array(bits, np.uint8)[:, None])
    counted = words_of_bits(np.ones((len(bits), 1), np.uint8))[:, 0]
    stimulus = Stimulus(np.array([port]), words, counted, np.zeros(len(words), np.int64))
    counts = count_toggles(program, stimulus, watch=np.array([watch]))
    return bits_of_words(counts.values)[: len(bits), 0].tolist(), counts.settled[0].tolist()


def test_a_register_is_a_shift_by_one_cycle() -> None:
    bits = np.random.default_rng(0).integers(0, 2, 1000).tolist()
    values, _ = counts_of([gate(BUFFER, [2], 3, register=True)], 4, 2, bits, 3)
    assert values == [0, *bits[:-1]]


def test_feedback_is_followed_cycle_by_cycle() -> None:
    bits = np.random.default_rng(1).integers(0, 2, 1000).tolist()
    gates = [gate(EXCLUSIVE_OR, [2, 3], 4), gate(BUFFER, [4], 3, register=True), gate(INVERTER, [3], 5)]
    values, toggles = counts_of(gates, 6, 2, bits, 3)
    parity = [int(sum(bits[:k]) % 2) for k in range(len(bits))]
    assert values == parity
    assert toggles[3] == toggles[5] == sum(a != b for a, b in pairwise(parity))


def test_toggles_count_only_in_marked_cycles() -> None:
    program = compile_gates([gate(BUFFER, [2], 3)], 4, ["a"] * 4, [2])
    words = words_of_bits((np.arange(512) % 2)[:, None].astype(np.uint8))
    marked = np.zeros((512, 1), np.uint8)
    marked[100:150] = 1
    counted = words_of_bits(marked)[:, 0]
    counts = count_toggles(program, Stimulus(np.array([2]), words, counted, np.zeros(len(words), np.int64)))
    assert counts.settled[0, 3] == 50
    assert counts.cycles.tolist() == [50]
    assert counts.ones[3] == 25


def test_a_combinational_loop_is_named() -> None:
    gates = [gate(INVERTER, [3], 2), gate(INVERTER, [2], 3)]
    with pytest.raises(HardwareError, match="combinational loop through or before cell"):
        compile_gates(gates, 4, ["", "", "cell2", "cell3"], [])


def test_a_stimulus_of_another_shape_is_refused() -> None:
    program = compile_gates([gate(BUFFER, [2], 3)], 4, ["a"] * 4, [2])
    words = np.zeros((2, 1, BLOCK_WORDS), np.uint64)
    with pytest.raises(HardwareError, match="counted cycles"):
        count_toggles(program, Stimulus(np.array([2]), words, np.zeros((1, BLOCK_WORDS), np.uint64), np.zeros(2, int)))
    with pytest.raises(HardwareError, match="beyond the netlist"):
        count_toggles(
            program, Stimulus(np.array([9]), words, np.zeros((2, BLOCK_WORDS), np.uint64), np.zeros(2, np.int64))
        )
