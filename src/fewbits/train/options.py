"""What single recipes can be told beside the settings of training; loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from fewbits.arguments import is_real, shown
from fewbits.errors import FormatError, ModelError
from fewbits.formats.switched_units import check_name


@dataclass(frozen=True)
class RecipeOptions:
    """Options of recipes; each reads those that the catalog names. Raises ModelError for a value out of range."""

    temperature: float = 1.0
    """Distillation: what logits are divided by. Hinton et al. (arXiv:1503.02531) used 1 to 20, Apprentice 1."""

    distillation_weight: float = 0.5
    """Distillation: the part of the loss that comes from the teacher, 0 to 1; the rest comes from the labels. Equal
    parts, as in Apprentice (arXiv:1711.05852, section 3.2)."""

    error_margin_points: float = 1.0
    """Ristretto: points of validation accuracy that each trimming, and all together, may cost. The paper's 1 %.
    Approximate neurons and synapses: points that all rounds together may cost."""

    increments: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    """Runtime-configurable: parts of the inner channels at the operating points, rising to 1."""

    approximation: str = "fixed4"
    """Approximate neurons and synapses: what the least sensitive compute with: a narrower fixed point (operands
    of fewer bits), a named approximation of products, or `dropped`."""

    share_a_round: float = 0.125
    """Approximate neurons and synapses: part of all units that each round approximates, above 0 to 1."""

    def __post_init__(self) -> None:
        """Check every value."""
        _require("temperature", self.temperature, "above 0", is_real(self.temperature, 0, open_low=True))
        weight, margin, parts = self.distillation_weight, self.error_margin_points, self.increments
        _require("distillation_weight", weight, "from 0 to 1", is_real(weight, 0, 1))
        _require("error_margin_points", margin, "from 0 to 100", is_real(margin, 0, 100))
        are_parts = type(parts) is tuple and all(is_real(part, 0, 1, open_low=True) for part in parts)
        rises = are_parts and all(low < high for low, high in pairwise(parts)) and parts[-1:] == (1,)
        _require("increments", parts, "parts that rise from above 0 to 1", rises)
        share = self.share_a_round
        _require("share_a_round", share, "above 0 to 1", is_real(share, 0, 1, open_low=True))
        try:
            check_name(self.approximation)
        except FormatError as error:
            raise ModelError(f"approximation: {error}") from None


def _require(name: str, value: object, allowed: str, holds: bool) -> None:
    if not holds:
        raise ModelError(f"{name} must be {allowed}, not {shown(value)}")
