"""An estimate of the clock tree in front of a netlist's flip-flops: buffers of the library, level by level.

Before layout no clock tree exists, so this is an estimate: the sinks of each level are gathered under buffers until one
buffer is left; wires are the library's wire-load model. Placement and skew are not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewbits.hardware.energy.power import CLOCK_TOGGLES
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.synthesis import plain_buffers
from fewbits.hardware.process.library.liberty import Cell, Library

SINKS_PER_BUFFER = 25
"""Most sinks under one buffer: the default of OpenLane's CTS_SINK_CLUSTERING_SIZE (OpenLane 1.0 documentation,
"Flow configuration", clock tree synthesis)."""


@dataclass(frozen=True)
class ClockTree:
    """The estimated tree."""

    buffers: int
    energy_pj: float
    """A cycle's: inside the buffers, at their inputs and on the wires; the flip-flops' clock pins are not in it."""


def estimate_clock_tree(netlist: Netlist, clock_slew_ns: float) -> ClockTree:
    """The tree over a netlist's flip-flops; without flip-flops or without a buffer in the library there is none.

    clock_slew_ns: transition at each buffer's input.
    """
    sinks = sum(len(group.cells) for group in netlist.groups if group.cell.flip_flop is not None)
    pin_pf = _clock_pin_pf(netlist)
    buffers, toggle_pj = 0, 0.0
    while sinks > 1:
        count = -(-sinks // SINKS_PER_BUFFER)
        fanout = -(-sinks // count)
        wire_pf = _wire_pf(netlist.library, fanout)
        buffer = _buffer(netlist.library, fanout * pin_pf + wire_pf)
        if buffer is None:
            return ClockTree(0, 0.0)
        load_pf = fanout * pin_pf + wire_pf
        input_pf = buffer.pins[buffer.inputs[0]].capacitance_pf
        toggle_pj += count * (
            _internal_pj(buffer, clock_slew_ns, load_pf) + 0.5 * (input_pf + wire_pf) * netlist.library.voltage_v**2
        )
        buffers += count
        sinks, pin_pf = count, input_pf
    return ClockTree(buffers, toggle_pj * CLOCK_TOGGLES)


def _clock_pin_pf(netlist: Netlist) -> float:
    """Mean capacitance of a flip-flop's clock pin."""
    values = [
        (len(group.cells), group.cell.pins[group.cell.flip_flop.clocked_on.strip("!() ")].capacitance_pf)
        for group in netlist.groups
        if group.cell.flip_flop is not None
    ]
    total = sum(count for count, _ in values)
    return sum(count * capacitance for count, capacitance in values) / total if total else 0.0


def _wire_pf(library: Library, fanout: int) -> float:
    return float(library.wire_load.at(np.array([fanout]))[0]) if library.wire_load else 0.0


def _buffer(library: Library, load_pf: float) -> Cell | None:
    """The smallest buffer that may drive a load, or the strongest one."""
    buffers = sorted(plain_buffers(library.cells.values()), key=lambda cell: cell.area_um2)
    if not buffers:
        return None
    able = [cell for cell in buffers if cell.pins[cell.outputs[0]].max_load_pf >= load_pf]
    return able[0] if able else max(buffers, key=lambda cell: cell.pins[cell.outputs[0]].max_load_pf)


def _internal_pj(buffer: Cell, slew_ns: float, load_pf: float) -> float:
    """Mean energy of a rise and a fall inside a buffer; nothing where the library states none."""
    tables = [t for power in buffer.powers if power.pin == buffer.outputs[0] for t in (power.rise, power.fall) if t]
    return float(np.mean([table.at(slew_ns, load_pf) for table in tables])) if tables else 0.0
