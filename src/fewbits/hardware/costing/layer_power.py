"""A neuron's energy in each layer of a network, as simulated: `network_power` fills it, `cost` reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

CLOCK = "clock"
"""Beside the datapath's components: flip-flops' clock pins, the net at them, and the estimated clock tree."""

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class LayerPower:
    """One neuron in a busy cycle of one layer."""

    name: str
    energy_pj: dict[str, float]
    """Dynamic energy by component of the datapath, `registers` without the clock, and CLOCK; mean over the images."""

    images_pj: NDArray[np.float64]
    """Of all components, for each image; shape (images,)."""

    glitches_pj: float
    """The part of the energy that toggles beyond the settled ones take."""

    glitch_deviations_pj: NDArray[np.float64]
    """For each image of the sample that glitches are taken from, by how much it differs from what the sample gives it;
    shape (sampled images,), none without glitches."""

    toggles: float
    """Mean toggles of a data net in a cycle, glitches with them where they are counted."""

    settled_toggles: float
    """The same without glitches."""

    cycles: int
    """Cycles simulated and counted, of all images together."""

    sampled_cycles: int
    """Cycles among them that were simulated with each gate's delay, for the glitches."""


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
        return (
            f"switching activity of the network's own operands on the neuron's netlist ({self.images} images), "
            f"{self._glitch_basis}; clock tree estimated"
        )

    @property
    def _glitch_basis(self) -> str:
        if not self.glitches:
            return "without glitches"
        sampled = sorted({layer.sampled_cycles for layer in self.layers.values()})
        cycles = f"{sampled[0]}" if len(sampled) == 1 else f"{sampled[0]} to {sampled[-1]}"
        return f"glitches by each gate's own delays in {cycles} cycles a layer"

    def half_interval_pj(self, cycles: Mapping[str, int]) -> float:
        """Half of the confidence interval of the energy of so many cycles of each layer.

        Of the images' spread and the glitches' sampling error, which are independent: the root of their squares' sum.
        """
        images = sum((count * self.layers[name].images_pj for name, count in cycles.items()), np.zeros(self.images))
        deviations = [count * self.layers[name].glitch_deviations_pj for name, count in cycles.items()]
        sampling = half_interval(np.sum(deviations, axis=0)) if self.glitches and deviations else 0.0
        return math.hypot(half_interval(images), sampling)


def half_interval(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> float:
    """Half the width of the confidence interval of a mean, the values drawn independently, at least two of them.

    Student's t, its quantile from the normal one by the series of Abramowitz and Stegun, 26.7.5.
    """
    freedom = len(values) - 1
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return float(t * np.std(values, ddof=1) / math.sqrt(len(values)))
