"""One self-contained HTML page for a study: headline, tables, charts and what each figure rests on."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fewbits import __version__
from fewbits.report import published
from fewbits.report.basis import mixed
from fewbits.report.chart import VEGA_LITE
from fewbits.report.curve_charts import without_curves
from fewbits.report.energy import OFF_CHIP, energy_table, part_table, row_energies
from fewbits.report.fronts import BASIS, front_tables
from fewbits.report.layers import OPERATIONS, cycle_table, memory_table
from fewbits.report.networks import across_networks, comparison
from fewbits.report.rows import ACCURACY, pareto_front
from fewbits.report.table import failure_lines, text_table
from fewbits.study.figures import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fewbits.report.basis import Basis
    from fewbits.report.chart import Chart
    from fewbits.report.rows import Group
    from fewbits.report.studies import ReadStudy

TOLERANCE_POINTS = 1.0
"""Accuracy that the headline lets a precision lose against float32."""


def html_page(
    studies: Sequence[ReadStudy], groups: Sequence[Group], charts: Sequence[tuple[Chart, bytes]], basis: Basis
) -> str:
    """The page as text; nothing in it is fetched from elsewhere.

    charts: each with its PNG, shown where scripts are off.
    """
    environment = Environment(
        loader=PackageLoader("fewbits.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    savings = published.compare(groups)
    return environment.get_template("page.html.j2").render(
        version=__version__,
        studies=studies,
        mixed=mixed(studies),
        headlines=[*(headline(group) for group in groups), *network_headlines(groups)],
        groups=[_group_cells(group) for group in groups],
        charts=[_chart_cells(chart, image) for chart, image in charts],
        energies=[_energy_cells(group) for group in groups],
        off_chip=OFF_CHIP,
        schedules=[_schedule_cells(group) for group in groups],
        operations=OPERATIONS,
        fronts=[{"title": group.title, "runs": front_tables(group)} for group in groups],
        front_basis=BASIS,
        comparison=savings,
        pairs=[published.cells(pair) for pair in savings.pairs] if savings else [],
        published=published.published_study(),
        basis=basis,
        without_curves=without_curves(groups),
        vega=vega_script(),
    )


def headline(group: Group) -> str:
    """The group's result in one sentence: what saves most energy within a point of float32's accuracy."""
    if not group.rows:
        return f"{group.title}: no run has finished."
    compared = [
        (row, points.mean, saved.mean)
        for row in group.rows
        for points, saved in [(row.figures["difference_points"], row.figures["energy_saving_percent"])]
        if points is not None and saved is not None and not row.is_baseline
    ]
    if not compared:
        best = max(group.rows, key=lambda row: row.mean(ACCURACY))
        return f"{group.title}: {best.label(group.rows)} is the most accurate, {best.mean(ACCURACY):.2f} %."
    within = [one for one in compared if one[1] >= -TOLERANCE_POINTS]
    if not within:
        row, points, _ = max(compared, key=lambda one: one[1])
        return (
            f"{group.title}: no precision stays within {TOLERANCE_POINTS:g} point of float32; "
            f"the closest, {row.label(group.rows)}, loses {-points:.2f}."
        )
    row, points, saved = max(within, key=lambda one: one[2])
    name = row.label(group.rows)
    change = (
        f"loses {-points:.2f} points" if points < 0 else f"gains {points:.2f} points" if points > 0 else "loses none"
    )
    return (
        f"{group.title}: {name} takes {saved:.1f} % less energy than float32 and {change} of accuracy; "
        f"no other precision within {TOLERANCE_POINTS:g} point saves more."
    )


def network_headlines(groups: Sequence[Group]) -> tuple[str, ...]:
    """What several networks on one data set show together, if there are several."""
    return tuple(line for together in across_networks(groups) for line in comparison(together))


def _group_cells(group: Group) -> dict[str, object]:
    table = text_table(group)
    front = pareto_front(group.rows)
    return {
        "title": group.title,
        "note": table.note,
        "failed": failure_lines(group),
        "labels": table.labels,
        "columns": COLUMNS,
        "rows": [
            {
                "front": row in front,
                "labels": means[: len(table.labels)],
                "cells": list(zip(means, spreads, strict=True))[len(table.labels) :],
            }
            for row, means, spreads in zip(group.rows, table.means, table.spreads, strict=True)
        ],
    }


def _energy_cells(group: Group) -> dict[str, object]:
    """Energy by part of all rows, and by layer and part of each."""
    energies = row_energies(group)
    return {
        "title": group.title,
        "parts": part_table(energies) if energies else None,
        "layers": [(label, energy_table(one)) for label, one in energies.items()],
    }


def _schedule_cells(group: Group) -> dict[str, object]:
    """Cycles, limits and memories of each row's layers; seeds share them, so that the first run stands for all."""
    rows = group.points
    kept = [(row.label(rows), row.runs[0]) for row in rows if row.runs[0].layer_records]
    return {
        "title": group.title,
        "rows": [
            (label, cycle_table(run.layer_records, run.clock_mhz), memory_table(run.layer_records))
            for label, run in kept
        ],
    }


def _chart_cells(chart: Chart, image: bytes) -> dict[str, object]:
    return {
        "heading": chart.heading,
        "caption": chart.caption,
        "description": chart.description,
        "spec": chart.page_spec(),
        "image": base64.b64encode(image).decode("ascii"),
    }


def vega_script() -> Markup:
    """Vega, Vega-Lite and vega-embed as one script, which comes with vl-convert; sets `vegaEmbed`."""
    bundle = vl_convert.javascript_bundle(None, VEGA_LITE)  # pyright: ignore[reportArgumentType]
    return Markup(bundle.replace("</script", "<\\/script"))  # noqa: S704
