"""What a search is asked for, every value checked; loads no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from fewbits.arguments import is_integer, is_real, shown
from fewbits.errors import SearchError
from fewbits.search.result import Objective, Score

Datapaths = Literal["one", "each", "composable"]
"""One datapath that computes all layers; one for each precision; or an 8-bit one that splits into four of 4 bits."""

Refinement = Literal["nsga2", "tpe"]
"""Optuna's samplers that may go on from what was found."""

DEFAULT_FORMATS = ("fixed8", "fixed4", "fixed3", "fixed2")
"""Precisions that are tried where none are given."""

_LARGEST = 2**31 - 1
"""Of counts and seeds: what a signed integer of 32 bits holds."""


@dataclass(frozen=True)
class SearchSettings:
    """How to search. Raises SearchError for a value outside its range."""

    max_loss_points: float = 1.0
    """Points of accuracy below the float network that the chosen assignment may lose, on the validation images."""

    formats: tuple[str, ...] = DEFAULT_FORMATS
    """Precisions that each layer may have, such as `fixed8` or `pow2-6/fixed16`; at least two."""

    objective: Objective = "energy"
    datapaths: Datapaths = "each"
    accelerator: str | Path | None = None
    """A preset's name or a TOML file; None for DianNao's tile."""

    technology: str | Path | None = None
    """A technology table's name or file; None for the shipped one."""

    evaluations: int | None = None
    """Networks that are evaluated at most, uniform precisions and sensitivities among them; None: these, and one more
    for each layer."""

    images: int | None = None
    """Validation images that each network is evaluated on; None for all."""

    score: Score = "accuracy"
    refine: Refinement | None = None
    """Goes on for as many evaluations again, from what was found."""

    fine_tune_epochs: int = 0
    """Epochs that the chosen assignment, and the best uniform precision, are trained; 0 trains nothing."""

    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Check every value."""
        if not is_real(self.max_loss_points, 0, 100):
            raise SearchError(
                f"a loss is points of accuracy from 0 to 100, not {shown(self.max_loss_points)}: give such as 1.0 for "
                "at most one point below the float network"
            )
        self._check_formats()
        for name, kind in (("objective", Objective), ("datapaths", Datapaths), ("score", Score)):
            _require(name, getattr(self, name), get_args(kind))
        if self.refine is not None:
            _require("refine", self.refine, get_args(Refinement))
        for name, low in (("evaluations", 1), ("images", 1), ("fine_tune_epochs", 0), ("seed", 0)):
            value = getattr(self, name)
            optional = name in ("evaluations", "images") and value is None
            if not optional and not is_integer(value, low, _LARGEST):
                raise SearchError(f"{_called(name)} is an integer of at least {low}, below 2**31, not {shown(value)}")
        if not isinstance(self.device, str) or not re.fullmatch(r"cpu|cuda(:\d{1,3})?", self.device):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SearchError(f"unknown device {shown(self.device)}: give cpu, cuda or cuda:N")

    def _check_formats(self) -> None:
        """Names are parsed where torch is loaded; here, that there is something to choose from."""
        given = cast("object", self.formats)
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise SearchError(f"formats are a list of precisions such as ('fixed8', 'fixed4'), not {shown(given)}")
        names = tuple(cast("Sequence[object]", given))
        for name in names:
            if not isinstance(name, str) or not name.strip():
                raise SearchError(
                    f"formats name precisions such as fixed8 or pow2-6/fixed16, not {shown(name)}: leave out empty ones"
                )
        if len(names) < 2:
            said = "none" if not names else f"{names[0]!r} alone"
            raise SearchError(f"a search chooses among at least two precisions, not {said}: give such as fixed8,fixed4")
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise SearchError(f"precision {twice[0]!r} is given twice: give each once")
        object.__setattr__(self, "formats", names)


def _require(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SearchError(f"unknown {_called(name)} {shown(value)}: give one of {', '.join(allowed)}")


def _called(name: str) -> str:
    return name.replace("_", " ")
