"""Joins runs to groups of rows: one a network and data set; a row a precision, recipe and accelerator (of a study)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fewbits.report.rows import BASELINE, Group, Row, Statistic
from fewbits.study.figures import JOINED, SPLIT

if TYPE_CHECKING:
    from fewbits.report.studies import ReadStudy
    from fewbits.study import FailedRun, RunResult


def group_runs(results: Sequence[RunResult], failures: Sequence[FailedRun] = ()) -> tuple[Group, ...]:
    """The groups of one study in the order of their first run; rows likewise, their seeds joined."""
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


def group_studies(studies: Sequence[ReadStudy]) -> tuple[Group, ...]:
    """The groups of several studies: rows of one network and data set stand together, each with its study's name.

    What may not be compared, on other images or another technology, stands in groups of its own, whose title says so.
    """
    if len(studies) == 1:
        return group_runs(studies[0].results, studies[0].failures)
    found: dict[tuple[str, str], dict[str, list[tuple[ReadStudy, Group]]]] = {}
    for study in studies:
        for group in group_runs(study.results, study.failures):
            rests_on = f"{study.record.data.get(group.data, {}).get('sha256')} {study.record.technology.get('sha256')}"
            found.setdefault((group.model, group.data), {}).setdefault(rests_on, []).append((study, group))
    return tuple(
        _together(together, told_apart=len(by_basis) > 1)
        for by_basis in found.values()
        for together in by_basis.values()
    )


def _together(groups: Sequence[tuple[ReadStudy, Group]], *, told_apart: bool) -> Group:
    """One group of several studies' groups. told_apart: whether there are others of the same network and data set."""
    (_, first), names = groups[0], [study.name for study, _ in groups]
    return Group(
        model=first.model,
        data=first.data,
        rows=tuple(row for study, group in groups for row in _own_rows(study, group)),
        failed=tuple(run for _, group in groups for run in group.failed),
        failed_in=tuple(study.name for study, group in groups for _ in group.failed),
        apart=", ".join(names) if told_apart else "",
    )


def _own_rows(study: ReadStudy, group: Group) -> Iterable[Row]:
    """The rows with the runs that no earlier study has; differences are to the study's float32 runs all the same."""
    shared = {run.key for _, run in study.shared}
    baselines = _baselines([run for row in group.rows for run in row.runs])
    for row in group.rows:
        if runs := [run for run in row.runs if run.key not in shared]:
            yield _row(runs, baselines, study.name)


def _rows(runs: Sequence[RunResult]) -> tuple[Row, ...]:
    baselines = _baselines(runs)
    points: dict[tuple[str, str, str], list[RunResult]] = {}
    for run in runs:
        points.setdefault((run.precision, run.recipe, run.accelerator), []).append(run)
    return tuple(_row(sorted(point, key=lambda run: run.seed), baselines) for point in points.values())


_Baselines = dict[tuple[int, str], "RunResult"]
"""The float32 runs of a study by seed and accelerator."""


def _baselines(runs: Iterable[RunResult]) -> _Baselines:
    return {(run.seed, run.accelerator): run for run in runs if run.precision == BASELINE}


def _row(runs: Sequence[RunResult], baselines: _Baselines, study: str = "") -> Row:
    return Row(
        precision=runs[0].precision,
        recipe=runs[0].recipe,
        seeds=tuple(run.seed for run in runs),
        figures={
            figure.name: _statistic([figure.in_row(run, baselines.get((run.seed, run.accelerator))) for run in runs])
            for figure in JOINED
        },
        parts={figure.name: _means([figure.value(run) for run in runs]) for figure in SPLIT},
        runs=tuple(runs),
        study=study,
        accelerator=runs[0].accelerator,
    )


def _statistic(values: Iterable[float | None]) -> Statistic | None:
    found = [value for value in values if value is not None]
    return Statistic.of(found) if found else None


def _means(split: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each component that the first run has."""
    return {name: Statistic.of([one[name] for one in split]).mean for name in split[0]}
