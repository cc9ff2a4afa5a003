"""The recipes: names, what they do, where they come from, what they take; loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, get_args

from fewbits.arguments import shown
from fewbits.errors import ModelError
from fewbits.extensions import Registry
from fewbits.train.options import RecipeOptions

if TYPE_CHECKING:
    from fewbits.quantization import QuantizedModel
    from fewbits.train.recipe_run import RecipeRun
    from fewbits.train.record import TrainRecord

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

    train: Callable[[RecipeRun], TrainRecord] | str | None = None
    """Trains the run's `model` in place and returns the record: a function, or the place of one of fewbits' own, which
    loads torch at its first use."""

    prepare: Callable[[QuantizedModel], None] | str | None = None
    """Changes the quantized network before it trains, and wherever it is to take a trained state; None does nothing."""

    trains_normalized: bool = False
    """Whether batch normalization is folded after training, which it helps where weights are new; else before, so that
    the very weights are trained that are quantized."""

    version: int = 1
    """Goes up when it trains another network from the same settings; part of a training's key above 1."""

    takes_layers: bool = True
    """Whether layers may have precisions of their own; not where it chooses formats, or moves from one to another."""

    def __post_init__(self) -> None:
        """Refuse what no study could use."""
        if self.start not in get_args(Start):
            raise ModelError(f"a recipe's start is one of {', '.join(get_args(Start))}, not {shown(self.start)}")
        known = {field.name for field in fields(RecipeOptions)}
        if unknown := set(self.options) - known:
            raise ModelError(
                f"a recipe's options are among {', '.join(sorted(known))}, not {', '.join(sorted(unknown))}"
            )

    def trainer(self) -> Callable[[RecipeRun], TrainRecord]:
        """What trains. Raises ModelError for a recipe that does not say."""
        if self.train is None:
            raise ModelError("a recipe has no train: give its Recipe a function that takes a RecipeRun")
        return _at(self.train) if isinstance(self.train, str) else self.train

    def preparation(self) -> Callable[[QuantizedModel], None] | None:
        """What changes the network before it trains; None if nothing does."""
        return _at(self.prepare) if isinstance(self.prepare, str) else self.prepare

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


def layers_refusal(name: str, recipe: Recipe) -> str | None:
    """Why a recipe, called `name`, does not take precisions of single layers; None if it does."""
    if recipe.takes_layers:
        return None
    return (
        f"recipe {name!r} chooses the layers' formats itself, so that they have no precisions of their own: give it "
        "one precision, or another recipe, such as 'fine-tune'"
    )


def _at(place: str) -> Callable[..., Any]:
    """A function of this package, from `module:function`."""
    module, _, function = place.partition(":")
    return getattr(import_module(f"fewbits.train.{module}"), function)


