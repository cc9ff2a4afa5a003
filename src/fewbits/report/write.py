"""Writes a study's report: HTML page, PNG charts, CSV and Markdown."""

from __future__ import annotations

from pathlib import Path

from fewbits.errors import StudyError
from fewbits.report.basis import basis_of
from fewbits.report.charts import study_charts
from fewbits.report.energy import energy_csv
from fewbits.report.grouping import group_runs
from fewbits.report.page import html_page
from fewbits.report.table import csv_text, markdown

_TABLES = ("report.html", "results.csv", "energy.csv", "results.md")


def write_report(folder: str | Path) -> tuple[Path, ...]:
    """Write `report.html`, the charts, `results.csv` and `results.md` into the study's folder; return their paths.

    Raises StudyError if the folder holds no study or no finished run, cannot be written to, or has a file of one of
    these names that fewbits did not write.
    """
    from fewbits.study import read_failures, read_results, read_study
    from fewbits.study.folder import study_folder

    out = Path(folder)
    record, results = read_study(out), read_results(out)
    if not results:
        raise StudyError(f"no run of the study in {str(out)!r} has finished: give its command again first")
    groups = group_runs(results, read_failures(out))
    drawn = study_charts([group for group in groups if group.rows])
    own = study_folder(out)
    own.check((*_TABLES, *(f"{chart.stem}.png" for chart in drawn)))  # before the work that would be lost
    charts = [(chart, chart.png()) for chart in drawn]
    pages = (
        html_page(record, groups, charts, basis_of(record, groups)),
        csv_text(groups),
        energy_csv(groups),
        markdown(groups),
    )
    tables = {name: text.encode() for name, text in zip(_TABLES, pages, strict=True)}
    return own.write(
        {_TABLES[0]: tables[_TABLES[0]], **{f"{chart.stem}.png": image for chart, image in charts}, **tables}
    )
