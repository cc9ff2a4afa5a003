"""The datapath of a precision with its sizes: `design` makes it, `strategies` has what there is to choose from."""

from __future__ import annotations

from dataclasses import replace

from fewbits.arguments import is_integer, shown
from fewbits.errors import HardwareError
from fewbits.formats import Precision, parse_precision
from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.strategies import strategy_for
from fewbits.hardware.multipliers.registry import multiplier_kind
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER, DEFAULT_SYNAPSES, LARGEST_NEURON
from fewbits.hardware.rtl.pipelining import DEFAULT, pipelining

NeuronDesign = Datapath
"""Its name where it stands for one neuron of given sizes."""


def design(
    precision: str | Precision,
    synapses: int = DEFAULT_SYNAPSES,
    maximum_synapses: int = 16384,
    *,
    multiplier: str = DEFAULT_MULTIPLIER,
    product_bits: int | None = None,
    stages: str = DEFAULT,
) -> NeuronDesign:
    """The neuron of a precision.

    multiplier: how products are made, where anything is multiplied: the name of one of `hardware/multipliers`, such as
    "booth", "array" (a partial product for each bit of the weight), or "operator", a plain product for a mapper's DSP
    blocks.
    product_bits: truncate integer products to their top bits; None keeps all (docs/architecture.md, "Arithmetic").
    stages: name of one of `pipelining.PIPELININGS`; of integer neurons.
    Raises FormatError for an unknown precision, HardwareError where there is no datapath or for a senseless size.
    """
    chosen = (parse_precision(precision) if isinstance(precision, str) else precision).plain
    if not is_integer(synapses, 1, LARGEST_NEURON):
        raise HardwareError(f"a neuron takes from 1 to {LARGEST_NEURON} synapses, not {shown(synapses)}")
    if maximum_synapses < synapses:
        raise HardwareError(
            f"a neuron of {synapses} synapses needs an accumulator of as many products, it takes {maximum_synapses}: "
            f"give at most {maximum_synapses} synapses, or a larger maximum_synapses"
        )
    kind = multiplier_kind(multiplier)
    if (refusal := kind.refusal(chosen)) is not None:
        raise HardwareError(refusal)
    strategy = strategy_for(chosen, kind.name)
    if stages != DEFAULT and strategy.pipelinings == (DEFAULT,):
        raise HardwareError(f"{chosen.name} has one pipeline, {DEFAULT!r}, not {stages!r}: float neurons have no other")
    made = strategy(chosen, synapses, maximum_synapses, kind.name, pipelining=pipelining(stages))
    if product_bits is not None and not kind.is_exact:
        raise HardwareError(
            f"products of {kind.name} are approximate as they are: leave product_bits out, or use booth"
        )
    if product_bits is not None:
        made = replace(made, kept_product_bits=_checked_product_bits(made, product_bits))
    return made


def _checked_product_bits(made: NeuronDesign, product_bits: int) -> int | None:
    """The width to truncate to; None if it is the whole product's."""
    if made.truncation_refusal is not None:
        raise HardwareError(
            f"products of {made.precision.name} {made.truncation_refusal} and cannot be truncated: leave product_bits "
            "out"
        )
    if not is_integer(product_bits, 2, made.full_product_bits):
        raise HardwareError(
            f"product_bits must be from 2 to {made.full_product_bits}, the whole product of {made.precision.name}, "
            f"not {shown(product_bits)}"
        )
    return product_bits if product_bits < made.full_product_bits else None
