"""Whether a cost of one multiplier is a cost of a network: of the products that the network computes with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewbits.errors import HardwareError
from fewbits.formats.product_table import LayerProducts


def check_products(network: object, multiplier: str) -> None:
    """Raise HardwareError, naming the layer, where a network computes with other products than the multiplier's.

    network: as `cost` takes it; only a bit-exact network and a quantized module have products of their own.
    multiplier: of the datapath, whose name a table of its products bears.
    """
    layers: Any = getattr(network, "layers", ())
    for layer in layers.values() if isinstance(layers, Mapping) else layers:
        products = getattr(layer, "products", None)  # a number in a workload, which has no tables
        if isinstance(products, LayerProducts) and products.choice is not None:
            continue  # its parts are layers of the workload, each on its own datapath (`switched_parts`)
        if isinstance(products, LayerProducts) and not products.is_exact and products.name != multiplier:
            raise HardwareError(
                f"layer {layer.name!r} computes with the products {products.name!r}, and a cost with the multiplier "
                f"{multiplier!r} is that of others: give the multiplier that makes them, as multiplier="
                f"{products.name!r}, or a network without products of its own"
            )
