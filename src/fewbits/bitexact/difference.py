"""`first_difference`: where the fake-quantized network and the bit-exact one first differ, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewbits.bitexact.network import BitExactNetwork, ExactValues
from fewbits.errors import ModelError
from fewbits.graph.modes import in_mode
from fewbits.graph.operations import Layer, are_floats
from fewbits.graph.tracing import trace
from fewbits.quantization import QuantizedLayer, QuantizedModel
from fewbits.quantization.calibration import check_images_type


@dataclass(frozen=True)
class Difference:
    """One number that differs."""

    layer: str
    """Name of the layer."""

    place: str
    """`input` (as the layer rounded it), `accumulator` (of the last layer) or `result` (the network's, behind that)."""

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

    cause: str
    """Why a sum may differ although both networks are right; empty where the module's type holds all sums."""

    images: int
    """How many images were compared."""

    other_classes: int
    """For how many of them the largest result is another one."""

    def __str__(self) -> str:
        classes = (
            f"another class for {self.other_classes} of {self.images} images"
            if self.other_classes
            else f"the same classes for all {self.images} images"
        )
        return (
            f"layer {self.layer!r}, {self.place} {self.index}: fake-quantized {self.fake_quantized!r}, "
            f"bit-exact {self.bit_exact!r}, difference {self.difference:g} ({self.last_places:g} last places)"
            f"{self.cause and '; '}{self.cause}; {classes}"
        )


def first_difference(module: QuantizedModel, network: BitExactNetwork, images: Tensor) -> Difference | None:
    """The first number, layer by layer, in which a quantized module and its bit-exact network differ; None if none.

    Each layer's rounded input is compared, the last layer's accumulators, and the network's result behind them. A
    module computes in float32 (or in whatever type it has), so that sums wider than its significand differ in their
    last places, which `Difference.cause` then tells; in between, such a difference counts once it changes what the next
    layer is given. A result that is averaged behind the last layer counts as equal within that type's rounding.
    images: a batch as for `network.run`. Raises what `network.run` raises; ModelError if the module and the network do
    not belong together.
    """
    exact = network.trace(images)
    check_images_type(module, images)
    observed, result = _observe(module, images)
    layers = network.layers
    for number, layer in enumerate(layers):
        if layer.name not in observed:
            raise ModelError(f"the module has no layer {layer.name!r}: lower this module, then compare")
        rounded, accumulators = observed[layer.name]
        if (found := _compare(rounded, exact[layer.inputs[0]], layer.input_fraction_bits)) is not None:
            return _difference(layer.name, "input", found, layers[:number], result, network, exact)
        if layer is not layers[-1]:
            continue
        if (found := _compare(accumulators, exact[layer.name], layer.accumulator_fraction_bits)) is not None:
            return _difference(layer.name, "accumulator", found, layers, result, network, exact)
    last = network.operations[-1]
    if (found := _compare(result, exact[last.name], network.logits_fraction_bits, _averaging(network))) is None:
        return None
    return _difference(last.name, "result", found, layers, result, network, exact)


_Found = tuple[tuple[int, ...], float, float, float, float]
"""Index, both values, difference and last places."""


def _difference(
    name: str,
    place: str,
    found: _Found,
    layers: tuple[Layer, ...],
    result: Tensor,
    network: BitExactNetwork,
    exact: dict[str, ExactValues],
) -> Difference:
    """layers: those whose sums have led to what differs."""
    significand = round(1 - math.log2(torch.finfo(result.dtype).eps))
    widest = max(layers, key=lambda layer: layer.accumulator_bits, default=None)
    cause = ""
    if are_floats(layers):
        cause = f"sums in {result.dtype} depend on their order"
    elif widest is not None and widest.accumulator_bits - 1 > significand:
        cause = (
            f"{result.dtype} holds {significand} bits of a sum, and those of layer {widest.name!r} have up to "
            f"{widest.accumulator_bits - 1} and a sign"
        )
    logits = exact[network.operations[-1].name]
    bit_exact = logits.argmax(1) if isinstance(logits, Tensor) else torch.from_numpy(np.argmax(logits, axis=1))
    differ = result.reshape(tuple(logits.shape)).argmax(1).cpu() != bit_exact.cpu()
    return Difference(name, place, *found, cause, len(result), int(differ.reshape(len(result), -1).any(1).sum()))


@dataclass(frozen=True)
class _Averaging:
    """The sums behind the last layer."""

    divisor: int
    """See `BitExactNetwork.logits_divisor`."""

    values: int
    """How many accumulators make one result."""


def _averaging(network: BitExactNetwork) -> _Averaging:
    return _Averaging(network.logits_divisor, math.prod(operation.added_results for operation in network.operations))


def _observe(module: QuantizedModel, images: Tensor) -> tuple[dict[str, tuple[Tensor, Tensor]], Tensor]:
    """Rounded input and result of every layer, by the name that lowering gives it, and the module's result.

    In evaluation mode; what later calls overwrite in place is kept as it was.
    """
    observed: dict[str, tuple[Tensor, Tensor]] = {}
    uses: dict[QuantizedLayer, list[str]] = {}
    for call in trace(module.network).calls:
        if isinstance(call.module, QuantizedLayer):
            uses.setdefault(call.module, []).append(call.name)

    def note(layer: QuantizedLayer, arguments: tuple[Tensor, ...], result: Tensor) -> None:
        rounded = layer.round_values(arguments[0])
        observed[uses[layer].pop(0)] = (rounded.clone(), result.clone())

    with in_mode(module, training=False), torch.no_grad():
        handles = [layer.register_forward_hook(note) for layer in uses]
        try:
            result: Tensor = module(images.clone())
        finally:
            for handle in handles:
                handle.remove()
    return observed, result


def _compare(
    fake: Tensor, exact: ExactValues, fraction_bits: int, averaging: _Averaging = _Averaging(1, 1)
) -> _Found | None:
    """The first element that differs."""
    expected: Any = exact.cpu().numpy() if isinstance(exact, Tensor) else exact
    found = fake.detach().cpu().double().numpy().reshape(expected.shape)
    # Scaling by a power of two is exact, and Python compares floats with integers exactly.
    scaled = found * 2.0**fraction_bits
    if averaging.values > 1:  # each addition and the division may round
        quotients = (expected.astype(object) / averaging.divisor).astype(np.float64)
        noise = torch.finfo(fake.dtype).eps * (averaging.values + 1)
        differs = abs(scaled - quotients) > noise * max(1.0, float(abs(quotients).max(initial=0.0)))
    else:
        wide = expected.dtype == object or (expected.dtype == np.int64 and bool((abs(expected) >= 2**53).any()))
        differs = scaled.astype(object) != expected.astype(object) if wide else scaled != expected
    if not differs.any():
        return None
    index = tuple(int(at) for at in np.argwhere(differs)[0])
    integer = expected[index].item() if hasattr(expected[index], "item") else expected[index]
    exact_value = Fraction(integer) / averaging.divisor
    unit = Fraction(2) ** -fraction_bits
    value = float(found[index])
    difference = Fraction(value) - exact_value * unit
    return index, value, float(exact_value * unit), float(difference), float(difference / unit)
