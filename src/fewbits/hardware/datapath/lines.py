"""Figures of a kind on the line through two that are known: what neurons and control of other sizes are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TypeVar

from fewbits.hardware.process.technology import ComponentCost, ControlCost, NeuronShare

Figures = TypeVar("Figures", ComponentCost, ControlCost, NeuronShare)

_WORSE: dict[str, Callable[[float, float], float]] = {"longest_path_ns": max, "clock_mhz": min}
"""Figures that are not on a line: the worse of both is taken."""


def on_line(low: Figures, high: Figures, place: float) -> Figures:
    """Every figure `place` of the way from one to the other, beyond them too; none below 0."""

    def rule(figures: Sequence[float]) -> float:
        return figures[0] + place * (figures[1] - figures[0])

    return _joined((low, high), rule)


def grown(one: Figures, before: Figures, after: Figures) -> Figures:
    """Every figure with what another has more after than before; none below 0."""
    return _joined((one, before, after), lambda figures: figures[0] + figures[2] - figures[1])


def neighbours(numbers: list[int], wanted: int) -> tuple[int, int, float]:
    """The two of some numbers on whose line a wanted one is taken, and where on it: those around it, or the nearest.

    numbers: two at least, in order.
    """
    above = next((place for place, number in enumerate(numbers) if number >= wanted), len(numbers) - 1)
    low, high = numbers[max(above, 1) - 1], numbers[max(above, 1)]
    return low, high, (wanted - low) / (high - low)


def _joined(all_of: tuple[Figures, ...], rule: Callable[[Sequence[float]], float]) -> Figures:
    values: dict[str, object] = {}
    for field in fields(all_of[0]):
        each = [getattr(one, field.name) for one in all_of]
        if field.name in _WORSE:
            values[field.name] = _WORSE[field.name](each[0], each[-1])
        elif isinstance(each[0], NeuronShare):
            values[field.name] = None if None in each else _joined(tuple(each), rule)
        elif each[0] is not None:
            value = max(0.0, rule(each))
            values[field.name] = round(value) if field.type == "int" else value
    return replace(all_of[0], **values)  # pyright: ignore[reportArgumentType]
