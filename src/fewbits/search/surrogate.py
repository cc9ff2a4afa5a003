"""What accuracy an assignment is expected to have, before it is evaluated: sensitivities, and what they leave open.

The points that a choice loses are foretold as a factor times the sum of its units' scores, plus a correction from the
choices evaluated so far: a Gaussian process (kriging; D. G. Krige, 1951) over the share of units in which two choices
differ. The factor makes points of accuracy of scores in other units; the correction holds what units do to each
other, which no sum of single sensitivities knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewbits.search.space import Choice

Numbers = NDArray[np.float64]

_REACH = 0.5
"""Share of the units in which two choices differ at which one still tells exp(-1) of what is known of the other.
A choice without a source: kriging leaves the reach to its user. On LeNet (`scripts/search_fronts.py`) a quarter and a
half of the units let the search find as much."""


@dataclass(frozen=True)
class Expectation:
    """Of choices, one after another: their accuracy in percent, normally distributed."""

    means: Numbers
    deviations: Numbers


@dataclass(frozen=True)
class Surrogate:
    """Made anew after each evaluation."""

    scores: Numbers
    """Unit x precision; 0 for the reference."""

    start_percent: float
    """Accuracy at the reference."""

    images: int
    """That each accuracy is of."""

    known: Mapping[Choice, float]
    """Accuracy in percent of what was evaluated."""

    def expect(self, choices: Sequence[Choice]) -> Expectation:
        """What to expect of choices that were not evaluated."""
        known = list(self.known)
        lost = self.start_percent - np.array([self.known[choice] for choice in known])
        sums = self._sums(known)
        factor = self._factor(sums, lost)
        left = lost - factor * sums
        noise = self._noise()
        variance = max(float((left**2).mean()), noise)
        among = variance * _likeness(known, known) + noise * np.eye(len(known))
        across = variance * _likeness(choices, known)
        corrections = across @ np.linalg.solve(among, left)
        explained = np.einsum("ij,ji->i", across, np.linalg.solve(among, across.T))
        means = self.start_percent - factor * self._sums(choices) - corrections
        deviations = np.sqrt(np.maximum(variance - explained, noise))
        return Expectation(np.clip(means, 0.0, 100.0), deviations)

    def _sums(self, choices: Sequence[Choice]) -> Numbers:
        units = np.arange(len(self.scores))
        return np.array([self.scores[units, list(choice)].sum() for choice in choices])

    @staticmethod
    def _factor(sums: Numbers, lost: Numbers) -> float:
        """Points a unit of score: least squares, never below zero."""
        square = float(sums @ sums)
        return max(0.0, float(sums @ lost) / square) if square else 0.0

    def _noise(self) -> float:
        """Variance of the difference of two accuracies on the same images: a quarter of one binomial share's, since
        most images are classified alike by both; in squared points.
        """
        share = min(max(self.start_percent / 100, 1 / self.images), 1 - 1 / self.images) if self.images > 1 else 0.5
        return 100**2 * share * (1 - share) / self.images / 4


def _likeness(some: Sequence[Choice], others: Sequence[Choice]) -> Numbers:
    """exp(-share of units that differ / reach), some x others."""
    if not some or not others:
        return np.zeros((len(some), len(others)))
    first, second = np.array(some), np.array(others)
    differ = (first[:, None, :] != second[None, :, :]).mean(axis=2)
    return np.exp(-differ / _REACH)


def chance_level(classes: int) -> float:
    """Accuracy of guessing, in percent."""
    return 100.0 / max(1, classes)


def useful_floor(float_percent: float, classes: int) -> float:
    """Accuracy from which on a front counts: half of what the float network knows beyond guessing."""
    guessing = chance_level(classes)
    return guessing + max(0.0, float_percent - guessing) / 2 if math.isfinite(float_percent) else guessing
