"""The neurons' energy while they compute a network: from its own operands, by layer, component and image.

From each image and layer a stretch of the schedule is taken at a random output of a random neuron, and simulated on
the neuron's netlist. What varies from image to image, the places drawn included, gives the confidence interval. What
glitches add is found in a sample of those cycles, simulated with each gate's own delays (`glitches`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fewbits.errors import DataError, HardwareError
from fewbits.hardware.activity.delays import DelayedCounts, DelayedGates, count_with_delays, delayed_gates
from fewbits.hardware.activity.glitches import glitch_factors, sampled
from fewbits.hardware.activity.program import gates_of_model
from fewbits.hardware.activity.toggles import ToggleCounts, compile_model, count_toggles
from fewbits.hardware.costing.layer_power import CLOCK, LayerPower, NetworkPower
from fewbits.hardware.costing.tiles import tile_of, tiles_of
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.registry import dataflow_of
from fewbits.hardware.energy.compiled_netlist import (
    PIPELINING,
    CompiledNetlist,
    compiled_netlist_path,
    read_compiled_netlist,
)
from fewbits.hardware.energy.power import CLOCK_TOGGLES, Activity, power_of, toggle_costs, uniform_activity
from fewbits.hardware.multipliers.registry import multiplier_kind
from fewbits.hardware.process.corners import AT_CORNER
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER, DatapathKey
from fewbits.hardware.workload.networks import workload_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.graph.operations import Layer
    from fewbits.hardware.activity.program import Program
    from fewbits.hardware.dataflow.base import OperandStream
    from fewbits.hardware.dataflow.plan import AnyAccelerator
    from fewbits.hardware.datapath.neuron_design import NeuronDesign
    from fewbits.hardware.energy.energy_model import EnergyModel
    from fewbits.hardware.process.technology import Technology

IMAGES = 32
"""Images that power is taken from, where no other number is asked for."""


def network_power(
    network: BitExactNetwork,
    images: Tensor,
    netlist: CompiledNetlist,
    accelerator: AnyAccelerator | None = None,
    *,
    glitches: bool = True,
    blocks: int = 1,
    seed: int = 0,
    multiplier: str = DEFAULT_MULTIPLIER,
) -> NetworkPower:
    """Simulate a neuron on a network's operands.

    images: N, then the network's input shape; all are taken, N at least 2. blocks: stretches of BLOCK_CYCLES cycles
    from each image and layer. glitches: whether toggles beyond the settled ones count. seed: of the places drawn.
    multiplier: of the netlist.
    Raises HardwareError if the netlist is of another precision, the accelerator's dataflow has no order of operands, or
    the network's float sums have another order than the accelerator's, DataError for images that do not fit.
    """
    simulation = _simulation(network, netlist, accelerator or Accelerator(), glitches, blocks, multiplier)
    if len(images) < 2:
        raise DataError(f"power from operands takes at least 2 images, for its confidence interval: not {len(images)}")
    trace = network.trace(images)
    generator = np.random.default_rng(seed)
    layers: dict[str, LayerPower] = {}
    for layer in network.layers:
        source = trace.get(layer.inputs[0], images)
        layers[layer.name] = simulation.layer(network, layer, source, len(images), generator)
    return NetworkPower(
        precision=netlist.precision,
        layers=layers,
        idle_clock_pj=idle_clock_pj(netlist),
        images=len(images),
        glitches=glitches,
        provenance=netlist.provenance,
    )


def _simulation(
    network: BitExactNetwork,
    netlist: CompiledNetlist,
    tile: AnyAccelerator,
    glitches: bool,
    blocks: int,
    multiplier: str,
) -> _Simulation:
    """Raises HardwareError as `network_power` does."""
    from fewbits.hardware.datapath import design
    from fewbits.hardware.rtl.pipelining import DEFAULT

    asked = DatapathKey(network.precision, multiplier_kind(multiplier).name, network.product_bits)
    key = dataflow_of(tile).datapath_key(asked, tile)
    if key.name != netlist.precision:
        raise HardwareError(f"the netlist is of {netlist.precision!r}, the network of {key.name!r}")
    stages = netlist.provenance.get(PIPELINING, DEFAULT)
    neuron = design(
        network.precision, key.synapses, multiplier=multiplier, product_bits=network.product_bits, stages=stages
    )
    dataflow_of(tile).check_sum_order(network.sum_order, neuron, tile)
    model = netlist.model
    gates = delayed_gates(gates_of_model(model), model.net_count, netlist.delays_ps) if glitches else None
    stream = dataflow_of(tile).needed("operand_stream")
    return _Simulation(netlist, compile_model(model), gates, stream, neuron, tile, blocks)


def network_activity(
    network: BitExactNetwork,
    images: Tensor,
    netlist: CompiledNetlist,
    cycles: Mapping[str, int],
    accelerator: AnyAccelerator | None = None,
    *,
    blocks: int = 1,
    seed: int = 0,
    multiplier: str = DEFAULT_MULTIPLIER,
) -> Activity:
    """Toggles and time at one of every net of a neuron, glitches among the toggles: the mean over a network's layers.

    cycles: of each layer in which its neurons work, by name: its weight. The others are as of `network_power`; one
    image is enough. Raises HardwareError as that does.
    """
    simulation = _simulation(network, netlist, accelerator or Accelerator(), True, blocks, multiplier)
    model = netlist.model
    trace = network.trace(images)
    generator = np.random.default_rng(seed)
    toggles, duty, total = np.zeros(model.net_count), np.zeros(model.net_count), 0
    for layer in network.layers:
        counts, delayed = simulation.counted(network, layer, trace.get(layer.inputs[0], images), len(images), generator)
        activity = _mean_activity(model, counts, delayed)
        toggles += cycles[layer.name] * activity.toggles
        duty += cycles[layer.name] * activity.duty
        total += cycles[layer.name]
    return Activity(toggles / total, duty / total)


def _mean_activity(model: EnergyModel, counts: ToggleCounts, delayed: DelayedCounts) -> Activity:
    """Of all counted cycles, with what glitches add in the sampled ones."""
    cycles = int(counts.cycles.sum())
    glitches = (delayed.with_glitches - delayed.settled).sum(axis=0) / max(1, int(delayed.cycles.sum()))
    duty = counts.ones / cycles
    duty[model.clock_nets] = 0.5
    toggles = counts.settled.sum(axis=0) / cycles + glitches
    toggles[model.clock_nets] = CLOCK_TOGGLES
    return Activity(toggles, duty)


def idle_clock_pj(netlist: CompiledNetlist) -> float:
    """Energy of the clock in a cycle without any other toggle: clock pins, their net, the estimated tree."""
    model = netlist.model
    power = power_of(model, uniform_activity(model, 0.0))
    return float(power.clock_pj.sum() + power.input_switching_pj[model.clock_nets].sum()) + netlist.clock_tree.energy_pj


@dataclass(frozen=True)
class _Simulation:
    """What all layers of a network share."""

    netlist: CompiledNetlist
    program: Program
    gates: DelayedGates | None
    """None where glitches do not count."""

    stream: OperandStream
    design: NeuronDesign
    accelerator: AnyAccelerator
    blocks: int

    def layer(
        self, network: BitExactNetwork, layer: Layer, values: object, images: int, generator: np.random.Generator
    ) -> LayerPower:
        """Simulate a stretch of one layer for each image and cost it."""
        return self._costed(layer.name, *self.counted(network, layer, values, images, generator))

    def counted(
        self, network: BitExactNetwork, layer: Layer, values: object, images: int, generator: np.random.Generator
    ) -> tuple[ToggleCounts, DelayedCounts]:
        """Toggles in the stretch: settled ones of all its cycles, and those with glitches of a sample."""
        drawn = (self.netlist.model.ports, images, generator, self.blocks)
        stimulus = self.stream(network, layer, values, self.design, self.accelerator, *drawn)
        counts = count_toggles(self.program, stimulus)
        if self.gates is None:
            nothing = np.zeros((0, self.program.net_count), np.int64)
            return counts, DelayedCounts(np.zeros(0, np.int64), nothing, nothing)
        return counts, count_with_delays(self.program, self.gates, sampled(stimulus, generator))

    def _costed(self, name: str, counts: ToggleCounts, delayed: DelayedCounts) -> LayerPower:
        model, names, cycles = self.netlist.model, self.netlist.component_names, int(counts.cycles.sum())
        settled = counts.settled / counts.cycles[:, None]
        mean = counts.settled.sum(axis=0) / cycles
        activity = _mean_activity(model, counts, delayed)
        costs = toggle_costs(model, activity, self.netlist.components, len(names))
        found = glitch_factors(delayed, costs)
        clock = CLOCK_TOGGLES * costs[model.clock_nets].sum(axis=0)
        clock[-1] += self.netlist.clock_tree.energy_pj
        settled_pj = mean @ costs
        data = np.ones(model.net_count, dtype=bool)
        data[[0, 1, *model.clock_nets]] = False
        return LayerPower(
            name=name,
            energy_pj=dict(zip((*names, CLOCK), (settled_pj * (1 + found.factors) + clock).tolist(), strict=True)),
            images_pj=settled @ costs @ (1 + found.factors) + clock.sum(),
            glitches_pj=float(settled_pj @ found.factors),
            glitch_deviations_pj=found.deviations @ settled_pj,
            toggles=float(activity.toggles[data].mean()),
            settled_toggles=float(mean[data].mean()),
            cycles=cycles,
            sampled_cycles=int(delayed.cycles.sum()),
        )


class ChosenImages(Protocol):
    """A tensor of images, or what makes those that are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: list[int], /) -> Tensor: ...


