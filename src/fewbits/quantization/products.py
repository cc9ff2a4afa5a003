"""Give the layers of a quantized network products that are not exact."""

from __future__ import annotations

from collections.abc import Mapping

from fewbits.errors import FormatError, ModelError
from fewbits.formats.approximations import Products, layer_products
from fewbits.formats.product_table import LayerProducts
from fewbits.quantization.layers.layer import QuantizedLayer


def set_products(
    layers: Mapping[str, QuantizedLayer], products: Products | Mapping[str, Products | None] | None
) -> None:
    """Compute with other products from now on, in training too; the gradient is that of exact ones.

    layers: of a quantized model, by name. products: for all layers, or for some by name; None for exact ones.
    Raises ModelError, naming the layer, for a layer that is not there or does not take them.
    """
    wanted: Mapping[str, Products | None]
    wanted = products if isinstance(products, Mapping) else dict.fromkeys(layers, products)
    if unknown := [name for name in wanted if name not in layers]:
        raise ModelError(f"no layer {unknown[0]!r} to give products to: the network has {', '.join(layers)}")
    made = {name: None if one is None else _made(name, layers[name], one) for name, one in wanted.items()}
    for name, one in made.items():
        layers[name].products = one


def _made(name: str, layer: QuantizedLayer, given: Products) -> LayerProducts:
    try:
        made = layer_products(given, layer.weight_format, layer.input_format)
    except FormatError as error:
        raise ModelError(f"layer {name!r}: {error}") from None
    weight = layer.layer.weight
    problem = made.refusal(layer.weight_format, layer.input_format, len(weight), weight[0].numel())
    if problem is not None:
        raise ModelError(f"layer {name!r} {problem}")
    return made
