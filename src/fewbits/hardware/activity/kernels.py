"""Compiled loops of the activity engine: words of 64 cycles through a levelized netlist, one block at a time.

Rows of `values` are nets and scratch rows after them; a row holds BLOCK_WORDS words, bit i of word w being the net's
value in cycle 64 w + i of the block. `invert` masks are words of all zeros or all ones.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.extending import intrinsic

from fewbits.compiled import compiled

BLOCK_WORDS = 4
WORD_BITS = 64
BLOCK_CYCLES = BLOCK_WORDS * WORD_BITS

AND, XOR, REGISTER = 0, 1, 2
"""Kinds of operations; the first two as in `gate_functions`."""

_ONE = np.uint64(1)
_TOP = np.uint64(WORD_BITS - 1)


@intrinsic
def _ones_in(typing_context, word):
    """Number of ones in a word: the processor's instruction, where it has one."""

    def generate(_context, builder, _signature, arguments):
        return builder.ctpop(arguments[0])

    return numba.types.uint64(numba.types.uint64), generate


@compiled  # pragma: no cover (runs as machine code)
def run_blocks(
    kind, a, b, out, invert_a, invert_b, invert_out, before_core, after_core, core_registers, core_inputs,
    port_rows, stimulus, counted, segment, net_count, state, values, bits, toggles, ones,
    step_start, step_first, step_end, wave, glitch_toggles,
):  # fmt: skip
    """Simulate all blocks.

    Operations 0 to before_core - 1 and after_core on run word by word, those between cycle by cycle: first
    core_registers registers, then gates. core_inputs: nets that the core reads from outside. port_rows, stimulus: input
    nets and their words, (blocks, ports, BLOCK_WORDS). counted: words whose ones mark cycles whose toggles count,
    (blocks, BLOCK_WORDS). segment: row of `toggles` for each block. state: last bit of each row, and what each register
    takes next. toggles, glitch_toggles: (segments, net_count); ones: (net_count,). step_start, step_first, step_end:
    for each time step, ranges of operations to evaluate again with unit delays; no steps, no glitches counted.
    """
    glitches = len(step_start) > 1
    for block in range(stimulus.shape[0]):
        for port in range(len(port_rows)):
            values[port_rows[port]] = stimulus[block, port]
        _settle(kind, a, b, out, invert_a, invert_b, invert_out, 0, before_core, values, state)
        if after_core > before_core:
            _settle_core(kind, a, b, out, invert_a, invert_b, invert_out, before_core, after_core, core_registers,
                         core_inputs, values, state, bits)  # fmt: skip
        _settle(kind, a, b, out, invert_a, invert_b, invert_out, after_core, len(kind), values, state)
        mask = counted[block]
        row = segment[block]
        if glitches:
            _wave(kind, a, b, out, invert_a, invert_b, invert_out, step_start, step_first, step_end, net_count, values,
                  state, wave, mask, glitch_toggles[row])  # fmt: skip
        _count(net_count, values, state, mask, toggles[row], ones)


@compiled  # pragma: no cover (runs as machine code)
def _settle(kind, a, b, out, invert_a, invert_b, invert_out, start, end, values, state):
    """Words through operations in order: a gate's are computed, a register's are those of its input a cycle later.

    A register's entry in `state` holds the last bit of its output; `_count` renews it. Its next value is kept apart,
    in bit 1.
    """
    for i in range(start, end):
        x, y, z = a[i], b[i], out[i]
        mask_a, mask_b, mask_out = invert_a[i], invert_b[i], invert_out[i]
        if kind[i] == AND:
            for w in range(BLOCK_WORDS):
                values[z, w] = ((values[x, w] ^ mask_a) & (values[y, w] ^ mask_b)) ^ mask_out
        elif kind[i] == XOR:
            for w in range(BLOCK_WORDS):
                values[z, w] = values[x, w] ^ values[y, w] ^ mask_out
        else:
            carry = (state[z] >> _ONE) & _ONE
            for w in range(BLOCK_WORDS):
                word = values[x, w] ^ mask_a
                values[z, w] = ((word << _ONE) | carry) ^ mask_out
                carry = word >> _TOP
            state[z] = (state[z] & _ONE) | (carry << _ONE)


