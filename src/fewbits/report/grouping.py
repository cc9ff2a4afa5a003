"""Joins a study's runs to groups of rows: one group a network and data set, one row a precision and recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from fewbits.report.rows import BASELINE, Group, Row, Statistic

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
    def over_seeds(figure: Callable[[RunResult], float]) -> Statistic:
        return Statistic.of([figure(run) for run in runs])

    def by_component(parts: Callable[[RunResult], dict[str, float]]) -> dict[str, float]:
        return {name: Statistic.of([parts(run)[name] for run in runs]).mean for name in parts(runs[0])}

    compared = [run for run in runs if run.seed in baseline]
    return Row(
        precision=runs[0].precision,
        recipe=runs[0].recipe,
        seeds=tuple(run.seed for run in runs),
        accuracy_percent=over_seeds(lambda run: run.accuracy_percent),
        fake_quantized_accuracy_percent=over_seeds(lambda run: run.fake_quantized_accuracy_percent),
        difference_points=_statistic(run.accuracy_percent - baseline[run.seed].accuracy_percent for run in compared),
        differing_images=over_seeds(lambda run: run.differing_images),
        parameter_kib=over_seeds(lambda run: run.parameters_kib),
        memory_kib=over_seeds(lambda run: run.memory_kib),
        area_mm2=over_seeds(lambda run: run.area_mm2),
        power_mw=over_seeds(lambda run: run.power_mw),
        clock_mhz=over_seeds(lambda run: run.clock_mhz),
        cycles=over_seeds(lambda run: run.cycles),
        energy_uj=over_seeds(lambda run: run.energy_uj),
        energy_saving_percent=_statistic(
            run.energy_saving_percent for run in compared if run.energy_saving_percent is not None
        ),
        area_mm2_by_component=by_component(lambda run: run.area_mm2_by_component),
        power_mw_by_component=by_component(lambda run: run.power_mw_by_component),
        energy_uj_by_component=by_component(lambda run: run.energy_uj_by_component),
        runs=tuple(runs),
    )


def _statistic(values: Iterable[float]) -> Statistic | None:
    found = list(values)
    return Statistic.of(found) if found else None
