"""The neurons' energy while they compute a network: from its own operands, by layer, component and image.

From each image and layer a stretch of the schedule is taken at a random output of a random neuron, and simulated on
the neuron's netlist. What varies from image to image, the places drawn included, gives the confidence interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import DataError, HardwareError
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.activity import Stimulus, ToggleCounts, compile_model, count_toggles
from fewbits.hardware.activity_kernels import BLOCK_CYCLES
from fewbits.hardware.compiled_netlist import CompiledNetlist
from fewbits.hardware.power import CLOCK_TOGGLES, Activity, power_of, toggle_costs, uniform_activity
from fewbits.hardware.technology import LOGIC_COMPONENTS

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.bitexact.operations import Layer
    from fewbits.hardware.activity_program import Program
    from fewbits.hardware.rtl.design import NeuronDesign

CLOCK = "clock"
COMPONENTS = (*LOGIC_COMPONENTS, CLOCK)
"""`registers` without the clock; `clock`: flip-flops' clock pins, the net at them, and the estimated clock tree."""

IMAGES = 32
"""Images that power is taken from, where no other number is asked for."""

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class LayerPower:
    """One neuron in a busy cycle of one layer."""

    name: str
    energy_pj: dict[str, float]
    """Dynamic energy by COMPONENTS, mean over the images."""

    images_pj: NDArray[np.float64]
    """Of all components, for each image; shape (images,)."""

    toggles: float
    """Mean toggles of a data net in a cycle, with glitches where they are counted."""

    settled_toggles: float
    """The same without glitches."""

    leakage_uw: float
    """Of the neuron in the states that it is in."""

    cycles: int
    """Cycles simulated and counted, of all images together."""


@dataclass(frozen=True, eq=False)
class NetworkPower:
    """A neuron's energy in each layer of a network."""

    precision: str
    layers: dict[str, LayerPower]
    idle_clock_pj: float
    """In a cycle in which nothing but the clock toggles."""

    images: int
    glitches: bool
    provenance: dict[str, str]
    """Of the compiled netlist."""

    @property
    def basis(self) -> str:
        """What the figures rest on, in a sentence."""
        cycles = sum(layer.cycles for layer in self.layers.values())
        how = "unit-delay glitches counted" if self.glitches else "without glitches"
        return (
            f"switching activity of the network's own operands, {self.images} images, {cycles} cycles of a neuron "
            f"simulated on its netlist, {how}; clock tree estimated"
        )


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
        source = images if layer.inputs[0] not in trace else trace[layer.inputs[0]]
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
        toggles = counts.settled if counts.with_glitches is None else counts.with_glitches
        toggles[:, self.netlist.model.clock_nets] = (CLOCK_TOGGLES * counts.cycles)[:, None]
        return self._costed(layer.name, counts, toggles)

    def _costed(self, name: str, counts: ToggleCounts, toggles: NDArray[np.int64]) -> LayerPower:
        model, cycles = self.netlist.model, int(counts.cycles.sum())
        duty = counts.ones / cycles
        duty[model.clock_nets] = 0.5
        activity = Activity(toggles.sum(axis=0) / cycles, duty)
        power = power_of(model, activity)
        costs = toggle_costs(model, activity, self.netlist.components, len(LOGIC_COMPONENTS))
        tree = np.zeros(len(COMPONENTS))
        tree[-1] = self.netlist.clock_tree.energy_pj
        by_component = activity.toggles @ costs + tree
        by_image = (toggles @ costs.sum(axis=1)) / counts.cycles + tree.sum()
        data = np.ones(model.net_count, dtype=bool)
        data[[0, 1, *model.clock_nets]] = False
        return LayerPower(
            name=name,
            energy_pj=dict(zip(COMPONENTS, map(float, by_component), strict=True)),
            images_pj=by_image,
            toggles=float(activity.toggles[data].mean()),
            settled_toggles=float(counts.settled[:, data].sum() / cycles / data.sum()),
            leakage_uw=float(power.leakage_uw.sum()),
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


def half_interval(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> float:
    """Half the width of the confidence interval of a mean, the values drawn independently, at least two of them.

    Student's t, its quantile from the normal one by the series of Abramowitz and Stegun, 26.7.5.
    """
    freedom = len(values) - 1
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return float(t * np.std(values, ddof=1) / math.sqrt(len(values)))
