"""The recipes: names, what they do, where they come from, what they take; loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Start = Literal["nothing", "float", "scratch"]

_FIXED = ("fixed",)
_SCALABLE = ("fixed", "ternary", "binary")
_DISTILLATION = ("temperature", "distillation_weight")


@dataclass(frozen=True)
class Recipe:
    """A way to bring a network to a precision."""

    summary: str
    """What it does, and the paper."""

    start: Start
    """`float`: trains on from the float network, with a study's `fine_tune` settings; `scratch`: from new weights, with
    its `from_scratch` settings; `nothing`: trains nothing."""

    weight_families: tuple[str, ...] = ()
    """Families of weight formats that it takes; all of them if empty."""

    input_families: tuple[str, ...] = ()
    """Families of input formats that it takes; all of them if empty."""

    options: tuple[str, ...] = ()
    """Fields of `RecipeOptions` that it reads."""

    @property
    def section(self) -> str | None:
        """The table of a study's file that holds its settings."""
        return {"nothing": None, "float": "fine_tune", "scratch": "from_scratch"}[self.start]

    def refusal(self, name: str, precision: str, weight_family: str, input_family: str) -> str | None:
        """Why the recipe, called `name`, does not take a precision; None if it does."""
        for what, family, allowed in (
            ("weights", weight_family, self.weight_families),
            ("inputs", input_family, self.input_families),
        ):
            if allowed and family not in allowed:
                return (
                    f"recipe {name!r} takes {' or '.join(allowed)} {what}, not those of {precision!r}: "
                    "give it such a precision, or another recipe"
                )
        return None


RECIPES: dict[str, Recipe] = {
    "post-training": Recipe(
        "quantize the trained float network, choose radix points from data, train nothing", "nothing"
    ),
    "fine-tune": Recipe(
        "start from the trained float weights, quantize forward, update float shadow weights "
        "(Hashemi et al., DATE 2017)",
        "float",
    ),
    "from-scratch": Recipe("the same from freshly initialized weights", "scratch"),
    "best": Recipe(
        "the recipe that was measured best for the precision on its own hardware (docs/training.md)", "float"
    ),
    "nearest-update": Recipe(
        "no float shadow: weights are rounded to nearest after each step (Gupta et al., arXiv:1502.02551)",
        "scratch",
        _FIXED,
    ),
    "stochastic-update": Recipe(
        "no float shadow: weights are rounded stochastically after each step (Gupta et al., arXiv:1502.02551)",
        "scratch",
        _FIXED,
    ),
    "lsq": Recipe(
        "learn each tensor's step, rounded to a power of two (Esser et al., arXiv:1902.08153; Jain et al., "
        "arXiv:1903.08066)",
        "float",
    ),
    "lsq-free": Recipe(
        "learn each tensor's step, that of the weights free: one multiplier more in each neuron "
        "(Esser et al., arXiv:1902.08153)",
        "float",
        _SCALABLE,
    ),
    "pact": Recipe("learn where inputs are clipped (Choi et al., arXiv:1805.06085)", "float"),
    "distill": Recipe(
        "fine-tune towards the float network's soft answers (Hinton et al., arXiv:1503.02531; Mishra and Marr, "
        "arXiv:1711.05852)",
        "float",
        options=_DISTILLATION,
    ),
    "gradual": Recipe(
        "fine-tune at eight bits, then six, and so on down to the precision (Zhuang et al., arXiv:1711.00205)", "float"
    ),
    "distill-lsq": Recipe("distill and lsq together", "float", options=_DISTILLATION),
    "gradual-distill-lsq": Recipe("gradual with the loss of distill, then distill-lsq", "float", options=_DISTILLATION),
    "binary-connect": Recipe(
        "new shadow weights, clipped, seen by their signs alone (Courbariaux et al., arXiv:1511.00363)",
        "scratch",
        ("binary",),
    ),
    "binary-connect-stochastic": Recipe(
        "the same with signs drawn by chance while training (Courbariaux et al., arXiv:1511.00363)",
        "scratch",
        ("binary",),
    ),
    "ternary-connect": Recipe(
        "new weights drawn as -1, 0 or 1 while training, inputs as powers of two in the backward pass (Lin et al., "
        "arXiv:1510.03009)",
        "scratch",
        ("ternary",),
    ),
    "ristretto": Recipe(
        "trim widths of convolution weights, linear weights and activations under an error margin, combine, fine-tune "
        "(Gysel et al., arXiv:1604.03168)",
        "float",
        _FIXED,
        _FIXED,
        ("error_margin_points",),
    ),
    "binary-weight-network": Recipe(
        "binary weights with a factor for each output channel: one multiplier more in each neuron (Rastegari et al., "
        "arXiv:1603.05279)",
        "float",
        ("binary",),
        _FIXED,
    ),
    "xnor-net": Recipe(
        "the same with binary inputs behind the first layer; takes nn.ReLU out (Rastegari et al., arXiv:1603.05279)",
        "scratch",
        ("binary",),
        ("binary",),
    ),
    "binary-net": Recipe(
        "binary weights and inputs, one power of two a layer; takes nn.ReLU out (Courbariaux et al., arXiv:1602.02830)",
        "scratch",
        ("binary",),
        ("binary",),
    ),
    "runtime-configurable": Recipe(
        "channels trained in increments, earlier ones frozen: one set of weights, several operating points "
        "(Tann et al., CODES+ISSS 2016)",
        "scratch",
        options=("increments",),
    ),
}
"""By name."""
