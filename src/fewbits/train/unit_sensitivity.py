"""How much the loss depends on what a tile switches: groups of 16 outputs, and chunks of 16 synapses of them.

Units are ranked by sensitivity over the cycles that a tile of 16 neurons of 16 synapses takes for them in an image:
each costs about the same energy, so that this is sensitivity over the energy that switching can save.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fewbits.formats.switched_units import OUTPUTS_OF_A_UNIT, SYNAPSES_OF_A_CHUNK
from fewbits.graph.module_kinds import kind_of_layer
from fewbits.quantization import QuantizedModel

_BATCH = 100
"""Images at a time whose gradients are taken; no result depends on it but by the order of float sums."""

Unit = tuple[int, "int | None"]
"""16 outputs by their number, and a chunk of 16 synapses of them by its own; None for all their synapses."""

Units = Mapping[str, tuple[Unit, ...]]
"""By a layer's name."""


@dataclass(frozen=True)
class RankedUnit:
    """What a layer can compute approximately."""

    sensitivity: float
    """Of outputs y the mean of |dE/dy| over images, positions and the unit's outputs, E an image's cross-entropy; of
    synapses w the mean over images of |sum of w dE/dw|: what E changes to first order where they are left out."""

    layer: str
    unit: int
    chunk: int | None = None

    per_cycle: float = 0.0
    """Sensitivity of all that a unit holds over the tile's cycles for it in an image; units are ranked by it."""

    @property
    def rank(self) -> tuple[float, str, int, int]:
        """Least sensitive first, then in the order of layers' names and of numbers."""
        return self.per_cycle, self.layer, self.unit, -1 if self.chunk is None else self.chunk


def ranked_units(model: QuantizedModel, images: Tensor, labels: Tensor, units: Units) -> list[RankedUnit]:
    """Units of 16 outputs, the least sensitive first.

    images: normalized; labels: of each. units: those to rank. Rounding passes gradients straight through. The network
    is left in evaluation mode, its parameters without gradients.
    """
    sums = {name: torch.zeros(len(model.layers[name].layer.weight), dtype=torch.float64) for name in units}
    positions = dict.fromkeys(units, 0)

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def add(gradient: Tensor) -> None:
            axis = gradient.ndim - 1 if kind_of_layer(model.layers[name].layer).features_are_last else 1
            by_output = gradient.detach().abs().double().movedim(axis, 0).flatten(1)
            sums[name] += by_output.sum(dim=1).cpu()
            positions[name] += by_output.shape[1]

        def hook(_: nn.Module, __: Any, result: Tensor) -> None:
            result.register_hook(add)

        return hook

    model.eval()
    device = next(model.parameters()).device
    hooks = [model.layers[name].register_forward_hook(watch(name)) for name in units]
    try:
        for start in range(0, len(images), _BATCH):
            logits = model(images[start : start + _BATCH].to(device))
            expected = labels[start : start + _BATCH].to(device)
            nn.functional.cross_entropy(logits, expected, reduction="sum").backward()
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad(set_to_none=True)
    found: list[RankedUnit] = []
    for name, numbers in units.items():
        parts = sums[name].split(OUTPUTS_OF_A_UNIT)
        chunks = _chunks(model, name)
        for unit, _ in numbers:
            mean = float(parts[unit].mean()) / positions[name]
            found.append(RankedUnit(mean, name, unit, None, mean * len(parts[unit]) / chunks))
    return sorted(found, key=lambda one: one.rank)


