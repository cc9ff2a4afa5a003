"""Layers of a precision of their own: what it is, and whether a datapath computes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fewbits.hardware.workload.liveness import IMAGE, Tensors, waiting
from fewbits.hardware.workload.workload import LayerShape

if TYPE_CHECKING:
    from fewbits.formats import Format, Precision


def own_precision(weights: Format, inputs: Format, scale_bits: int, network: Precision) -> str | None:
    """Name of a layer's precision, if it is another than the network's; else None.

    scale_bits: of a factor behind its sums. Its weights are then integers times the factor, in a format that is wider
    by so many bits (`quantize.scaled_weights`); the datapath multiplies by the integers alone.
    """
    from fewbits.formats import FixedPoint, Precision, parse_format

    if scale_bits:
        bits = weights.bits - scale_bits
        own = parse_format("binary") if bits == 1 else FixedPoint(bits)
        weights = network.weights if network.weights.bits == bits else own
    precision = Precision(weights, inputs)
    return None if precision == network else precision.name


def computes(datapath: Precision, layer: Precision) -> bool:
    """Whether a datapath's operands hold all values of a layer's: those of fixed8 hold fixed4's and binary ones."""
    pairs = ((datapath.weights, layer.weights), (datapath.inputs, layer.inputs))
    return all(wide.holds(narrow) for wide, narrow in pairs)


def with_consumers(layers: Sequence[LayerShape], reads: Sequence[Tensors]) -> tuple[LayerShape, ...]:
    """The layers, each with the precisions of those that take its result (`LayerShape.taken_at`), and what waits
    meanwhile (`held_at`), if one has its own.

    reads: for each layer, the stored tensors that it takes. What pooling and additions take, they pass on.
    """
    if all(layer.precision is None for layer in layers):
        return tuple(layers)
    taken_at: dict[int, frozenset[str | None]] = {}
    for number in reversed(range(IMAGE, len(layers))):
        consumers = [consumer for consumer in range(number + 1, len(layers)) if number in reads[consumer]]
        taken_at[number] = frozenset[str | None]().union(
            *(
                {layers[consumer].precision} if layers[consumer].has_weights else taken_at[consumer]
                for consumer in consumers
            )
        )
    return tuple(
        replace(
            layer,
            taken_at=taken_at[number],
            held_at=tuple((values, taken_at[tensor]) for tensor, values in held.items()),
        )
        for number, (layer, held) in enumerate(zip(layers, waiting(layers, reads), strict=True))
    )
