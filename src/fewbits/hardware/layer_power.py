"""A neuron's energy in each layer of a network, as simulated: `network_power` fills it, `cost` reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.technology import LOGIC_COMPONENTS

CLOCK = "clock"
COMPONENTS = (*LOGIC_COMPONENTS, CLOCK)
"""`registers` without the clock; `clock`: flip-flops' clock pins, the net at them, and the estimated clock tree."""

CONFIDENCE = 0.95

GLITCH_SHARE = 0.51
"""Part of the unit-delay glitches that is counted, an estimate: gates filter pulses shorter than their delay, which
unit delays pass on. Measured (benchmarks/glitches.py, docs/results.md): simulated by Icarus with each cell's delay from
liberty, inertial as gates are, three neurons have 0.42 to 0.56 of them, 0.51 in the mean."""


@dataclass(frozen=True, eq=False)
class LayerPower:
    """One neuron in a busy cycle of one layer."""

    name: str
    energy_pj: dict[str, float]
    """Dynamic energy by COMPONENTS, mean over the images."""

    images_pj: NDArray[np.float64]
    """Of all components, for each image; shape (images,)."""

    glitches_pj: float
    """The part of the energy that toggles beyond the settled ones take."""

    toggles: float
    """Mean toggles of a data net in a cycle, with GLITCH_SHARE of the glitches where they are counted."""

    settled_toggles: float
    """The same without glitches."""

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
        how = f"{GLITCH_SHARE:g} of unit-delay glitches counted, an estimate" if self.glitches else "without glitches"
        return (
            f"switching activity of the network's own operands on the neuron's netlist ({self.images} images), {how}; "
            "clock tree estimated"
        )


def half_interval(values: NDArray[np.float64], confidence: float = CONFIDENCE) -> float:
    """Half the width of the confidence interval of a mean, the values drawn independently, at least two of them.

    Student's t, its quantile from the normal one by the series of Abramowitz and Stegun, 26.7.5.
    """
    freedom = len(values) - 1
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return float(t * np.std(values, ddof=1) / math.sqrt(len(values)))
