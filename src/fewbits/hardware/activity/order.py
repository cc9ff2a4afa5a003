"""The order in which a netlist's gates are evaluated: sorted, but for a core of gates around feedback.

A *gate* here drives one net, a register too. A net's driver is numbered as the gate that drives it.
"""

from __future__ import annotations

import numpy as np

from fewbits.compiled import compiled

BEFORE, CORE, AFTER = 0, 1, 2
"""Regions: before the core, in it, behind it."""


@compiled  # pragma: no cover (runs as machine code)
def sort_gates(input_start, input_nets, outputs, is_register, net_count, order, region):
    """Sort all gates topologically, registers like any other, and what feedback leaves unsorted cycle by cycle.

    input_start, input_nets: the nets that each gate reads, (gates + 1,) and (inputs,). outputs: the net that each
    drives, or -1. order, region: filled, (gates,). In the core, registers come first, then gates in topological order.
    Returns -1, or a gate that lies in or behind a loop without register.
    """
    gates = len(outputs)
    sources = _sources(input_start, input_nets, outputs, net_count)
    reader_start, readers = _readers(input_start, sources, gates)
    region[:] = CORE
    missing = np.zeros(gates, np.int64)
    for gate in range(gates):
        for k in range(input_start[gate], input_start[gate + 1]):
            missing[gate] += sources[k] >= 0
    count = _take_ready(order, 0, region, missing, is_register, False)
    count = _follow(order, 0, count, reader_start, readers, missing, region, is_register, BEFORE)
    end = _strip_sinks(order, reader_start, readers, input_start, sources, region)
    _count_inside_core(missing, input_start, sources, region, is_register)
    start = count
    count = _take_ready(order, count, region, missing, is_register, True)
    count = _follow(order, start, count, reader_start, readers, missing, region, is_register, CORE)
    if count < end:
        for gate in range(gates):
            if region[gate] == CORE and missing[gate] > 0:
                return gate
    return -1


@compiled  # pragma: no cover (runs as machine code)
def _sources(input_start, input_nets, outputs, net_count):
    """For each input of each gate: the gate that drives it, or -1."""
    driver = np.full(net_count, -1, np.int64)
    for gate in range(len(outputs)):
        if outputs[gate] >= 0:
            driver[outputs[gate]] = gate
    sources = np.full(len(input_nets), -1, np.int64)
    for k in range(len(input_nets)):
        sources[k] = driver[input_nets[k]]
    return sources


@compiled  # pragma: no cover (runs as machine code)
def _readers(input_start, sources, gates):
    """The gates that read each gate: starts, (gates + 1,), and gates, as often as they read it."""
    start = np.zeros(gates + 1, np.int64)
    for source in sources:
        if source >= 0:
            start[source + 1] += 1
    for gate in range(gates):
        start[gate + 1] += start[gate]
    readers = np.zeros(start[gates], np.int64)
    filled = start[:-1].copy()
    for gate in range(gates):
        for k in range(input_start[gate], input_start[gate + 1]):
            source = sources[k]
            if source >= 0:
                readers[filled[source]] = gate
                filled[source] += 1
    return start, readers


@compiled  # pragma: no cover (runs as machine code)
def _take_ready(order, count, region, missing, is_register, in_core):
    """Append the gates that wait for nothing, in the core registers first; else they leave the core."""
    for registers in (True, False):
        for gate in range(len(missing)):
            if region[gate] == CORE and missing[gate] == 0 and is_register[gate] == registers:
                order[count] = gate
                count += 1
                if not in_core:
                    region[gate] = BEFORE
    return count


@compiled  # pragma: no cover (runs as machine code)
def _follow(order, position, count, reader_start, readers, missing, region, is_register, taken_as):
    """Append gates as all that they read is in the order; in the core, registers have been taken before."""
    in_core = taken_as == CORE
    while position < count:
        gate = order[position]
        position += 1
        if in_core and is_register[gate]:
            continue
        for k in range(reader_start[gate], reader_start[gate + 1]):
            reader = readers[k]
            if region[reader] != CORE or (in_core and is_register[reader]):
                continue
            missing[reader] -= 1
            if missing[reader] == 0:
                order[count] = reader
                region[reader] = taken_as
                count += 1
    return count


@compiled  # pragma: no cover (runs as machine code)
def _count_inside_core(missing, input_start, sources, region, is_register):
    """For each gate of the core: how many of its inputs come from gates of the core, registers apart."""
    for gate in range(len(missing)):
        missing[gate] = 0
        if region[gate] != CORE or is_register[gate]:
            continue
        for k in range(input_start[gate], input_start[gate + 1]):
            source = sources[k]
            missing[gate] += source >= 0 and region[source] == CORE and not is_register[source]


@compiled  # pragma: no cover (runs as machine code)
def _strip_sinks(order, reader_start, readers, input_start, sources, region):
    """Move gates that nothing in the core reads to the end of the order; returns where they begin."""
    gates = len(order)
    waiting = np.zeros(gates, np.int64)
    end = gates
    for gate in range(gates):
        if region[gate] == CORE:
            for k in range(reader_start[gate], reader_start[gate + 1]):
                waiting[gate] += region[readers[k]] == CORE
    for gate in range(gates):
        if region[gate] == CORE and waiting[gate] == 0:
            end -= 1
            order[end] = gate
    region[order[end:]] = AFTER
    taken = gates
    while taken > end:
        taken -= 1
        gate = order[taken]
        for k in range(input_start[gate], input_start[gate + 1]):
            source = sources[k]
            if source >= 0 and region[source] == CORE:
                waiting[source] -= 1
                if waiting[source] == 0:
                    end -= 1
                    order[end] = source
                    region[source] = AFTER
    return end


@compiled  # pragma: no cover (runs as machine code)
def depths(order, input_start, input_nets, outputs, is_register, earliest, latest):
    """Gates between a net and the ports and registers that it depends on: fewest and most.

    earliest, latest: by net, filled; given are 0 and 0 for ports, -1 in `latest` for constants, which never change.
    """
    for gate in range(len(outputs)):
        if is_register[gate] and outputs[gate] >= 0:
            earliest[outputs[gate]] = 0
            latest[outputs[gate]] = 0
    for gate in order:
        if is_register[gate] or outputs[gate] < 0:
            continue
        soonest, last = 1 << 30, -1
        for k in range(input_start[gate], input_start[gate + 1]):
            net = input_nets[k]
            if latest[net] >= 0:
                soonest = min(soonest, earliest[net] + 1)
                last = max(last, latest[net] + 1)
        earliest[outputs[gate]] = soonest
        latest[outputs[gate]] = last
