"""ResNet-18 on ZigZag's tpu_like takes ZigZag's cycles within 5 %, and what differs is named layer by layer.

The two agree on the cycles in which the array starts products, in every layer. They differ in two things. ZigZag adds
the part of a layer's inputs that it loads before the first product, and of its outputs that it stores after the last
(`cycles_before`, `cycles_after`); here a layer takes as long as its array or as its transfers, whichever is longer, and
all that crosses the border at 64 bits a cycle counts, halos of padding among it. And each block of weights fills and
drains the array here, 31 + 31 cycles, as in SCALE-Sim; ZigZag counts that once a layer (3.9.1) or not at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from mapped_layers import ACCUMULATOR_BITS, bits_per_cycle, cycles, mapped, preset

from fewbits.hardware.dataflow.loops.mapper import Found
from fewbits.hardware.dataflow.plan import Widths
from fewbits.hardware.workload.workload import LayerShape

_FILE = json.loads((Path(__file__).parent / "zigzag_tpu_like.json").read_text())


@dataclass(frozen=True)
class Layer:
    """One of the 21 layers with weights, as ZigZag has it."""

    shape: LayerShape
    array_cycles: int
    """In which products start."""

    beside: float
    """Of transfers before the first product and after the last, and of stalls between them."""

    cycles: float
    later_cycles: float
    """Of the release 3.9.1."""


def _layer(row: dict[str, Any]) -> Layer:
    size, output, kernel = row["input_size"], row["output_size"], row["kernel"]
    shape = LayerShape(
        name=row["name"],
        kind="linear" if size == 1 else "convolution",
        input_channels=row["inputs"],
        input_size=(size, size),
        neurons=row["outputs"],
        output_size=(output, output),
        kernel=(kernel, kernel),
        stride=(size // output, size // output),
    )
    beside = row["cycles_before"] + row["cycles_after"] + row["stall_cycles"]
    return Layer(shape, row["array_cycles"], beside, row["cycles"], row["cycles_of_3.9.1"])


LAYERS = tuple(map(_layer, _FILE["layers"]))

EACH = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.shape.name)


def transfer_cycles(found: Found) -> int:
    """At the width of the border."""
    bits = found.evaluation.off_chip_bits(Widths(8, 8, ACCUMULATOR_BITS), 0, is_last=False)
    return ceil(int(bits[0]) / (bits_per_cycle(preset("tpu-like")) or 0))


def taken(layer: Layer) -> int:
    """By the array or by its transfers."""
    found = mapped(preset("tpu-like"), layer.shape)
    return max(cycles(found), transfer_cycles(found))


def taken_without_filling(layer: Layer) -> int:
    """By products or by their transfers."""
    found = mapped(preset("tpu-like"), layer.shape)
    return max(int(found.evaluation.steps[0]), transfer_cycles(found))


def test_the_network_is_within_5_percent_of_zigzag():
    assert sum(map(taken, LAYERS)) == pytest.approx(3_703_960.5, rel=0.05)


def test_the_network_is_within_5_percent_of_a_later_zigzag():
    assert sum(map(taken, LAYERS)) == pytest.approx(3_865_041, rel=0.05)


def test_layers_are_all_that_zigzag_sums_up():
    assert sum(layer.cycles for layer in LAYERS) == 3_703_960.5
    assert sum(layer.later_cycles for layer in LAYERS) == 3_865_041


@EACH
def test_the_array_starts_products_as_long_as_in_zigzag(layer: Layer):
    assert int(mapped(preset("tpu-like"), layer.shape).evaluation.steps[0]) == layer.array_cycles


@EACH
def test_the_array_fills_and_drains_once_for_each_block_of_weights(layer: Layer):
    blocks = ceil(layer.shape.neurons / 32) * ceil(layer.shape.input_channels / 32) * layer.shape.window
    assert int(mapped(preset("tpu-like"), layer.shape).evaluation.fill_cycles[0]) == blocks * (31 + 31)


@EACH
def test_but_for_that_a_layer_differs_by_no_more_than_zigzag_s_transfers_beside_the_products(layer: Layer):
    assert abs(taken_without_filling(layer) - layer.cycles) <= layer.beside


def test_layers_bound_by_their_products_lack_just_zigzag_s_transfers_and_stalls():
    bound = [layer for layer in LAYERS if taken_without_filling(layer) == layer.array_cycles]
    assert len(bound) == 12
    assert all(layer.array_cycles + layer.beside == layer.cycles for layer in bound)


def test_a_later_zigzag_loads_all_inputs_first_which_is_all_that_it_adds():
    width = bits_per_cycle(preset("tpu-like")) or 0
    loads = sum(layer.shape.input_values * 8 / width for layer in LAYERS)
    assert sum(map(taken_without_filling, LAYERS)) + loads == pytest.approx(
        sum(layer.later_cycles for layer in LAYERS), rel=0.02
    )
