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
    charts = [(chart, chart.png()) for chart in study_charts([group for group in groups if group.rows])]
    contents: dict[str, bytes] = {
        "report.html": html_page(record, groups, charts, basis_of(record, groups)).encode(),
        **{f"{chart.stem}.png": image for chart, image in charts},
        "results.csv": csv_text(groups).encode(),
        "energy.csv": energy_csv(groups).encode(),
        "results.md": markdown(groups).encode(),
    }
    return study_folder(out).write(contents)
