"""Joins a study's runs to groups of rows: one group a network and data set, one row a precision and recipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fewbits.report.rows import BASELINE, Group, Row, Statistic
from fewbits.study.figures import JOINED, SPLIT

if TYPE_CHECKING:
    from fewbits.study import FailedRun, RunResult


def group_runs(results: Sequence[RunResult], failures: Sequence[FailedRun] = ()) -> tuple[Group, ...]:
    """The groups in the order of their first run; rows likewise, their seeds joined."""
    titles = list(dict.fromkeys((run.model, run.data) for run in (*results, *failures)))
    return tuple(
        Group(
            model=model,
            data=data,
            rows=_rows([run for run in results if (run.model, run.data) == (model, data)]),
            failed=tuple(run for run in failures if (run.model, run.data) == (model, data)),
        )
        for model, data in titles
    )


def _rows(runs: Sequence[RunResult]) -> tuple[Row, ...]:
    baseline = {run.seed: run for run in runs if run.precision == BASELINE}
    points = list(dict.fromkeys((run.precision, run.recipe) for run in runs))
    return tuple(
        _row(sorted((run for run in runs if (run.precision, run.recipe) == point), key=lambda run: run.seed), baseline)
        for point in points
    )


def _row(runs: Sequence[RunResult], baseline: dict[int, RunResult]) -> Row:
    return Row(
        precision=runs[0].precision,
        recipe=runs[0].recipe,
        seeds=tuple(run.seed for run in runs),
        figures={
            figure.name: _statistic([figure.in_row(run, baseline.get(run.seed)) for run in runs]) for figure in JOINED
        },
        parts={figure.name: _means([figure.value(run) for run in runs]) for figure in SPLIT},
        runs=tuple(runs),
    )


def _statistic(values: Iterable[float | None]) -> Statistic | None:
    found = [value for value in values if value is not None]
    return Statistic.of(found) if found else None


def _means(split: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each component that the first run has."""
    return {name: Statistic.of([one[name] for one in split]).mean for name in split[0]}
