"""Compiled loops of the simulation with gate delays: events net by net, inertial as gates are.

A gate is numbered as the net that it drives. Nets that no gate drives, those of ports and registers, change once.
Narrow numbers, and side by side what is read together: the loops wait for memory most of their time.
"""

from __future__ import annotations

import numpy as np

from fewbits.compiled import compiled

PATTERN, AIMED, TABLE, SLOT = 0, 1, 2, 3
"""Columns of a net's state: its gate's inputs, the value that it has or is about to take, the number of its truth table
(-1 without a gate) and the slot in which it changes."""

FOLLOWING, PRECEDING, FALL, RISE = 0, 1, 2, 3
"""Columns of a net's links: its neighbours in the slot's list, and its delays."""

MASK_BITS = 8
"""A reader is its gate's number above so many bits that tell which of its inputs read."""

_TOUCHED = 1 << MASK_BITS
"""Marks, in a pattern, a gate of which an input has changed at this time."""

_NONE = -1


@compiled  # pragma: no cover (runs as machine code)
def count_events(
    before, after, pattern_start, pattern_nets, reader_start, readers, table_of, tables, delay, toggles
):  # fmt: skip
    """Follow each cycle from the settled values before a clock edge to those after it, and count every net's toggles.

    before, after: bytes of 0 or 1, (cycles, nets). pattern_start, pattern_nets: the nets that each gate reads,
    (nets + 1,) and (inputs,). reader_start, readers: the gates that read each net. table_of: truth table of each net's
    gate, (nets,), in `tables`, words of 64 rows. delay: until a fall and a rise, for gates at least 1, (nets, 2).
    toggles: added to, (nets,).
    Returns how many nets have ended with another value than in `after`: 0, as delays change no settled value.
    """
    nets = len(table_of)
    slots = 2
    while slots <= delay.max():
        slots *= 2
    first = np.full(slots, _NONE, np.int32)
    state, links = np.full((nets, 4), _NONE, np.int32), np.full((nets, 4), _NONE, np.int32)
    state[:, TABLE] = table_of
    links[:, FALL:] = delay
    due, touched = np.zeros(nets, np.int32), np.zeros(nets, np.int32)
    wrong = 0
    for cycle in range(len(before)):
        _start(before[cycle], pattern_start, pattern_nets, state)
        waiting = 0
        for net in range(nets):
            if state[net, TABLE] < 0 and before[cycle, net] != after[cycle, net]:
                state[net, AIMED] = after[cycle, net]
                _schedule(net, links[net, FALL + state[net, AIMED]], first, state, links)
                waiting += 1
        slot = -1
        while waiting > 0:
            slot = (slot + 1) & (slots - 1)
            if first[slot] == _NONE:
                continue
            count = _take(slot, first, state, links, due, toggles)
            waiting -= count
            reached = _reach(due, count, reader_start, readers, state, touched)
            for k in range(reached):
                waiting += _decide(touched[k], slot, slots, first, state, links, tables)
        for net in range(nets):
            wrong += state[net, AIMED] != after[cycle, net]
    return wrong


@compiled  # pragma: no cover (runs as machine code)
def _start(before, pattern_start, pattern_nets, state):
    """Every net and gate as it was settled."""
    for net in range(len(before)):
        state[net, AIMED] = before[net]
        row = 0
        for k in range(pattern_start[net], pattern_start[net + 1]):
            row |= before[pattern_nets[k]] << (k - pattern_start[net])
        state[net, PATTERN] = row


@compiled  # pragma: no cover (runs as machine code)
def _take(slot, first, state, links, due, toggles):
    """Empty a slot's list into `due` and count a toggle for each net; returns how many there are."""
    count = 0
    net = first[slot]
    first[slot] = _NONE
    while net != _NONE:
        due[count] = net
        count += 1
        state[net, SLOT] = _NONE
        toggles[net] += 1
        net = links[net, FOLLOWING]
    return count


@compiled  # pragma: no cover (runs as machine code)
def _reach(due, count, reader_start, readers, state, touched):
    """Let the readers of nets that have changed see it, and list each of these gates once; returns how many."""
    reached = 0
    for k in range(count):
        for r in range(reader_start[due[k]], reader_start[due[k] + 1]):
            gate = readers[r] >> MASK_BITS
            pattern = state[gate, PATTERN]
            if not pattern & _TOUCHED:
                touched[reached] = gate
                reached += 1
            state[gate, PATTERN] = (pattern ^ (readers[r] & (_TOUCHED - 1))) | _TOUCHED
    return reached


@compiled  # pragma: no cover (runs as machine code)
def _decide(gate, slot, slots, first, state, links, tables):
    """Let a gate act on its inputs, all that change at once together; returns by how much more nets wait."""
    row = state[gate, PATTERN] & (_TOUCHED - 1)
    state[gate, PATTERN] = row
    new = np.int32((tables[state[gate, TABLE], row >> 6] >> np.uint64(row & 63)) & np.uint64(1))
    if new == state[gate, AIMED]:
        return 0
    state[gate, AIMED] = new
    if state[gate, SLOT] != _NONE:
        _cancel(gate, first, state, links)
        return -1
    _schedule(gate, (slot + links[gate, FALL + new]) & (slots - 1), first, state, links)
    return 1


@compiled  # pragma: no cover (runs as machine code)
def _schedule(net, slot, first, state, links):
    """Put a net in front of a slot's list."""
    head = first[slot]
    links[net, FOLLOWING] = head
    links[net, PRECEDING] = _NONE
    if head != _NONE:
        links[head, PRECEDING] = net
    first[slot] = net
    state[net, SLOT] = slot


@compiled  # pragma: no cover (runs as machine code)
def _cancel(net, first, state, links):
    """Take a net out of its slot's list: its gate has changed its mind before its output could follow."""
    after, before = links[net, FOLLOWING], links[net, PRECEDING]
    if before == _NONE:
        first[state[net, SLOT]] = after
    else:
        links[before, FOLLOWING] = after
    if after != _NONE:
        links[after, PRECEDING] = before
    state[net, SLOT] = _NONE
