"""What is asked of a measurement of defects: where they lie, how many, how many draws, and what is done about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fewbits.arguments import is_integer, is_real, shown
from fewbits.errors import HardwareError
from fewbits.toml_table import nearest

DRAWS = 20
"""Draws of the defects, unless others are asked for."""

MOST_DRAWS = 10_000
MOST_AMOUNTS = 1000

PLACES: Mapping[str, str] = {
    "neuron": "counts",
    "datapath": "counts",
    "registers": "counts",
    "weights-memory": "rates",
    "inputs-memory": "rates",
}
"""By where defects lie, what tells how many: `counts` of stuck nets (of all cells of the tile's neurons, of those
without state, of flip-flops), or `rates`, each stored bit's chance to be wrong."""

REPAIRS: Mapping[str, str] = {
    "others": "the neurons that are left compute the outputs of disabled ones, in more cycles",
    "dropped": "outputs of disabled neurons are zero",
}
"""By name, what a repair does; a neuron with a defect is disabled."""


@dataclass(frozen=True)
class DefectPlan:
    """Where defects lie, how many, and what is done about them.

    Raises HardwareError, in one line, for what does not exist, cannot be, or does not go together.
    """

    where: str
    """One of PLACES."""

    counts: tuple[int, ...] = ()
    """Numbers of stuck nets in the whole tile, from 0; for places of counts."""

    rates: tuple[float, ...] = ()
    """Bit error rates, 0 to 1; for memories."""

    draws: int = DRAWS
    """How often each number of defects is drawn anew; at least 2."""

    seed: int = 0
    """Of the first draw; equal seeds, equal defects."""

    retrain_epochs: int | None = None
    """Epochs of a training that knows the defects, for every draw; None for none."""

    repair: str | None = None
    """One of REPAIRS, for stuck nets; None for none."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", _as_tuple(self.counts, "counts"))
        object.__setattr__(self, "rates", _as_tuple(self.rates, "rates"))
        if self.where not in tuple(PLACES):  # a tuple: a list given for a name has no hash
            hint = nearest(str(self.where), PLACES)
            raise HardwareError(f"defects lie in one of {', '.join(PLACES)}, not in {shown(self.where)}{hint}")
        self._check_amounts()
        if not is_integer(self.draws, 2, MOST_DRAWS):
            raise HardwareError(f"an interval takes at least 2 draws, at most {MOST_DRAWS:,}, not {shown(self.draws)}")
        if not is_integer(self.seed, 0, 2**32 - 1):
            raise HardwareError(f"a seed is an integer from 0 to 2**32 - 1, not {shown(self.seed)}")
        if self.retrain_epochs is not None and not is_integer(self.retrain_epochs, 1, 1000):
            raise HardwareError(f"retraining takes 1 to 1000 epochs, not {shown(self.retrain_epochs)}")
        if self.retrain_epochs is not None and self.where == "inputs-memory":
            raise HardwareError(
                "retraining knows defects of neurons and of the weights' memory, not of the inputs-memory: leave out "
                "retrain_epochs"
            )
        if self.repair is not None and self.repair not in tuple(REPAIRS):
            raise HardwareError(f"a repair is one of {', '.join(REPAIRS)}, not {shown(self.repair)}")
        if self.repair is not None and self.kind != "counts":
            raise HardwareError(f"a repair disables a neuron, and {self.where} has none: leave out repair")

    def _check_amounts(self) -> None:
        other = "rates" if self.kind == "counts" else "counts"
        if getattr(self, other) or not self.amounts:
            raise HardwareError(f"defects in {self.where} are told by {self.kind}, one at least, and not by {other}")
        if len(self.amounts) > MOST_AMOUNTS:
            raise HardwareError(f"a curve has at most {MOST_AMOUNTS} {self.kind}, not {len(self.amounts)}")
        for amount in self.amounts:
            if self.kind == "counts" and not is_integer(amount, 0):
                raise HardwareError(f"a number of faults is an integer from 0, not {shown(amount)}")
            if self.kind == "rates" and not is_real(amount, 0, 1):
                raise HardwareError(f"a bit error rate is a number from 0 to 1, not {shown(amount)}")
        if len(set(self.amounts)) < len(self.amounts):
            raise HardwareError(f"the same number is twice in {self.kind}: give each once")

    @property
    def kind(self) -> str:
        """`counts` or `rates`."""
        return PLACES[self.where]

    @property
    def amounts(self) -> tuple[float, ...]:
        """The counts or the rates."""
        return self.counts if self.kind == "counts" else self.rates


def _as_tuple(given: Any, what: str) -> tuple[Any, ...]:
    if isinstance(given, (str, bytes, Mapping)) or not hasattr(given, "__iter__"):
        raise HardwareError(f"{what} are a list of numbers, such as [0, 1, 2], not {shown(given)}")
    return tuple(given)