_OWN: dict[str, Recipe] = {
    "post-training": Recipe(
        "quantize the trained float network, choose radix points from data, train nothing",
        "nothing",
        train="shadow_weights:post_training",
    ),
    "fine-tune": Recipe(
        "start from the trained float weights, quantize forward, update float shadow weights "
        "(Hashemi et al., DATE 2017)",
        "float",
        train="shadow_weights:straight_through",
    ),
    "from-scratch": Recipe(
        "the same from freshly initialized weights",
        "scratch",
        train="shadow_weights:straight_through",
        trains_normalized=True,
    ),
    "best": Recipe(
        "the recipe that was measured best for the precision on its own hardware (docs/training.md)", "float"
    ),
    "nearest-update": Recipe(
        "no float shadow: weights are rounded to nearest after each step (Gupta et al., arXiv:1502.02551)",
        "scratch",
        _FIXED,
        train="update_rounding:nearest_update",
        takes_layers=False,
    ),
    "stochastic-update": Recipe(
        "no float shadow: weights are rounded stochastically after each step (Gupta et al., arXiv:1502.02551)",
        "scratch",
        _FIXED,
        train="update_rounding:stochastic_update",
        takes_layers=False,
    ),
    "lsq": Recipe(
        "learn each tensor's step, rounded to a power of two (Esser et al., arXiv:1902.08153; Jain et al., "
        "arXiv:1903.08066)",
        "float",
        train="learned_steps:learned_steps",
    ),
    "lsq-free": Recipe(
        "learn each tensor's step, that of the weights free: one multiplier more in each neuron "
        "(Esser et al., arXiv:1902.08153)",
        "float",
        _SCALABLE,
        train="learned_steps:free_steps",
    ),
    "pact": Recipe(
        "learn where inputs are clipped (Choi et al., arXiv:1805.06085)",
        "float",
        train="learned_steps:learned_clipping",
    ),
    "distill": Recipe(
        "fine-tune towards the float network's soft answers (Hinton et al., arXiv:1503.02531; Mishra and Marr, "
        "arXiv:1711.05852)",
        "float",
        options=_DISTILLATION,
        train="distillation:distill",
    ),
    "gradual": Recipe(
        "fine-tune at eight bits, then six, and so on down to the precision (Zhuang et al., arXiv:1711.00205)",
        "float",
        train="gradual:gradual",
        takes_layers=False,
    ),
    "distill-lsq": Recipe("distill and lsq together", "float", options=_DISTILLATION, train="combined:distilled_steps"),
    "gradual-distill-lsq": Recipe(
        "gradual with the loss of distill, then distill-lsq",
        "float",
        options=_DISTILLATION,
        train="combined:gradual_distilled_steps",
        takes_layers=False,
    ),
    "binary-connect": Recipe(
        "new shadow weights, clipped, seen by their signs alone (Courbariaux et al., arXiv:1511.00363)",
        "scratch",
        ("binary",),
        train="connect:binary_connect",
    ),
    "binary-connect-stochastic": Recipe(
        "the same with signs drawn by chance while training (Courbariaux et al., arXiv:1511.00363)",
        "scratch",
        ("binary",),
        train="connect:stochastic_binary_connect",
    ),
    "ternary-connect": Recipe(
        "new weights drawn as -1, 0 or 1 while training, inputs as powers of two in the backward pass (Lin et al., "
        "arXiv:1510.03009)",
        "scratch",
        ("ternary",),
        train="connect:ternary_connect",
    ),
    "ristretto": Recipe(
        "trim widths of convolution weights, linear weights and activations under an error margin, combine, fine-tune "
        "(Gysel et al., arXiv:1604.03168)",
        "float",
        _FIXED,
        _FIXED,
        ("error_margin_points",),
        train="ristretto:ristretto",
        takes_layers=False,
    ),
    "binary-weight-network": Recipe(
        "binary weights with a factor for each output channel: one multiplier more in each neuron (Rastegari et al., "
        "arXiv:1603.05279)",
        "float",
        ("binary",),
        _FIXED,
        train="binary_networks:channel_scales",
    ),
    "xnor-net": Recipe(
        "the same with binary inputs behind the first layer; takes nn.ReLU out (Rastegari et al., arXiv:1603.05279)",
        "scratch",
        ("binary",),
        ("binary",),
        train="binary_networks:channel_scales",
        prepare="binary_networks:binarize_inputs",
        takes_layers=False,
    ),
    "binary-net": Recipe(
        "binary weights and inputs, one power of two a layer; takes nn.ReLU out (Courbariaux et al., arXiv:1602.02830)",
        "scratch",
        ("binary",),
        ("binary",),
        train="binary_networks:binary_net",
        prepare="binary_networks:binarize_inputs",
        takes_layers=False,
    ),
    "runtime-configurable": Recipe(
        "channels trained in increments, earlier ones frozen: one set of weights, several operating points "
        "(Tann et al., CODES+ISSS 2016)",
        "scratch",
        options=("increments",),
        train="runtime_configurable:runtime_configurable",
        takes_layers=False,
    ),
    "approximate-neurons": Recipe(
        "compute the outputs, by 16, to which the loss is least sensitive approximately, retrain, repeat until an "
        "error margin is spent (after Venkataramani et al., AxNN, ISLPED 2014)",
        "float",
        _FIXED,
        _FIXED,
        ("error_margin_points", "approximation", "share_a_round"),
        train="approximate_units:approximate_neurons",
        version=2,
    ),
    "approximate-synapses": Recipe(
        "compute the synapses, 16 of 16 outputs at a time, to which the loss is least sensitive approximately, "
        "retrain, repeat until an error margin is spent (after approximate synapses, ISLPED 2015)",
        "float",
        _FIXED,
        _FIXED,
        ("error_margin_points", "approximation", "share_a_round"),
        train="approximate_units:approximate_synapses",
    ),
}
"""By name. `best` stands for another one."""

RECIPES: Mapping[str, Recipe] = Registry("recipes", _OWN, Recipe)
"""By name: these, and those of installed extensions."""
