"""`first_difference`: where the fake-quantized network and the bit-exact one first differ, and by how much."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewbits.bitexact.network import BitExactNetwork, ExactValues
from fewbits.errors import ModelError
from fewbits.quantize import QuantizedLayer, QuantizedModel
from fewbits.quantize.tracing import trace


@dataclass(frozen=True)
class Difference:
    """One number that differs."""

    layer: str
    """Name of the layer."""

    place: str
    """`input` (as the layer rounded it) or `accumulator` (of the last layer: the logits)."""

    index: tuple[int, ...]
    """Image, then the element in it."""

    fake_quantized: float
    """What the torch module computes, in its float type."""

    bit_exact: float
    """What the hardware computes, to the nearest float64."""

    difference: float
    """fake_quantized - bit_exact, exact before its one rounding to float64."""

    last_places: float
    """The difference in units of the number's last place, 2**-fraction_bits."""

    def __str__(self) -> str:
        return (
            f"layer {self.layer!r}, {self.place} {self.index}: fake-quantized {self.fake_quantized!r}, "
            f"bit-exact {self.bit_exact!r}, difference {self.difference:g} ({self.last_places:g} last places)"
        )


def first_difference(module: QuantizedModel, network: BitExactNetwork, images: Tensor) -> Difference | None:
    """The first number, layer by layer, in which a quantized module and its bit-exact network differ; None if none.

    Each layer's rounded input is compared, and the last layer's accumulators. A module computes in float32 (or in
    whatever type it has), so that sums wider than its significand differ in their last places; in between, such a
    difference counts once it changes what the next layer is given.
    images: a batch as for `network.run`. Raises what `network.run` raises; ModelError if the module and the network do
    not belong together.
    """
    exact = network.trace(images)
    observed = _observe(module, images)
    for layer in network.layers:
        if layer.name not in observed:
            raise ModelError(f"the module has no layer {layer.name!r}: lower this module, then compare")
        rounded, result = observed[layer.name]
        if (found := _compare(rounded, exact[layer.inputs[0]], layer.input_fraction_bits)) is not None:
            return Difference(layer.name, "input", *found)
        if layer is network.layers[-1]:
            found = _compare(result, exact[layer.name], layer.accumulator_fraction_bits)
            return None if found is None else Difference(layer.name, "accumulator", *found)
    return None


def _observe(module: QuantizedModel, images: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Rounded input and result of every layer, by the name that lowering gives it; in evaluation mode."""
    observed: dict[str, tuple[Tensor, Tensor]] = {}
    uses: dict[QuantizedLayer, list[str]] = {}
    for call in trace(module.network).calls:
        if isinstance(call.module, QuantizedLayer):
            uses.setdefault(call.module, []).append(call.name)

    def note(layer: QuantizedLayer, arguments: tuple[Tensor, ...], result: Tensor) -> None:
        rounded = layer.input_format.quantize(arguments[0], layer.input_fraction_bits)
        observed[uses[layer].pop(0)] = (rounded, result)

    with _evaluating(module), torch.no_grad():
        handles = [layer.register_forward_hook(note) for layer in uses]
        try:
            module(images)
        finally:
            for handle in handles:
                handle.remove()
    return observed


@contextmanager
def _evaluating(module: QuantizedModel) -> Generator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def _compare(
    fake: Tensor, exact: ExactValues, fraction_bits: int
) -> tuple[tuple[int, ...], float, float, float, float] | None:
    """Index, both values, difference and last places of the first element that differs."""
    expected: Any = exact.cpu().numpy() if isinstance(exact, Tensor) else exact
    found = fake.detach().cpu().double().numpy().reshape(expected.shape)
    # Scaling by a power of two is exact, and Python compares floats with integers exactly.
    scaled = found * 2.0**fraction_bits
    wide = expected.dtype == object or (expected.dtype == np.int64 and bool((abs(expected) >= 2**53).any()))
    differs = scaled.astype(object) != expected.astype(object) if wide else scaled != expected
    if not differs.any():
        return None
    index = tuple(int(at) for at in np.argwhere(differs)[0])
    exact_value = Fraction(expected[index].item() if hasattr(expected[index], "item") else expected[index])
    unit = Fraction(2) ** -fraction_bits
    value = float(found[index])
    difference = Fraction(value) - exact_value * unit
    return index, value, float(exact_value * unit), float(difference), float(difference / unit)
