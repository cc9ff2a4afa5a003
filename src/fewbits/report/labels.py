"""Where each point's name goes in a chart, so that names cover neither points nor one another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CHARACTER_WIDTH, LINE_HEIGHT, POINT_RADIUS = 7.0, 14.0, 7.0
"""Pixels that a 12-pixel label takes, and the room that a point takes."""


@dataclass(frozen=True)
class Label:
    """A label's anchor relative to its point, in pixels, and how its text is aligned there."""

    dx: float
    dy: float
    align: str


_PLACES = (
    Label(0, -14, "center"),
    Label(0, 14, "center"),
    Label(11, 0, "left"),
    Label(-11, 0, "right"),
    Label(0, -28, "center"),
    Label(0, 28, "center"),
    Label(9, -13, "left"),
    Label(9, 13, "left"),
    Label(-9, -13, "right"),
    Label(-9, 13, "right"),
    Label(0, -42, "center"),
    Label(0, 42, "center"),
)
"""Tried in this order; the first one free is taken."""

_Box = tuple[float, float, float, float]


def place_labels(
    names: Sequence[str], points: Sequence[tuple[float, float]], width: float, height: float
) -> list[Label]:
    """A place for each name: greedy, from the top of the plot down.

    points: pixels from the plot's top left corner; width, height: the plot's. Where no place is free, the one that
    overlaps least is taken.
    """
    taken = [(x - POINT_RADIUS, y - POINT_RADIUS, x + POINT_RADIUS, y + POINT_RADIUS) for x, y in points]
    labels: list[Label | None] = [None] * len(points)
    for i in sorted(range(len(points)), key=lambda k: (points[k][1], points[k][0])):
        boxes = [_box(names[i], points[i], place) for place in _PLACES]
        costs = [sum(_overlap(box, other) for other in taken) + _outside(box, width, height) for box in boxes]
        best = costs.index(min(costs))
        labels[i] = _PLACES[best]
        taken.append(boxes[best])
    return [label for label in labels if label is not None]


def _box(name: str, point: tuple[float, float], place: Label) -> _Box:
    wide = len(name) * CHARACTER_WIDTH
    left = point[0] + place.dx - {"left": 0.0, "center": wide / 2, "right": wide}[place.align]
    top = point[1] + place.dy - LINE_HEIGHT / 2
    return (left, top, left + wide, top + LINE_HEIGHT)


def _overlap(one: _Box, other: _Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)


def _outside(box: _Box, width: float, height: float) -> float:
    """The label's area beyond the plot."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return area - _overlap(box, (0.0, 0.0, width, height))


def to_pixels(value: float, low: float, high: float, length: float, *, logarithmic: bool = False) -> float:
    """Where a value lies on an axis of this length."""
    if logarithmic:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return length * (value - low) / (high - low)
