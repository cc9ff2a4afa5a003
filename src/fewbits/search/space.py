"""What a search chooses: for each unit of a network's layers, one of some precisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from fewbits.errors import SearchError
from fewbits.formats import Precision, parse_precision
from fewbits.quantization import QuantizedModel, quantize
from fewbits.search.result import Method, Point

Choice = tuple[int, ...]
"""For each unit of a space the number of its precision; 0 is the reference."""


@dataclass(frozen=True)
class Space:
    """The assignments of a network."""

    units: tuple[tuple[str, ...], ...]
    """The layers that have one precision together, in the network's order: those that share an input, which is
    rounded once, or a layer alone."""

    precisions: tuple[Precision, ...]
    """That each unit may have, widest first."""

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers with weights."""
        return tuple(layer for unit in self.units for layer in unit)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the precisions."""
        return tuple(precision.name for precision in self.precisions)

    @property
    def size(self) -> int:
        """Assignments that there are."""
        return len(self.precisions) ** len(self.units)

    @property
    def reference(self) -> Choice:
        """All at the first precision."""
        return self.uniform(0)

    def uniform(self, precision: int) -> Choice:
        """All units at one precision."""
        return (precision,) * len(self.units)

    def with_unit(self, choice: Choice, unit: int, precision: int) -> Choice:
        """The choice with another precision for one unit."""
        return (*choice[:unit], precision, *choice[unit + 1 :])

    def main(self, choice: Choice) -> Precision:
        """The widest precision in use: that of the network, and of values which only additions take."""
        return self.precisions[min(choice)]

    def layer_names(self, choice: Choice) -> dict[str, str]:
        """Precisions by layer, of the layers that have another than the main one."""
        main = min(choice)
        return {
            layer: self.names[number]
            for unit, number in zip(self.units, choice, strict=True)
            for layer in unit
            if number != main
        }

    def layer_precisions(self, choice: Choice) -> dict[str, Precision]:
        """The same as precisions."""
        return {layer: self.precisions[self.names.index(name)] for layer, name in self.layer_names(choice).items()}

    def label(self, choice: Choice) -> str:
        """The choice in few words: `fixed3`, or `fixed8 fixed3 fixed3 fixed8` in the units' order, runs told once."""
        if len(set(choice)) == 1:
            return self.names[choice[0]]
        runs: list[list[int]] = []
        for number in choice:
            if runs and runs[-1][0] == number:
                runs[-1][1] += 1
            else:
                runs.append([number, 1])
        return " ".join(self.names[number] + (f" x{count}" if count > 1 else "") for number, count in runs)

    def choice_of(self, point: Point) -> Choice:
        """The choice that a point stands for."""
        numbers = {name: number for number, name in enumerate(self.names)}
        return tuple(numbers[point.layers.get(unit[0], point.precision)] for unit in self.units)


def parsed_precisions(names: Sequence[str]) -> tuple[Precision, ...]:
    """The precisions of these names, widest first; of equal widths in the order given.

    Raises FormatError for an unknown one; SearchError for one twice, or one that has no arithmetic.
    """
    parsed = [parse_precision(name) for name in names]
    for number, precision in enumerate(parsed):
        if precision in parsed[:number]:
            raise SearchError(f"{names[number]!r} and {precision.name!r} are one precision: give each once")
        if precision.refusal is not None:
            raise SearchError(f"{names[number]!r} cannot be searched with: {precision.refusal}")
    return tuple(sorted(parsed, key=lambda one: -(one.weights.bits + one.inputs.bits)))


def space_of(network: nn.Module, precisions: Sequence[Precision]) -> Space:
    """The assignments of a float network, normalization folded. Raises ModelError as `quantize`."""
    return Space(_units(quantize(network, precisions[0])), tuple(precisions))


def _units(model: QuantizedModel) -> tuple[tuple[str, ...], ...]:
    """Layers that follow one rounding of their inputs stand together."""
    units: dict[int | str, list[str]] = {}
    for name, layer in model.layers.items():
        rounding = layer.input_rounding
        units.setdefault(name if rounding is None else id(rounding), []).append(name)
    return tuple(tuple(unit) for unit in units.values())


def point_of(space: Space, choice: Choice, method: Method, **figures: object) -> Point:
    """A point of a result; figures: its other fields."""
    return Point(
        name=space.label(choice),
        precision=space.main(choice).name,
        layers=space.layer_names(choice),
        method=method,
        **figures,  # pyright: ignore[reportArgumentType]
    )
