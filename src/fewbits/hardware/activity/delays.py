"""Glitches as gates with their own delays make them: an event-driven simulation of single cycles.

Each net has a delay until its fall and one until its rise; a gate whose function changes back before its output could
follow makes no pulse (inertial, as Verilog's delays are). Registers change their clock-to-output delay after the edge,
ports at the edge. A cycle starts from the settled values of the cycle before, which the bit-parallel engine knows, so
that any cycles can be taken; some thousand times slower a cycle than that, it is made for a sample of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.activity.delays_kernels import MASK_BITS, count_events
from fewbits.hardware.activity.kernels import BLOCK_CYCLES, WORD_BITS
from fewbits.hardware.activity.program import Gates, Program
from fewbits.hardware.activity.toggles import Stimulus, bits_of_words, count_toggles
from fewbits.hardware.mapping.netlist import UNCONNECTED

_TABLE_WORDS = 4
"""Words of 64 rows: truth tables of up to 8 inputs."""


class DelayedCounts(NamedTuple):
    """Toggles of every net in the cycles that were simulated."""

    cycles: NDArray[np.int64]
    """Of each segment, shape (segments,)."""

    settled: NDArray[np.int64]
    """Without delays, shape (segments, net_count)."""

    with_glitches: NDArray[np.int64]
    """With delays, shape (segments, net_count)."""


@dataclass(frozen=True, eq=False)
class DelayedGates:
    """Combinational gates for `activity_delays_kernels.count_events`; see there."""

    pattern_start: NDArray[np.int32]
    pattern_nets: NDArray[np.int32]
    reader_start: NDArray[np.int32]
    readers: NDArray[np.int32]
    table_of: NDArray[np.int32]
    tables: NDArray[np.uint64]
    delay: NDArray[np.int32]


def delayed_gates(gates: Sequence[Gates], net_count: int, delays_ps: NDArray[np.int64]) -> DelayedGates:
    """Gates by the nets that they drive, with delays.

    gates: as `activity_program.gates_of` or `gates_of_model` gives them. delays_ps: of each net until its fall and its
    rise, whole picoseconds, shape (net_count, 2); what gates drive takes at least one.
    Raises HardwareError if the delays are not of that shape or are negative, or a gate has more than 8 inputs.
    """
    if delays_ps.shape != (net_count, 2) or int(delays_ps.min(initial=0)) < 0:
        raise HardwareError(
            f"delays of {net_count} nets have the shape ({net_count}, 2) and none is negative, not {delays_ps.shape}, "
            f"from {delays_ps.min(initial=0)} on"
        )
    combinational = [each for each in gates if not each.is_register]
    widest = max((each.inputs.shape[1] for each in combinational), default=0)
    if widest > MASK_BITS:
        raise HardwareError(f"a gate has {widest} inputs: delays are counted for gates of up to {MASK_BITS}")
    widths = np.zeros(net_count, np.int64)
    table_of = np.full(net_count, -1)
    for number, each in enumerate(combinational):
        driven = each.outputs[each.outputs != UNCONNECTED]
        widths[driven] = each.inputs.shape[1]
        table_of[driven] = number
    start = np.concatenate([[0], np.cumsum(widths)])
    pattern_nets = np.zeros(int(start[-1]), np.int64)
    for each in combinational:
        used = each.outputs != UNCONNECTED
        for k in range(each.inputs.shape[1]):
            pattern_nets[start[each.outputs[used]] + k] = each.inputs[used, k]
    gate = np.repeat(np.arange(net_count), widths)
    order = np.argsort(pattern_nets, kind="stable")
    words = [[each.table >> 64 * word & (1 << 64) - 1 for word in range(_TABLE_WORDS)] for each in combinational]
    return DelayedGates(
        pattern_start=start.astype(np.int32),
        pattern_nets=pattern_nets.astype(np.int32),
        reader_start=np.searchsorted(pattern_nets[order], np.arange(net_count + 1)).astype(np.int32),
        readers=(gate << MASK_BITS | 1 << (np.arange(len(gate)) - start[gate]))[order].astype(np.int32),
        table_of=table_of.astype(np.int32),
        tables=np.array(words, np.uint64).reshape(-1, _TABLE_WORDS),
        delay=np.maximum(delays_ps, (table_of >= 0)[:, None]).astype(np.int32),
    )


def count_with_delays(program: Program, gates: DelayedGates, stimulus: Stimulus) -> DelayedCounts:
    """Simulate the cycles that a stimulus marks as counted, each from the settled values before it.

    The first cycle of a block, whose predecessor lies in another block, is left out.
    Raises HardwareError if the stimulus does not fit the netlist.
    """
    counted = stimulus.counted.copy()
    counted[:, 0] &= ~np.uint64(1)
    nets, segments = program.net_count, int(stimulus.segment.max(initial=0)) + 1
    counts = count_toggles(program, stimulus._replace(counted=counted), watch=np.arange(nets))
    toggles = np.zeros((segments, nets), np.int64)
    marked = bits_of_words(counted[:, None, :])[:, 0].reshape(-1, BLOCK_CYCLES)
    for block, segment in enumerate(stimulus.segment.tolist()):
        cycles = np.flatnonzero(marked[block])
        before, after = (_settled(counts.values[block], cycles + shift) for shift in (-1, 0))
        follow(gates, before, after, toggles[segment])
    return DelayedCounts(counts.cycles, counts.settled, toggles)


def follow(
    gates: DelayedGates, before: NDArray[np.uint8], after: NDArray[np.uint8], toggles: NDArray[np.int64]
) -> None:
    """Add the toggles of every net on its way from the settled values before a clock edge to those after it.

    before, after: 0 or 1, shape (cycles, net_count). toggles: added to, shape (net_count,).
    Raises HardwareError if a net ends with another value than in `after`.
    """
    wrong = count_events(
        before, after, gates.pattern_start, gates.pattern_nets, gates.reader_start, gates.readers,
        gates.table_of, gates.tables, gates.delay, toggles,
    )  # fmt: skip
    if wrong:
        raise HardwareError(f"{wrong} nets do not settle to the values of the netlist without delays")


def _settled(values: NDArray[np.uint64], cycles: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Values of all nets in some cycles of a block, shape (cycles, nets)."""
    words = values[:, cycles // WORD_BITS]
    return np.ascontiguousarray((words >> (cycles % WORD_BITS).astype(np.uint64) & np.uint64(1)).astype(np.uint8).T)
