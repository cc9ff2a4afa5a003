"""What waits in memory: tensors that a later layer takes, while another layer is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fewbits.hardware.workload.workload import LayerShape

IMAGE = -1
"""Stands for the network's input where others are the number of the layer that makes them."""

Tensors = frozenset[int]
"""The stored tensors that a value consists of: numbers of layers, or IMAGE; several after a concatenation."""


def with_held_values(layers: Sequence[LayerShape], reads: Sequence[Tensors]) -> tuple[LayerShape, ...]:
    """The layers, each with the values that wait in memory meanwhile (`LayerShape.held_values`).

    reads: for each layer, the stored tensors that it takes.
    """
    return tuple(
        replace(layer, held_values=sum(tensors.values()))
        for layer, tensors in zip(layers, waiting(layers, reads), strict=True)
    )


def waiting(layers: Sequence[LayerShape], reads: Sequence[Tensors]) -> list[dict[int, int]]:
    """The tensors that wait in memory while each layer is computed, with the number of their values.

    A tensor is kept from the layer that makes it to the last one that takes it.
    """
    sizes = {number: layer.output_values for number, layer in enumerate(layers)}
    last_use: dict[int, int] = {}
    for number, taken in enumerate(reads):
        last_use.update(dict.fromkeys(taken, number))
        if IMAGE in taken:
            sizes.setdefault(IMAGE, layers[number].values_of_an_operand)
    return [
        {
            tensor: size
            for tensor, size in sizes.items()
            if tensor < number < last_use.get(tensor, IMAGE) and tensor not in taken
        }
        for number, taken in enumerate(reads)
    ]
