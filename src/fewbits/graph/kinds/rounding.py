"""A rounding that `quantize` put behind values that several operations take."""

from __future__ import annotations

from fewbits.graph.float_layer import ValueRounding
from fewbits.graph.kind import Codes, KindOfOperation, Lowering


class Rounding(KindOfOperation):
    """Values rounded to a format and radix point: its source's operation does that already."""

    name = "rounding"
    meanings = (ValueRounding,)
    keeps_dims = True
    passes_values = True

    def lower(self, call: Lowering) -> None:
        (source,) = call.sources
        call.require(call.codes(source), self.wants(call.meaning))
        call.pass_on()

    def wants(self, meaning: ValueRounding) -> Codes:
        return Codes(meaning.number_format, meaning.fraction_bits)
