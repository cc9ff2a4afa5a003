"""Accuracy against the number of defects or the bit error rate: a mean over draws, with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from fewbits.arguments import is_integer, shown
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.defects.defective_network import DefectiveNetwork
from fewbits.hardware.defects.faults import draw_faults, fault_sites
from fewbits.hardware.defects.memory import flip_weights

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork

Progress = Callable[[int, int], None]
"""Told after each draw: how many are done, of how many."""

DRAWS = 20


@dataclass(frozen=True)
class DefectPoint:
    """Accuracy at a number of defects, or at a rate."""

    where: str
    amount: float
    """Stuck nets of the tile, or chance of each stored bit to be wrong."""

    mean_percent: float
    interval_percent: float
    """Half of the mean's 95 % interval over draws, by Student's t."""

    accuracies_percent: tuple[float, ...]
    """Of each draw."""


def accuracy_with_faults(
    network: BitExactNetwork,
    images: Tensor,
    labels: Tensor,
    counts: Sequence[int],
    draws: int = DRAWS,
    seed: int = 0,
    where: str = "neuron",
    accelerator: Accelerator | None = None,
    progress: Progress | None = None,
) -> tuple[DefectPoint, ...]:
    """Accuracy with so many stuck nets in the tile's neurons, drawn by area.

    images, labels: as for `BitExactNetwork.run`, and their classes. counts: numbers of faults; a draw's faults of a
    smaller count are among those of a larger one. where: one of PARTS. seed: of the first draw; equal seeds, equal
    figures. Raises HardwareError as `draw_faults` and `DefectiveNetwork` do, or for fewer than 2 draws.
    """
    tile = accelerator or Accelerator()
    sites = fault_sites(DefectiveNetwork(network, (), accelerator=tile).netlist, where)

    def predict(count: float, draw: int) -> Tensor:
        faults = draw_faults(sites, int(count), tile.neurons, np.random.default_rng(draw))
        return (
            DefectiveNetwork(network, faults, accelerator=tile).predict(images) if faults else network.predict(images)
        )

    return _points(where, counts, draws, seed, predict, labels, progress)


def accuracy_with_flips(
    network: BitExactNetwork,
    images: Tensor,
    labels: Tensor,
    rates: Sequence[float],
    draws: int = DRAWS,
    seed: int = 0,
    bits: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> tuple[DefectPoint, ...]:
    """Accuracy with bits of the weights' memory flipped at these rates; `bits` as for `flip_weights`.

    Raises HardwareError as `flip_weights` does, or for fewer than 2 draws.
    """

    def predict(rate: float, draw: int) -> Tensor:
        return flip_weights(network, rate, draw, bits).predict(images)

    return _points("weights", rates, draws, seed, predict, labels, progress)


def _points(
    where: str,
    amounts: Iterable[float],
    draws: int,
    seed: int,
    predict: Callable[[float, int], Tensor],
    labels: Tensor,
    progress: Progress | None,
) -> tuple[DefectPoint, ...]:
    if not is_integer(draws, 2):
        raise HardwareError(f"an interval takes at least 2 draws, not {shown(draws)}")
    if not is_integer(seed, 0):
        raise HardwareError(f"a seed is an integer from 0, not {shown(seed)}")
    asked = tuple(amounts)
    points: list[DefectPoint] = []
    for number, amount in enumerate(asked):
        found: list[float] = []
        for draw in range(draws):
            found.append(100 * float((predict(amount, seed + draw) == labels).double().mean()))
            if progress is not None:
                progress(number * draws + draw + 1, len(asked) * draws)
        t = float(stats.t.ppf(0.975, draws - 1))
        spread = float(np.std(found, ddof=1))
        points.append(DefectPoint(where, amount, float(np.mean(found)), t * spread / math.sqrt(draws), tuple(found)))
    return tuple(points)
