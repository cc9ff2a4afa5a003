"""Layers of a precision of their own: what it is, and whether a datapath computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fewbits.errors import HardwareError
from fewbits.hardware.workload.liveness import IMAGE, Tensors, waiting
from fewbits.hardware.workload.workload import LayerShape, Workload

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
    """The layers, each with those that take its result (`LayerShape.consumers`) and what waits meanwhile (`held_for`),
    and with the precisions of these, if one has its own.

    reads: for each layer, the stored tensors that it takes. What pooling and additions take, they pass on.
    """
    taken_by: dict[int, frozenset[str]] = {}
    for number in reversed(range(IMAGE, len(layers))):
        taking = [consumer for consumer in range(number + 1, len(layers)) if number in reads[consumer]]
        taken_by[number] = frozenset[str]().union(
            *({layers[one].name} if layers[one].has_weights else taken_by[one] for one in taking)
        )
    return _taken_at(
        [
            replace(
                layer,
                consumers=taken_by[number],
                held_for=tuple((values, taken_by[tensor]) for tensor, values in held.items()),
            )
            for number, (layer, held) in enumerate(zip(layers, waiting(layers, reads), strict=True))
        ]
    )


def _taken_at(layers: Sequence[LayerShape]) -> tuple[LayerShape, ...]:
    """The layers with the precisions of those that take their results: none where all are at the network's."""
    if all(layer.precision is None for layer in layers):
        return tuple(replace(layer, taken_at=frozenset(), held_at=()) for layer in layers)
    precisions = {layer.name: layer.inputs_at for layer in layers}

    def of(consumers: frozenset[str]) -> frozenset[str | None]:
        return frozenset(precisions[name] for name in consumers)

    return tuple(
        replace(
            layer,
            taken_at=of(layer.consumers),
            held_at=tuple((values, of(consumers)) for values, consumers in layer.held_for),
        )
        for layer in layers
    )


def at_precisions(workload: Workload, precisions: Mapping[str, str], network: str) -> Workload:
    """The workload with every layer with weights at a named precision: its own, else the network's.

    precisions: by the layer's name, as `Precision.name` prints them. Raises HardwareError for a layer that the network
    does not have, or a workload that does not tell which layers take whose results.
    """
    known = [layer.name for layer in workload.layers if layer.has_weights]
    if unknown := [name for name in precisions if name not in known]:
        raise HardwareError(f"no layer with weights is named {unknown[0]!r}, only {', '.join(map(repr, known))}")
    if len(known) > 1 and not any(layer.consumers for layer in workload.layers):
        raise HardwareError("the workload does not tell its layers' consumers: make it of a network, with workload_of")
    layers = [
        replace(layer, precision=precisions.get(layer.name, network) if layer.has_weights else None)
        for layer in workload.layers
    ]
    return replace(workload, layers=_taken_at(layers), precision=network)


def named(workload: Workload, network: str) -> Workload:
    """The workload with the precision of every layer with weights named, the network's too."""
    own = workload.own_precisions
    if any(layer.consumers for layer in workload.layers):
        return at_precisions(workload, own, network)

    def of(consumers: frozenset[str | None]) -> frozenset[str | None]:
        return frozenset(name or network for name in consumers)

    layers = [
        replace(
            layer,
            precision=own.get(layer.name, network) if layer.has_weights else None,
            taken_at=of(layer.taken_at),
            held_at=tuple((values, of(consumers)) for values, consumers in layer.held_at),
        )
        for layer in workload.layers
    ]
    return replace(workload, layers=tuple(layers))
