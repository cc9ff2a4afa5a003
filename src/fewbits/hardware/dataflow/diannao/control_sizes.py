"""The control of other numbers of neurons than the characterized one: estimated from the parts of its netlist.

A neuron adds the registers of its weights, its bias and its result to the control, and the gates and buffers that only
feed those: `each_neuron` finds them in the netlist, by the ports that they drive. What is left grows with the pooling
stage alone, a lane of which has `lane_registers`: its area, leakage and energy go with its registers.
`scripts/measure_control.py` synthesizes other sizes, and docs/results.md says how far the estimate is from those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.latency import pooling_lanes
from fewbits.hardware.dataflow.diannao.program import COUNT_BITS
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.process.technology import ControlCost, NeuronShare, rounded

if TYPE_CHECKING:
    from fewbits.hardware.energy.power import Power
    from fewbits.hardware.mapping.netlist import Netlist

CHARACTERIZED = Accelerator()
"""The size that technology tables hold the control of."""

_REGISTERED_PORTS = ("tile.weights", "tile.bias", "result_data")
"""Outputs of `rtl.control.control_rtlil` whose registers are the neurons'."""

_FEEDING_PORTS = ("sb.read_data", "bias_data", "tile.totals")
"""Inputs that feed them."""


def control_at(control: ControlCost, design: NeuronDesign, accelerator: Accelerator) -> ControlCost:
    """The control for an accelerator's number of neurons: itself at the characterized one, else an estimate.

    control: around the characterized number of neurons, of the accelerator's synapses.

    The longest path and the clock stay those of the characterized size, as does all where the table has no
    `each_neuron`. Rows and the memory's latency change counters and flags by a bit each: that is left out.
    """
    each = control.each_neuron
    neurons, characterized = accelerator.neurons, CHARACTERIZED.neurons
    if each is None or neurons == characterized:
        return control
    rest_registers = control.registers - characterized * each.registers
    lanes_gone = pooling_lanes(replace(CHARACTERIZED, synapses=accelerator.synapses)) - pooling_lanes(accelerator)
    kept = 1 - lanes_gone * lane_registers(design) / rest_registers

    def at(whole: float, share: float) -> float:
        return (whole - characterized * share) * kept + neurons * share

    registers = at(control.registers, each.registers)
    return replace(
        control,
        cells=round(at(control.cells, each.cells)),
        registers=round(registers),
        area_um2=at(control.area_um2, each.area_um2),
        leakage_uw=at(control.leakage_uw, each.leakage_uw),
        computing_pj=at(control.computing_pj, each.computing_pj),
        pooling_pj=at(control.pooling_pj, each.pooling_pj),
        clock_tree_pj=control.clock_tree_pj * registers / control.registers,
        each_neuron=each,
    )


def lane_registers(design: NeuronDesign) -> int:
    """Flip-flops of a lane of the pooling stage (`rtl.pooling`): its value or sum and whether it is empty, what waits
    for the divider, what came from it.
    """
    bits = design.output_bits
    sums = design.accumulator_bits if design.neurons_sum_windows else bits + COUNT_BITS
    return (bits if design.neurons_sum_windows else sums) + 1 + sums + bits


def each_neuron(netlist: Netlist, computing: Power, pooling: Power, neurons: int) -> NeuronShare:
    """What each of the neurons adds to a control's netlist. computing, pooling: of its two kinds of cycles."""
    cells = _cells_behind(netlist, _nets(netlist, _REGISTERED_PORTS))
    registers = int(cells[netlist.sequential].sum())
    area = np.zeros(len(netlist.cell_names))
    for group in netlist.groups:
        area[group.cells] = group.cell.area_um2
    clock_share = registers / max(1, int(netlist.sequential.sum()))
    feeding = _nets(netlist, _FEEDING_PORTS)

    def energy_pj(power: Power) -> float:
        on_ports = power.input_switching_pj[feeding].sum()
        on_clock = power.input_switching_pj[netlist.clock_nets].sum() * clock_share
        return rounded(float(power.dynamic_pj[cells].sum() + on_ports + on_clock) / neurons)

    return NeuronShare(
        cells=round(int(cells.sum()) / neurons),
        registers=round(registers / neurons),
        area_um2=rounded(float(area[cells].sum()) / neurons),
        leakage_uw=rounded(float(computing.leakage_uw[cells].sum()) / neurons),
        computing_pj=energy_pj(computing),
        pooling_pj=energy_pj(pooling),
    )


def _nets(netlist: Netlist, ports: Sequence[str]) -> NDArray[np.int64]:
    return np.concatenate([netlist.ports[name].nets for name in ports if name in netlist.ports])


def _cells_behind(netlist: Netlist, nets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Cells that drive the nets, and gates that drive nothing but such cells; shape (cells,)."""
    count = len(netlist.cell_names)
    driver = np.full(netlist.net_count, -1)
    sink_nets, sink_cells = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for group in netlist.groups:
        for column, pin in enumerate(group.cell.pins.values()):
            connected = group.nets[:, column] >= 0
            if pin.direction == "output":
                driver[group.nets[connected, column]] = group.cells[connected]
            elif pin.direction == "input":
                sink_nets.append(group.nets[connected, column])
                sink_cells.append(group.cells[connected])
    sinks, owners = np.concatenate(sink_nets), np.concatenate(sink_cells)
    fanout = np.bincount(sinks, minlength=netlist.net_count)
    for port in netlist.ports.values():
        if port.direction == "output":
            np.add.at(fanout, port.nets, 1)
    found = np.zeros(count, dtype=bool)
    found[driver[nets[driver[nets] >= 0]]] = True
    before = 0
    while before != found.sum():
        before = int(found.sum())
        inside = np.bincount(sinks[found[owners]], minlength=netlist.net_count)
        leaves = np.zeros(count, dtype=bool)
        leaves[driver[(driver >= 0) & (inside < fanout)]] = True
        feeds = np.zeros(count, dtype=bool)
        feeds[driver[(driver >= 0) & (inside > 0)]] = True
        found |= feeds & ~leaves & ~netlist.sequential
    return found
