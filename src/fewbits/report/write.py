"""Writes the report of a study, or of several together: page, charts, tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.errors import StudyError
from fewbits.output_folder import OutputFolder
from fewbits.report.basis import basis_of
from fewbits.report.charts import study_charts
from fewbits.report.energy import energy_csv
from fewbits.report.grouping import group_studies
from fewbits.report.latex import latex
from fewbits.report.page import html_page
from fewbits.report.studies import read_studies
from fewbits.report.table import csv_text, markdown
from fewbits.report.table_files import file_names, table_files
from fewbits.report.tables import tables_of

if TYPE_CHECKING:
    from fewbits.report.chart import Chart

TOGETHER = "fewbits-report"
"""Where a report of several studies goes, if nobody says."""

_PAGES = ("report.html", "results.csv", "energy.csv", "results.md", "results.tex")


def write_report(
    folder: str | Path,
    *more: str | Path,
    out: str | Path | None = None,
    complain: Callable[[str], None] | None = None,
) -> tuple[Path, ...]:
    """Write `report.html`, charts and tables (docs/reports.md tells of each file); return their paths.

    folder, more: of the studies; runs that two of them share stand once. out: where to write; None takes the study's
    own folder, and `fewbits-report` for several. complain: told in a line of each folder that cannot be read, and the
    report is of the others; without it nothing is written then.
    Raises StudyError if no folder holds a study with a finished run, or the report cannot be written: a file of one of
    its names is not fewbits's.
    """
    studies, lines = read_studies((folder, *more))
    if lines and complain is None:
        raise StudyError("; ".join(lines))
    groups = group_studies(studies)
    drawn = study_charts([group for group in groups if group.rows])
    is_one = len({Path(one).resolve() for one in (folder, *more)}) == 1
    own = _folder(Path(out) if out is not None else studies[0].folder if is_one else Path(TOGETHER))
    own.check((*_PAGES, *file_names(), *_chart_names(drawn)))  # before the work that would be lost
    charts = [(chart, chart.png()) for chart in drawn]
    pages = (
        html_page(studies, groups, charts, basis_of(studies, groups)),
        csv_text(groups),
        energy_csv(groups),
        markdown(groups),
        latex(groups),
    )
    tables = {name: text.encode() for name, text in zip(_PAGES, pages, strict=True)}
    tables |= table_files(tables_of(studies))
    images = {
        name: image for chart, png in charts for name, image in zip(_names(chart), (png, chart.svg()), strict=True)
    }
    written = own.write({_PAGES[0]: tables[_PAGES[0]], **images, **tables})
    for line in lines:
        if complain is not None:
            complain(line)
    return written


def _folder(path: Path) -> OutputFolder:
    from fewbits.study.folder import study_folder

    return study_folder(path)


def _names(chart: Chart) -> tuple[str, str]:
    return f"{chart.stem}.png", f"{chart.stem}.svg"


def _chart_names(charts: Sequence[Chart]) -> tuple[str, ...]:
    return tuple(name for chart in charts for name in _names(chart))