def power_from_operands(
    network: BitExactNetwork,
    images: ChosenImages,
    technology: Technology,
    table: Path | str,
    accelerator: AnyAccelerator | None = None,
) -> NetworkPower | None:
    """`network_power` with the compiled netlist that belongs to a technology table; None where there is none.

    There is none of a network whose layers need several datapaths or make products in several ways, on a dataflow
    without an order of operands, or of neurons of a size that the table has no netlist of; the cost then says that it
    is at a uniform activity. A table scaled to another process node, or at a corner, has none either: the netlist's
    energies are those of the typical library.
    images: of which IMAGES, evenly spaced, are taken. technology: as read from `table`, a file or a shipped name.
    """
    made_for = accelerator or Accelerator()
    precision = dataflow_of(made_for).datapath_key(DatapathKey(network.precision), made_for).name
    path = compiled_netlist_path(table, precision)
    is_own = not technology.provenance.keys() & {"scaled", AT_CORNER}
    if not path.exists() or len(images) < 2 or not is_own:
        return None
    main = tile_of(network.precision, technology, made_for)
    if main.dataflow.operand_stream is None:
        return None
    workload = workload_of(network)
    tiles = tiles_of(workload, main)
    if any(tiles.of(layer) is not main or layer.part_of for layer in workload.layers):
        return None
    netlist = read_compiled_netlist(path)
    expected = (technology.provenance.get(f"rtlil_sha256 {precision}"), technology.provenance.get("liberty_sha256"))
    if (netlist.provenance.get("rtlil_sha256"), netlist.provenance.get("liberty_sha256")) != expected:
        return None
    chosen = np.linspace(0, len(images) - 1, min(IMAGES, len(images))).round().astype(np.int64)
    return network_power(network, images[chosen.tolist()], netlist, accelerator)
