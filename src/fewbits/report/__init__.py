"""Reports of studies: the table for the terminal, tidy tables, Markdown, LaTeX, charts and one HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.report.grouping import group_runs
    from fewbits.report.tables import Column, Table, read_tables
    from fewbits.report.terminal import print_study
    from fewbits.report.write import write_report

__all__ = ["Column", "Table", "group_runs", "print_study", "read_tables", "write_report"]

_HOLDERS = {
    "Column": "fewbits.report.tables",
    "Table": "fewbits.report.tables",
    "group_runs": "fewbits.report.grouping",
    "print_study": "fewbits.report.terminal",
    "read_tables": "fewbits.report.tables",
    "write_report": "fewbits.report.write",
}
"""Modules of the public names, loaded at first use: what draws charts takes a third of a second."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _HOLDERS)
