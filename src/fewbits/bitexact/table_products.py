"""Layers whose products are those of tables: which layers take them, and their sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fewbits.bitexact.accumulator import Range, magnitude, table_range
from fewbits.bitexact.layer_arithmetic import FLOAT32_EXACT, FLOAT64_EXACT, integer_bias
from fewbits.bitexact.layer_widths import LARGEST_SUM_BITS, accumulator_widths
from fewbits.bitexact.wide import WideIntegers
from fewbits.errors import FormatError, ModelError
from fewbits.formats.approximations import Products, layer_products
from fewbits.formats.product_table import LayerProducts
from fewbits.graph.gather import windows_of
from fewbits.graph.operations import Layer, Operation, layers_of
from fewbits.graph.product_sums import ProductSums


def products_of(
    operations: tuple[Operation, ...], given: Products | Mapping[str, Products | None]
) -> dict[str, LayerProducts | None]:
    """What makes each layer's products, by its name.

    given: for all layers, or for some by name. Raises ModelError, naming the layer, where there is no such table.
    """
    wanted: Mapping[str, Products | None]
    wanted = given if isinstance(given, Mapping) else {layer.name: given for layer in layers_of(operations)}
    layers = _named(operations, wanted)
    made: dict[str, LayerProducts | None] = {}
    for name, one in wanted.items():
        layer = layers[name]
        try:
            made[name] = None if one is None else layer_products(one, layer.weight_format, layer.input_format)
        except FormatError as error:
            mend = (
                "" if isinstance(given, Mapping) else "; give products by the layers' names, for those that take them"
            )
            raise ModelError(f"layer {name!r}: {error}{mend}") from None
    return made


def _named(operations: tuple[Operation, ...], names: Iterable[str]) -> dict[str, Layer]:
    """The layers by name. Raises ModelError for a name that none has."""
    layers = {layer.name: layer for layer in layers_of(operations)}
    if unknown := [name for name in names if name not in layers]:
        raise ModelError(f"no layer {unknown[0]!r} to give products to: the network has {', '.join(layers)}")
    return layers


def with_products(
    operations: tuple[Operation, ...], products: Mapping[str, LayerProducts | None]
) -> tuple[Operation, ...]:
    """The same operations, with other products in some layers and the accumulators that these need.

    products: by a layer's name; None for exact ones. Raises ModelError for a layer that is not there or does not fit.
    """
    layers = _named(operations, products)
    given = {name: _with_products(layers[name], one) for name, one in products.items()}
    return tuple(given.get(operation.name, operation) for operation in operations)


def _with_products(layer: Layer, products: LayerProducts | None) -> Layer:
    if products is not None and (problem := products_refusal(layer, products)) is not None:
        raise ModelError(f"layer {layer.name!r} {problem}")
    if layer.products is None and products is None:
        return layer
    width, worst_case = accumulator_widths(
        layer.weight, layer.input_format, layer.bias, layer.dropped_product_bits, products
    )
    if width > LARGEST_SUM_BITS:
        raise ModelError(
            f"layer {layer.name!r}: sums of its products need {width} bits, {LARGEST_SUM_BITS} are computed; take "
            "formats of narrower products"
        )
    return replace(layer, products=products, accumulator_bits=width, worst_case_accumulator_bits=worst_case)


def products_refusal(layer: Layer, products: LayerProducts) -> str | None:
    """Why a layer cannot compute with tables, as a sentence's end; None if it can."""
    if layer.dropped_product_bits:
        return "has truncated products already: give product_bits or products, not both"
    if layer.scale_bits:
        return (
            f"multiplies its sums by factors of {layer.scale_bits} bits, which its weights' integers hold: product "
            "tables are of the codes that a multiplier is given; take a recipe without multipliers"
        )
    return products.refusal(layer.weight_format, layer.input_format, len(layer.weight), layer.synapses)


def range_of_sums(layer: Layer, products: LayerProducts) -> Range:
    """Range of every partial sum of a layer, for any inputs."""
    return table_range(products.ranges(layer.weight.codes), layer.weight.scale.moves, integer_bias(layer))


class TableSums:
    """Sums of a layer for the fast stages, in float32 or float64: whichever holds all of them."""

    def __init__(self, layer: Layer, products: LayerProducts) -> None:
        """layer: whose sums stay below 2**53."""
        bound = magnitude(range_of_sums(layer, products))
        self.dtype = torch.float32 if bound < FLOAT32_EXACT else torch.float64
        self._sums = _layer_sums(layer, products)
        self.map_shape = self._sums.windows.map_shape
        self.images_at_once = self._sums.images_at_once
        self._bias, self._moves = _biases(layer), _moves(layer)

    def maps(self, codes: Tensor) -> Tensor:
        """Accumulators: outputs x N x height x width."""
        return self._sums.add(codes, self._bias, self._moves, self.dtype)


class TableArithmetic:
    """One layer whose products are those of tables; executes on the CPU."""

    def __init__(self, layer: Layer, products: LayerProducts) -> None:
        """layer: with an accumulator of at most LARGEST_SUM_BITS bits."""
        self._layer = layer
        self._sums = _layer_sums(layer, products)
        self._bias, self._moves = _biases(layer), _moves(layer)
        self._is_wide = magnitude(range_of_sums(layer, products)) >= FLOAT64_EXACT

    def run(self, values: Tensor) -> Tensor | WideIntegers:
        """Accumulators of a batch of inputs (float64 integers): float64, or limbs where they may reach 2**53."""
        source, step = values.cpu(), self._sums.images_at_once
        parts = [
            self._sums.add(source[start : start + step], self._bias, self._moves, torch.int64)
            for start in range(0, max(1, len(source)), step)
        ]
        sums = torch.cat(parts, dim=1).transpose(0, 1).reshape(len(source), *self._layer.output_shape)
        sums = sums.to(values.device)
        return WideIntegers.from_sums([sums], self._layer.accumulator_bits) if self._is_wide else sums.double()


def _layer_sums(layer: Layer, products: LayerProducts) -> ProductSums:
    return ProductSums(products, layer.weight.codes, windows_of(layer))


def _biases(layer: Layer) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(integer_bias(layer) or (0,) * len(layer.weight), dtype=np.int64)


def _moves(layer: Layer) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(layer.weight.scale.moves or (0,) * len(layer.weight), dtype=np.int64)
