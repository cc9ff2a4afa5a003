"""Which strategy computes a precision: the one place that chooses, and the sentence where there is none."""

from __future__ import annotations

from collections.abc import Mapping

from fewbits.errors import HardwareError
from fewbits.extensions import found
from fewbits.formats import Format, Precision
from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.composable import Composable
from fewbits.hardware.datapath.exact_float import ExactFloatSums
from fewbits.hardware.datapath.float32 import Float32
from fewbits.hardware.datapath.integer import Integer
from fewbits.hardware.datapath.narrow_float import NarrowFloat
from fewbits.hardware.datapath.population_count import PopulationCount
from fewbits.hardware.datapath.shifter import Shifter
from fewbits.hardware.datapath.sign_selection import SignSelection, TernarySelection
from fewbits.hardware.multipliers.composable import COMPOSABLE
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER

STRATEGIES: tuple[type[Datapath], ...] = (
    Integer,
    Shifter,
    SignSelection,
    TernarySelection,
    PopulationCount,
    Float32,
    NarrowFloat,
    ExactFloatSums,
)

ALLOWED = (
    "weights may be fixedN, pow2-2 to pow2-6, ternary or binary with inputs fixedN, both binary, both float32, "
    "floats of at most 22 mantissa bits together, or floats of exact sums (fp8-e4m3:exact)"
)


OF_MULTIPLIERS: Mapping[str, type[Datapath]] = {COMPOSABLE.name: Composable}
"""Those of one multiplier, whose circuit is more than a product's: by its name."""


def strategy_for(precision: Precision, multiplier: str = DEFAULT_MULTIPLIER) -> type[Datapath]:
    """The strategy that computes a precision. Raises HardwareError, which names what can be done, where none does.

    multiplier: name of its kind, which takes numbers of the precision.
    """
    if multiplier in OF_MULTIPLIERS:
        return OF_MULTIPLIERS[multiplier]
    for strategy in STRATEGIES:
        if strategy.computes(precision):
            return strategy
    raise HardwareError(refusal(precision))


def refusal(precision: Precision) -> str:
    """Why a precision has no datapath, and what to do."""
    formats = dict.fromkeys((precision.weights, precision.inputs))
    if (blocked := next((one for one in formats if one.has_blocks), None)) is not None:
        return f"no datapath for {precision.name}: {blocked.name} {blocked.not_lowered}"
    strangers = [f"{one.name} is of {giver}" for one in formats if (giver := _giver(one)) is not None]
    if strangers:
        return (
            f"no datapath for {precision.name}: {', '.join(strangers)}, which brings no circuit, so that it has no "
            "cost, no Verilog and no place in a study: take its accuracy alone (fewbits.quantize, calibrate, lower), "
            f"or cost another precision: {ALLOWED}"
        )
    return f"no datapath for {precision.name}: {ALLOWED}"


def _giver(number_format: Format) -> str | None:
    """The package that a format is from, with its version where it is an extension's; None of fewbits' own."""
    module = type(number_format).__module__
    package = module.partition(".")[0]
    if package == __name__.partition(".")[0]:
        return None
    givers = (one.giver for one in found("formats").values() if one.entry.module.partition(".")[0] == package)
    return next(givers, package)
