"""What glitches add to settled toggles' energy: a ratio, from a sample of cycles simulated with each gate's own delays.

The ratio estimator (W. G. Cochran, "Sampling Techniques", 3rd ed., chapter 6): glitches in the sampled cycles over
settled toggles in the same cycles, in energy and by component, times the settled toggles of all cycles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.activity.delays import DelayedCounts
from fewbits.hardware.activity.kernels import BLOCK_CYCLES, BLOCK_WORDS
from fewbits.hardware.activity.toggles import Stimulus, bits_of_words, words_of_bits

SAMPLED_SEGMENTS = 16
SAMPLED_CYCLES = 4
"""Of each segment. The error of so small a sample is in the interval of the energy, which tells whether it will do."""


def sampled(stimulus: Stimulus, generator: np.random.Generator) -> Stimulus:
    """Blocks of SAMPLED_SEGMENTS segments, evenly spaced, with SAMPLED_CYCLES of the counted cycles of each, drawn.

    The segments are numbered anew. No block's first cycle is drawn (see `count_with_delays`).
    """
    segments = np.unique(stimulus.segment)
    places = np.linspace(0, len(segments) - 1, min(SAMPLED_SEGMENTS, len(segments))).round().astype(np.int64)
    blocks = np.flatnonzero(np.isin(stimulus.segment, segments[places]))
    _, segment = np.unique(stimulus.segment[blocks], return_inverse=True)
    counted = bits_of_words(stimulus.counted[blocks][:, None, :])[:, 0].reshape(-1, BLOCK_CYCLES)
    counted[:, 0] = 0
    drawn = np.zeros_like(counted)
    for number in range(len(places)):
        block, cycle = np.nonzero(counted * (segment == number)[:, None])
        chosen = generator.choice(len(block), min(SAMPLED_CYCLES, len(block)), replace=False)
        drawn[block[chosen], cycle[chosen]] = 1
    words = words_of_bits(drawn.reshape(-1, 1)).reshape(-1, BLOCK_WORDS)
    return Stimulus(stimulus.nets, stimulus.words[blocks], words, segment.astype(np.int64))


class GlitchFactors(NamedTuple):
    """What glitches add to settled toggles' energy."""

    factors: NDArray[np.float64]
    """Energy of glitches for each unit of settled toggles' energy, by component; 0 where nothing toggles."""

    deviations: NDArray[np.float64]
    """Of each sampled segment, by component: what its glitches take beyond what the factors give, over the sample's
    mean energy of settled toggles. Their mean is 0, their spread tells the factors' error; shape (segments, parts)."""


def glitch_factors(counts: DelayedCounts, costs: NDArray[np.float64]) -> GlitchFactors:
    """The factors by component.

    costs: of a toggle of each net, by component, shape (net_count, parts).
    """
    settled = counts.settled @ costs
    glitches = (counts.with_glitches - counts.settled) @ costs
    total = settled.sum(axis=0)
    divisor = np.where(total > 0, total, 1.0)
    factors = glitches.sum(axis=0) / divisor
    return GlitchFactors(factors, (glitches - factors * settled) * len(settled) / divisor)
