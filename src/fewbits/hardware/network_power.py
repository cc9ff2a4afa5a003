"""The neurons' energy while they compute a network: from its own operands, by layer, component and image.

From each image and layer a stretch of the schedule is taken at a random output of a random neuron, and simulated on
the neuron's netlist. What varies from image to image, the places drawn included, gives the confidence interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import DataError, HardwareError
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.activity import Stimulus, ToggleCounts, compile_model, count_toggles
from fewbits.hardware.activity_kernels import BLOCK_CYCLES
from fewbits.hardware.compiled_netlist import CompiledNetlist, compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.layer_power import COMPONENTS, GLITCH_SHARE, LayerPower, NetworkPower
from fewbits.hardware.power import CLOCK_TOGGLES, Activity, power_of, toggle_costs, uniform_activity
from fewbits.hardware.technology import LOGIC_COMPONENTS

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.bitexact.operations import Layer
    from fewbits.hardware.activity_program import Program
    from fewbits.hardware.rtl.design import NeuronDesign
    from fewbits.hardware.technology import Technology

IMAGES = 32
"""Images that power is taken from, where no other number is asked for."""


def network_power(
    network: BitExactNetwork,
    images: Tensor,
    netlist: CompiledNetlist,
    accelerator: Accelerator | None = None,
    *,
    glitches: bool = True,
    blocks: int = 1,
    seed: int = 0,
) -> NetworkPower:
    """Simulate a neuron on a network's operands.

    images: N, then the network's input shape; all are taken, N at least 2. blocks: stretches of BLOCK_CYCLES cycles
    from each image and layer. seed: of the places drawn.
    Raises HardwareError if the netlist is of another precision, DataError for images that do not fit.
    """
    from fewbits.hardware.rtl import design

    if network.precision.name != netlist.precision:
        raise HardwareError(f"the netlist is of {netlist.precision!r}, the network of {network.precision.name!r}")
    if len(images) < 2:
        raise DataError(f"power from operands takes at least 2 images, for its confidence interval: not {len(images)}")
    tile = accelerator or Accelerator()
    neuron = design(network.precision)
    simulation = _Simulation(netlist, compile_model(netlist.model), neuron, tile, glitches, blocks)
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
    design: NeuronDesign
    accelerator: Accelerator
    glitches: bool
    blocks: int

    def layer(
        self, network: BitExactNetwork, layer: Layer, values: object, images: int, generator: np.random.Generator
    ) -> LayerPower:
        """Simulate a stretch of one layer for each image and cost it."""
        counts = count_toggles(
            self.program, self._stimulus(network, layer, values, images, generator), glitches=self.glitches
        )
        toggles = counts.settled.astype(np.float64)
        if counts.with_glitches is not None:
            toggles += GLITCH_SHARE * (counts.with_glitches - counts.settled)
        toggles[:, self.netlist.model.clock_nets] = (CLOCK_TOGGLES * counts.cycles)[:, None]
        return self._costed(layer.name, counts, toggles)

    def _costed(self, name: str, counts: ToggleCounts, toggles: NDArray[np.float64]) -> LayerPower:
        model, cycles = self.netlist.model, int(counts.cycles.sum())
        duty = counts.ones / cycles
        duty[model.clock_nets] = 0.5
        activity = Activity(toggles.sum(axis=0) / cycles, duty)
        costs = toggle_costs(model, activity, self.netlist.components, len(LOGIC_COMPONENTS))
        tree = np.zeros(len(COMPONENTS))
        tree[-1] = self.netlist.clock_tree.energy_pj
        by_component = activity.toggles @ costs + tree
        by_image = (toggles @ costs.sum(axis=1)) / counts.cycles + tree.sum()
        settled = counts.settled.sum(axis=0) / cycles
        data = np.ones(model.net_count, dtype=bool)
        data[[0, 1, *model.clock_nets]] = False
        return LayerPower(
            name=name,
            energy_pj=dict(zip(COMPONENTS, map(float, by_component), strict=True)),
            images_pj=by_image,
            glitches_pj=float((activity.toggles[data] - settled[data]) @ costs[data].sum(axis=1)),
            toggles=float(activity.toggles[data].mean()),
            settled_toggles=float(settled[data].mean()),
            cycles=cycles,
        )

    def _stimulus(
        self, network: BitExactNetwork, layer: Layer, values: object, images: int, generator: np.random.Generator
    ) -> Stimulus:
        """A stretch for each image, one after the other; the cycles in which the pipeline fills do not count."""
        from fewbits.hardware.operands import counted_words, layer_operands, stream, stream_bits, stream_words

        operands = layer_operands(network, layer, values, self.design)
        cycles = self.blocks * BLOCK_CYCLES
        words: list[NDArray[np.uint64]] = []
        counted: list[NDArray[np.uint64]] = []
        nets = np.zeros(0, np.int64)
        for image in range(images):
            taken = stream(operands, self.design, self.accelerator, image, cycles, generator)
            nets, own = stream_words(self.netlist.model.ports, stream_bits(self.design, operands, taken))
            words.append(own)
            counted.append(counted_words(taken.busy & (np.arange(cycles) > self.design.pipeline_stages)))
        segment = np.repeat(np.arange(images), self.blocks)
        return Stimulus(nets, np.concatenate(words), np.concatenate(counted), segment)


def power_from_operands(
    network: BitExactNetwork,
    images: Tensor,
    technology: Technology,
    table: Path | str,
    accelerator: Accelerator | None = None,
) -> NetworkPower | None:
    """`network_power` with the compiled netlist that belongs to a technology table; None where there is none.

    A table scaled to another process node has none either: the netlist's energies are the library's own.
    images: of which IMAGES, evenly spaced, are taken. technology: as read from `table`, a file or a shipped name.
    """
    precision = network.precision.name
    path = compiled_netlist_path(table, precision)
    if not path.exists() or len(images) < 2 or "scaled" in technology.provenance:
        return None
    netlist = read_compiled_netlist(path)
    expected = (technology.provenance.get(f"rtlil_sha256 {precision}"), technology.provenance.get("liberty_sha256"))
    if (netlist.provenance.get("rtlil_sha256"), netlist.provenance.get("liberty_sha256")) != expected:
        return None
    chosen = np.linspace(0, len(images) - 1, min(IMAGES, len(images))).round().astype(np.int64)
    return network_power(network, images[chosen.tolist()], netlist, accelerator)