@compiled  # pragma: no cover (runs as machine code)
def _settle_core(
    kind, a, b, out, invert_a, invert_b, invert_out, start, end, registers, core_inputs, values, state, bits
):
    """The operations around feedback, one cycle after the other; `bits` holds 0 or 1 for each row."""
    words = np.zeros(end - start, np.uint64)
    for w in range(BLOCK_WORDS):
        words[:] = 0
        for t in range(WORD_BITS):
            place = np.uint64(t)
            for row in core_inputs:
                bits[row] = (values[row, w] >> place) & _ONE
            for i in range(start, start + registers):
                bits[out[i]] = (state[out[i]] >> _ONE) ^ (invert_out[i] & _ONE)
            for i in range(start + registers, end):
                x = bits[a[i]] ^ invert_a[i]
                y = bits[b[i]] ^ invert_b[i]
                z = (x ^ y if kind[i] == XOR else x & y) ^ invert_out[i]
                bits[out[i]] = z & _ONE
                words[i - start] |= (z & _ONE) << place
            for i in range(start, start + registers):
                taken = (bits[a[i]] ^ invert_a[i]) & _ONE
                state[out[i]] = (state[out[i]] & _ONE) | (taken << _ONE)
                words[i - start] |= bits[out[i]] << place
        for i in range(start, end):
            values[out[i], w] = words[i - start]


@compiled  # pragma: no cover (runs as machine code)
def _count(net_count, values, state, mask, toggles, ones):
    """Add each net's changes from cycle to cycle and its ones; keep its last bit."""
    for net in range(net_count):
        before = state[net] & _ONE
        changed = np.uint64(0)
        high = np.uint64(0)
        for w in range(BLOCK_WORDS):
            word = values[net, w]
            changed += _ones_in((word ^ ((word << _ONE) | before)) & mask[w])
            high += _ones_in(word & mask[w])
            before = word >> _TOP
        toggles[net] += changed
        ones[net] += high
        state[net] = (state[net] & np.uint64(2)) | before


@compiled  # pragma: no cover (runs as machine code)
def _wave(
    kind, a, b, out, invert_a, invert_b, invert_out, step_start, step_first, step_end, net_count, values, state, wave,
    mask, toggles,
):  # fmt: skip
    """Toggles on the way from one cycle's settled values to the next's, each gate taking one unit of time.

    At first every net has the value of the cycle before, ports and registers (step 0) the new one. In a time step,
    gates are taken from the last level to the first, so that each sees its inputs as they were a step before.
    """
    for net in range(net_count):
        before = state[net] & _ONE
        for w in range(BLOCK_WORDS):
            word = values[net, w]
            wave[net, w] = (word << _ONE) | before
            before = word >> _TOP
    for k in range(step_start[0], step_start[1]):
        net = step_first[k]
        changed = np.uint64(0)
        for w in range(BLOCK_WORDS):
            changed += _ones_in((values[net, w] ^ wave[net, w]) & mask[w])
            wave[net, w] = values[net, w]
        toggles[net] += changed
    for k in range(step_start[1], step_start[len(step_start) - 1]):
        for i in range(step_first[k], step_end[k]):
            changed = _evaluate_anew(kind[i], a[i], b[i], out[i], invert_a[i], invert_b[i], invert_out[i], wave, mask)
            if out[i] < net_count:
                toggles[out[i]] += changed


@compiled  # pragma: no cover (runs as machine code)
def _evaluate_anew(kind, x, y, z, mask_a, mask_b, mask_out, wave, mask):
    """One operation on all words; returns how many of the result's bits change."""
    changed = np.uint64(0)
    if kind == AND:
        for w in range(BLOCK_WORDS):
            word = ((wave[x, w] ^ mask_a) & (wave[y, w] ^ mask_b)) ^ mask_out
            changed += _ones_in((word ^ wave[z, w]) & mask[w])
            wave[z, w] = word
    else:
        for w in range(BLOCK_WORDS):
            word = wave[x, w] ^ wave[y, w] ^ mask_out
            changed += _ones_in((word ^ wave[z, w]) & mask[w])
            wave[z, w] = word
    return changed
