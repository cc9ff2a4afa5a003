"""Switching activity of a netlist from operands: every net's toggles, counted by bit-parallel simulation.

The netlist is ordered once; then words of 64 cycles go through it, each gate a few word operations. A register that
nothing feeds back to is a shift by one cycle. The gates around feedback (an accumulator) are evaluated cycle by cycle
in their place in that order, so that the whole is exact, whatever the netlist does.

Two counts: *settled* toggles, of gates without delay (at most one a cycle and net), and those with *glitches*, each
gate taking one unit of time: what a net does on its way from one cycle's value to the next's. Real gates filter pulses
shorter than their delay, which unit delays pass on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.activity.kernels import BLOCK_CYCLES, BLOCK_WORDS, run_blocks
from fewbits.hardware.activity.program import Program, compile_gates, gates_of, gates_of_model
from fewbits.hardware.energy.energy_model import EnergyModel
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, Netlist

Words = NDArray[np.uint64]


class Stimulus(NamedTuple):
    """What input ports see, in blocks of BLOCK_CYCLES cycles."""

    nets: NDArray[np.int64]
    """Nets that the ports drive, shape (nets,)."""

    words: Words
    """Bit i of word w is the value in cycle 64 w + i of the block; shape (blocks, nets, BLOCK_WORDS)."""

    counted: Words
    """Ones mark the cycles whose toggles (from the cycle before) count; shape (blocks, BLOCK_WORDS)."""

    segment: NDArray[np.int64]
    """Which count each block adds to, shape (blocks,)."""


@dataclass(frozen=True, eq=False)
class ToggleCounts:
    """Toggles of every net."""

    cycles: NDArray[np.int64]
    """Counted cycles of each segment, shape (segments,)."""

    settled: NDArray[np.int64]
    """Changes between the settled values of consecutive cycles, shape (segments, net_count)."""

    with_glitches: NDArray[np.int64] | None
    """Changes with unit delays; None if they were not asked for. Clock nets are in neither."""

    ones: NDArray[np.int64]
    """Counted cycles in which the net is one, all segments together; shape (net_count,)."""

    values: Words
    """Settled values of the nets asked for, shape (blocks, asked, BLOCK_WORDS)."""


def compile_netlist(netlist: Netlist) -> Program:
    """Compile a mapped netlist for `count_toggles`.

    Raises HardwareError for combinational loops and for cells without a model, see `activity_program.gates_of`.
    """
    ports = [int(net) for port in netlist.ports.values() if port.direction == "input" for net in port.nets]
    return compile_gates(gates_of(netlist), netlist.net_count, netlist.cell_names, ports)


def compile_model(model: EnergyModel) -> Program:
    """The same for a netlist with its energies, as a compiled netlist holds it."""
    ports = [int(net) for direction, nets in model.ports.values() if direction == "input" for net in nets]
    names = [""] * model.cell_count
    for block in model.blocks:
        for cell in block.cells.tolist():
            names[cell] = f"{block.kind.name} {cell}"
    return compile_gates(gates_of_model(model), model.net_count, names, ports)


def count_toggles(
    program: Program, stimulus: Stimulus, *, glitches: bool = False, watch: NDArray[np.int64] | None = None
) -> ToggleCounts:
    """Simulate from power-on (all registers zero) and count; ports not in the stimulus stay zero.

    glitches: count with unit delays as well. watch: nets whose settled values are wanted.
    Raises HardwareError if the stimulus' arrays do not fit one another or the netlist.
    """
    _check(program, stimulus)
    blocks, segments = len(stimulus.words), int(stimulus.segment.max(initial=0)) + 1
    rows = program.net_count + program.scratch_rows
    values = np.zeros((rows, BLOCK_WORDS), np.uint64)
    values[CONSTANT_ONE] = np.uint64(0xFFFFFFFFFFFFFFFF)
    state = np.zeros(rows, np.uint64)
    toggles = np.zeros((segments, program.net_count), np.int64)
    glitch_toggles = np.zeros_like(toggles) if glitches else np.zeros((segments, 1), np.int64)
    ones = np.zeros(program.net_count, np.int64)
    steps = program.steps if glitches else (np.zeros(1, np.int64),) * 3
    wave = np.zeros((rows if glitches else 1, BLOCK_WORDS), np.uint64)
    watched = np.zeros(0, np.int64) if watch is None else watch
    seen = np.zeros((blocks, len(watched), BLOCK_WORDS), np.uint64)
    counted = stimulus.counted.copy()
    if blocks:
        counted[0, 0] &= ~np.uint64(1)  # nothing comes before the first cycle
    bits = np.zeros(rows, np.uint64)
    bits[CONSTANT_ONE] = 1
    one_by_one = range(blocks) if len(watched) else [slice(None)]
    for part in one_by_one:
        chosen = slice(part, part + 1) if isinstance(part, int) else part
        run_blocks(
            program.kind, program.a, program.b, program.out, program.invert_a, program.invert_b, program.invert_out,
            program.before_core, program.after_core, program.core_registers, program.core_inputs,
            stimulus.nets, stimulus.words[chosen], counted[chosen], stimulus.segment[chosen], program.net_count, state,
            values, bits, toggles, ones, *steps, wave, glitch_toggles,
        )  # fmt: skip
        if isinstance(part, int):
            seen[part] = values[watched]
    cycles = np.zeros(segments, np.int64)
    np.add.at(cycles, stimulus.segment, np.bitwise_count(counted).sum(axis=1).astype(np.int64))
    return ToggleCounts(cycles, toggles, glitch_toggles if glitches else None, ones, seen)


def _check(program: Program, stimulus: Stimulus) -> None:
    blocks, nets = len(stimulus.words), len(stimulus.nets)
    if stimulus.words.shape != (blocks, nets, BLOCK_WORDS) or stimulus.counted.shape != (blocks, BLOCK_WORDS):
        raise HardwareError(
            f"a stimulus of {nets} nets has words of shape (blocks, {nets}, {BLOCK_WORDS}) and counted cycles of shape "
            f"(blocks, {BLOCK_WORDS}), not {stimulus.words.shape} and {stimulus.counted.shape}"
        )
    if stimulus.segment.shape != (blocks,) or (blocks and int(stimulus.segment.min()) < 0):
        raise HardwareError(f"a stimulus of {blocks} blocks has one segment from 0 on for each of them")
    if nets and (int(stimulus.nets.min()) < 0 or int(stimulus.nets.max()) >= program.net_count):
        raise HardwareError(f"the stimulus names a net beyond the netlist's {program.net_count}")


def words_of_bits(bits: NDArray[np.bool_] | NDArray[np.uint8]) -> Words:
    """Bits of a stream as words in blocks, the last one filled up with zeros.

    bits: shape (cycles, nets). Result: (blocks, nets, BLOCK_WORDS).
    """
    cycles, nets = bits.shape
    blocks = -(-cycles // BLOCK_CYCLES)
    padded = np.zeros((blocks * BLOCK_CYCLES, nets), np.uint8)
    padded[:cycles] = bits
    packed = np.packbits(np.ascontiguousarray(padded.T), axis=1, bitorder="little")
    return np.ascontiguousarray(packed.view("<u8").reshape(nets, blocks, BLOCK_WORDS).swapaxes(0, 1))


def bits_of_words(words: Words) -> NDArray[np.uint8]:
    """The inverse of `words_of_bits`: shape (blocks x BLOCK_CYCLES, nets)."""
    blocks, nets, _ = words.shape
    flat = np.ascontiguousarray(words.swapaxes(0, 1)).reshape(nets, blocks * BLOCK_WORDS)
    return np.unpackbits(flat.astype("<u8").view(np.uint8), axis=1, bitorder="little").T