def ranked_synapses(model: QuantizedModel, images: Tensor, labels: Tensor, units: Units) -> list[RankedUnit]:
    """Chunks of synapses, or all of 16 outputs, the least sensitive first. As `ranked_units`; image by image."""
    model.eval()
    layers = [model.layers[name] for name in units]
    weights = [layer.layer.weight for layer in layers]
    device = weights[0].device
    rounded = [layer.quantized_weight() for layer in layers]
    positions = _positions(model, images[:1], list(units))
    sums = [_by_chunk(weight).zero_() for weight in rounded]
    whole = [one.sum(dim=1) for one in sums]
    for image, label in zip(images, labels, strict=True):
        loss = nn.functional.cross_entropy(model(image[None].to(device)), label[None].to(device))
        gradients = torch.autograd.grad(loss, weights)
        for place, gradient in enumerate(gradients):
            by_chunk = _by_chunk(rounded[place] * gradient)
            sums[place] += by_chunk.abs()
            whole[place] += by_chunk.sum(dim=1).abs()
    found: list[RankedUnit] = []
    for (name, numbers), by_chunk, by_unit in zip(units.items(), sums, whole, strict=True):
        for unit, chunk in numbers:
            total = float(by_unit[unit] if chunk is None else by_chunk[unit, chunk]) / len(images)
            cycles = positions[name] * (_chunks(model, name) if chunk is None else 1)
            found.append(RankedUnit(total, name, unit, chunk, total / cycles))
    return sorted(found, key=lambda one: one.rank)


def _by_chunk(values: Tensor) -> Tensor:
    """Sums over the outputs of each unit and the synapses of each chunk: units x chunks, float64.

    values: in the shape of the weights.
    """
    flat = values.detach().double().flatten(1)
    outputs, synapses = flat.shape
    rows, columns = -outputs % OUTPUTS_OF_A_UNIT, -synapses % SYNAPSES_OF_A_CHUNK
    padded = nn.functional.pad(flat, (0, columns, 0, rows))
    blocks = padded.reshape(-1, OUTPUTS_OF_A_UNIT, (synapses + columns) // SYNAPSES_OF_A_CHUNK, SYNAPSES_OF_A_CHUNK)
    return blocks.sum(dim=(1, 3))


def _chunks(model: QuantizedModel, name: str) -> int:
    return -(-model.layers[name].layer.weight[0].numel() // SYNAPSES_OF_A_CHUNK)


def _positions(model: QuantizedModel, image: Tensor, names: Sequence[str]) -> dict[str, int]:
    """Output positions of layers. image: one, normalized."""
    found: dict[str, int] = {}

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_: nn.Module, __: Any, result: Tensor) -> None:
            found[name] = result.numel() // len(model.layers[name].layer.weight)

        return hook

    hooks = [model.layers[name].register_forward_hook(watch(name)) for name in names]
    try:
        with torch.no_grad():
            model(image.to(next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return found


@dataclass(frozen=True)
class Granularity:
    """What a recipe switches at a time."""

    words: str
    """For notices."""

    ranked: Callable[[QuantizedModel, Tensor, Tensor, Units], list[RankedUnit]]

    units: Callable[[QuantizedModel, Tensor, Sequence[str]], Units]
    """All units of the layers of these names. Takes an image too, normalized, for the layers' positions."""


def _outputs(model: QuantizedModel, _: Tensor, names: Sequence[str]) -> Units:
    return {name: tuple((unit, None) for unit in range(_units_of(model, name))) for name in names}


def _synapses(model: QuantizedModel, image: Tensor, names: Sequence[str]) -> Units:
    positions = _positions(model, image, names)
    whole = _outputs(model, image, names)
    return {
        name: whole[name]
        if positions[name] == 1
        else tuple((unit, chunk) for unit, _ in whole[name] for chunk in range(_chunks(model, name)))
        for name in names
    }


def _units_of(model: QuantizedModel, name: str) -> int:
    return -(-len(model.layers[name].layer.weight) // OUTPUTS_OF_A_UNIT)


OUTPUTS = Granularity(f"units of {OUTPUTS_OF_A_UNIT} outputs", ranked_units, _outputs)

SYNAPSES = Granularity(
    f"units of {OUTPUTS_OF_A_UNIT} outputs, and chunks of {SYNAPSES_OF_A_CHUNK} synapses of them",
    ranked_synapses,
    _synapses,
)
