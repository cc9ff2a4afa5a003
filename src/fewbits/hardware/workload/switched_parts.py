"""A layer whose products are made in several ways is several layers to the accelerator, each on its own datapath.

A tile of 16 neurons of 16 synapses switches by units of 16 outputs, and in them by chunks of 16 synapses: what it takes
in a cycle. Products of fewer bits are a part at the narrow precision with a datapath of its own
(`LayerShape.multiplier`), those of an approximate product one on its multiplier. All parts read the layer's input, at
the width at which it is stored for the whole layer.

Dropped chunks are in no part: the others pass over them. An output without any product is its bias, but the layers
behind read it: such outputs are a part of one synapse, so that the tile loads the bias and writes it at each position.
Where chunks of one output are computed in several ways, its sum goes from one part to the next through memory, at full
width, as between the pieces of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.formats import parse_precision
from fewbits.formats.product_table import LayerProducts, ProductTable
from fewbits.formats.switched_units import (
    DROPPED,
    OUTPUTS_OF_A_UNIT,
    SYNAPSES_OF_A_CHUNK,
    approximate_table,
    narrow_format,
)
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER
from fewbits.hardware.workload.workload import LayerShape, Workload


def switched_parts(layer: LayerShape, products: LayerProducts | None) -> tuple[LayerShape, ...]:
    """The parts of a layer by how their products are made; the layer itself where all are exact.

    products: its tables. Raises HardwareError for outputs that no tile of 16 neurons can switch.
    """
    if products is None or products.choice is None or products.is_exact:
        return (layer,)
    blocks = _blocks(products.choice)
    if blocks is None or layer.groups > 1:
        raise HardwareError(
            f"layer {layer.name!r} makes products in several ways that no machine switches between: the same one is "
            f"needed for {OUTPUTS_OF_A_UNIT} neighbouring outputs, and {SYNAPSES_OF_A_CHUNK} neighbouring synapses of "
            "them, of a layer without groups"
        )
    return tuple(_parts(layer, products.tables, blocks))


def check_units(workload: Workload, accelerator: object, name: str) -> None:
    """Raise HardwareError for a network with switched products on a machine that takes other numbers of them at once.

    name: of the accelerator's dataflow, for the message.
    """
    part = next((layer for layer in workload.layers if layer.part_of), None)
    if part is None:
        return
    sizes = tuple(getattr(accelerator, size, None) for size in ("neurons", "synapses"))
    if sizes != (OUTPUTS_OF_A_UNIT, SYNAPSES_OF_A_CHUNK):
        raise HardwareError(
            f"layer {part.part_of!r} computes its outputs in several ways, by groups of {OUTPUTS_OF_A_UNIT} and chunks "
            f"of {SYNAPSES_OF_A_CHUNK}, which {name} does not: give DianNao's tile of {OUTPUTS_OF_A_UNIT} neurons of "
            f"{SYNAPSES_OF_A_CHUNK} synapses"
        )


def _blocks(choice: NDArray[Any]) -> NDArray[np.int64] | None:
    """The table of each unit's chunks, units x chunks; None where products of a chunk have several."""
    blocks: NDArray[np.int64] = choice[::OUTPUTS_OF_A_UNIT, ::SYNAPSES_OF_A_CHUNK].astype(np.int64)
    spread = np.repeat(np.repeat(blocks, OUTPUTS_OF_A_UNIT, axis=0), SYNAPSES_OF_A_CHUNK, axis=1)
    return blocks if np.array_equal(spread[: choice.shape[0], : choice.shape[1]], choice) else None


def _parts(layer: LayerShape, tables: tuple[ProductTable, ...], blocks: NDArray[np.int64]) -> Iterator[LayerShape]:
    """A part for each table that computes something, and one for outputs that are biases alone."""
    outputs = np.minimum(OUTPUTS_OF_A_UNIT, layer.neurons - OUTPUTS_OF_A_UNIT * np.arange(len(blocks)))
    whole = replace(layer, part_of=layer.name, whole_precision=layer.precision)
    dropped = [number for number, table in enumerate(tables) if _is_dropped(table)]
    silent = np.isin(blocks, dropped).all(axis=1)
    for number in sorted(set(blocks[~np.isin(blocks, dropped)].tolist())):
        by_unit = [tuple(np.flatnonzero(unit == number).tolist()) for unit in blocks]
        computed = [unit for unit, chunks in enumerate(by_unit) if chunks]
        others = [set(blocks[unit].tolist()).difference((number, *dropped)) for unit in computed]
        takes_all = all(len(by_unit[unit]) == blocks.shape[1] for unit in computed)
        yield replace(
            _computed(whole, tables[number]),
            neurons=int(outputs[computed].sum()),
            chunks=() if takes_all else tuple(by_unit[unit] for unit in computed),
            resumed=sum(
                int(outputs[unit])
                for unit, other in zip(computed, others, strict=True)
                if min(other, default=number) < number
            ),
            handed_on=sum(
                int(outputs[unit])
                for unit, other in zip(computed, others, strict=True)
                if max(other, default=number) > number
            ),
        )
    if silent.any():
        yield replace(
            whole,
            name=f"{layer.name} ({DROPPED})",
            neurons=int(outputs[silent].sum()),
            input_channels=1,
            input_size=layer.output_size,
            kernel=(1, 1),
            stride=(1, 1),
            dilation=(1, 1),
        )


def _is_dropped(table: ProductTable) -> bool:
    """Whether no product is made; a table of zeros under another name is a multiplier's."""
    return table.name == DROPPED and not table.values.any()


def _computed(part: LayerShape, table: ProductTable) -> LayerShape:
    """A part on the datapath that makes a table's products."""
    if table.is_exact:
        return part
    if table != approximate_table(table.name, table.weights, table.inputs):
        raise HardwareError(f"layer {part.part_of!r}: no datapath is known for products {table.name!r} of some outputs")
    named = replace(part, name=f"{part.part_of} ({table.name})")
    if narrow_format(table.name) is None:
        return replace(named, multiplier=table.name)
    return replace(named, precision=parse_precision(table.name).name, multiplier=DEFAULT_MULTIPLIER)
