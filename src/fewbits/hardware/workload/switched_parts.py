"""A layer whose outputs are computed in several ways is several layers to the accelerator, each on its own datapath.

Groups of 16 neighbouring outputs are a tile's; those that are computed exactly are one part. Outputs of fewer bits are
a part at the narrow precision with a datapath of its own (`LayerShape.multiplier`), those of an approximate product one
on its multiplier. A dropped output multiplies nothing, but the layers behind read it: its part is one synapse, so that
the tile loads the bias and writes it at each position. All parts read the layer's input.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from fewbits.errors import HardwareError
from fewbits.formats import parse_precision
from fewbits.formats.product_table import LayerProducts, ProductTable
from fewbits.formats.switched_units import DROPPED, OUTPUTS_OF_A_UNIT, approximate_table
from fewbits.graph.operations import Layer
from fewbits.hardware.workload.workload import LayerShape


def switched_parts(layer: LayerShape, products: LayerProducts | None) -> tuple[LayerShape, ...]:
    """The parts of a layer by how their products are made; the layer itself where all are made in one way.

    products: its tables. Raises HardwareError for outputs that no tile of 16 neurons can switch.
    """
    if products is None or products.choice is None:
        return (layer,)
    choice = products.choice
    by_output = choice[:, 0]
    if len(np.unique(choice)) < 2:
        return (layer,)
    units = [by_output[start : start + OUTPUTS_OF_A_UNIT] for start in range(0, len(by_output), OUTPUTS_OF_A_UNIT)]
    by_synapse = not np.array_equal(choice, np.broadcast_to(by_output[:, None], choice.shape))
    if by_synapse or layer.groups > 1 or any(len(set(unit.tolist())) > 1 for unit in units):
        raise HardwareError(
            f"layer {layer.name!r} makes products in several ways that no machine switches between: the same one is "
            f"needed for {OUTPUTS_OF_A_UNIT} neighbouring outputs of a layer without groups"
        )
    counts = Counter(by_output.tolist())
    return tuple(_part(layer, products.tables[table], counts[table]) for table in sorted(counts))


def check_units(network: object, neurons: int | None, accelerator: str) -> None:
    """Raise HardwareError for a network with switched outputs on a machine that computes other numbers of them at once.

    network: of these, only bit-exact ones switch. neurons: of the accelerator; None where it has none.
    """
    layers: tuple[Layer, ...] = getattr(network, "layers", ()) if hasattr(network, "operations") else ()
    switched = [one for one in layers if one.products is not None and one.products.choice is not None]
    if switched and neurons != OUTPUTS_OF_A_UNIT:
        raise HardwareError(
            f"layer {switched[0].name!r} computes its outputs in several ways, by groups of {OUTPUTS_OF_A_UNIT}, which "
            f"{accelerator} does not: give DianNao's tile of {OUTPUTS_OF_A_UNIT} neurons"
        )


def _part(layer: LayerShape, table: ProductTable, outputs: int) -> LayerShape:
    """Some of a layer's outputs, computed by one table."""
    if table.is_exact:
        return replace(layer, neurons=outputs)
    part = replace(layer, name=f"{layer.name} ({table.name})", neurons=outputs)
    if table != approximate_table(table.name, table.weights, table.inputs):
        raise HardwareError(f"layer {layer.name!r}: no datapath is known for products {table.name!r} of some outputs")
    if table.name == DROPPED:
        return replace(
            part, input_channels=1, input_size=layer.output_size, kernel=(1, 1), stride=(1, 1), dilation=(1, 1)
        )
    if table.name.startswith("fixed"):
        return replace(part, precision=parse_precision(table.name).name, multiplier="booth")
    return replace(part, multiplier=table.name)
