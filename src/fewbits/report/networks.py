"""Several networks on one data set: one Pareto front over precision x width, and what it says in a sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fewbits.report.rows import ACCURACY, BASELINE, ENERGY, Group, pareto_front

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.report.rows import Row

ALL = "all networks"
"""Stands for the network's name where a group holds the rows of several."""


def across_networks(groups: Sequence[Group]) -> tuple[Group, ...]:
    """For each data set on which several networks have finished runs, one group of all their rows."""
    together: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        if group.rows:
            together.setdefault((group.data, group.apart), []).append(group)
    return tuple(
        Group(model=ALL, data=data, rows=tuple(row for group in each for row in group.points), failed=(), apart=apart)
        for (data, apart), each in together.items()
        if len(each) > 1
    )


def network_of(row: Row) -> str:
    """The network that a row is about."""
    return row.runs[0].model


def point_name(row: Row, rows: Sequence[Row]) -> str:
    """Network and precision, such as `alex+ at pow2-6/fixed16`; more where several rows share both."""
    name = f"{network_of(row)} at {row.precision}"
    same = [other for other in rows if (network_of(other), other.precision) == (network_of(row), row.precision)]
    recipe = f" ({row.recipe})" if len({other.recipe for other in same}) > 1 else ""
    return f"{name}{recipe}{row.apart(same)}"


def comparison(group: Group, measure: Row | None = None) -> tuple[str, ...]:
    """What a group of several networks shows, in sentences computed from its rows.

    measure: a float32 row; None for that of least energy, the narrowest network. First what takes least energy among
    all that is no less accurate, then, if it is another, what is most accurate among all that takes no more energy.
    Empty without a float32 row or another one to compare with it.
    """
    if measure is None:
        measure = min((row for row in group.rows if row.precision == BASELINE), key=_energy, default=None)
    others = [row for row in group.rows if row is not measure]
    if measure is None or not others:
        return ()

    def against(row: Row) -> str:
        return _against(row, measure, group.rows)

    saving = [row for row in others if _accuracy(row) >= _accuracy(measure) and _energy(row) <= _energy(measure)]
    if not saving:
        closest = max((row for row in others if _energy(row) <= _energy(measure)), key=_accuracy, default=None)
        nothing = (
            f"On {group.data} nothing that takes no more energy is as accurate as {point_name(measure, group.rows)}"
        )
        return (f"{nothing}.",) if closest is None else (f"{nothing}: {against(closest)}.",)
    cheapest = min(saving, key=lambda row: (_energy(row), -_accuracy(row)))
    best = max(saving, key=lambda row: (_accuracy(row), -_energy(row)))
    first = f"On {group.data} {against(cheapest)}; nothing as accurate takes less."
    return (first,) if best is cheapest else (first, f"The most accurate for no more energy: {against(best)}.")


def front_line(group: Group) -> str:
    """The Pareto front of a group of several networks, from the least energy to the most."""
    points = (
        f"{point_name(row, group.rows)} ({_accuracy(row):.2f} %, {_energy(row):.4g} µJ)"
        for row in pareto_front(group.rows)
    )
    over = "precision, width and accelerator" if group.accelerators else "precision and width"
    return f"Pareto front over {over} on {group.data}: {', '.join(points)}."


def _against(row: Row, measure: Row, rows: Sequence[Row]) -> str:
    """One point against another, as `a beats b by 0.90 points with 78.0 % less energy`."""
    name, measured = point_name(row, rows), point_name(measure, rows)
    points = _accuracy(row) - _accuracy(measure)
    saved = 100 * (1 - _energy(row) / _energy(measure))
    if points == 0:
        verdict = f"is as accurate as {measured}"
    else:
        verb = "beats" if points > 0 else "is below"
        verdict = f"{verb} {measured} by {abs(points):.2f} points{_doubt(row, measure)}"
    return f"{name} {verdict} with {saved:.1f} % less energy"


def _doubt(row: Row, measure: Row) -> str:
    """A remark, if the difference may come from the choice of test images: within two standard errors.

    The error of a difference of two shares p, q of n images is at most sqrt((p (1 - p) + q (1 - q)) / n): that of
    independent samples, which both networks' answers to the same images, correlated, stay below.
    """
    shares = (_accuracy(row) / 100, _accuracy(measure) / 100)
    images = min(run.test_images for one in (row, measure) for run in one.runs)
    twice = 200 * math.sqrt(sum(share * (1 - share) for share in shares) / images)
    if abs(_accuracy(row) - _accuracy(measure)) > twice:
        return ""
    return f" (two standard errors of {images} test images: {twice:.2f})"


def _accuracy(row: Row) -> float:
    return row.mean(ACCURACY)


def _energy(row: Row) -> float:
    return row.mean(ENERGY)
