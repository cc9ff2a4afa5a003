"""Reports of a study: the table for the terminal, Markdown, CSV, charts and one HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits.report.grouping import group_runs
    from fewbits.report.terminal import print_study
    from fewbits.report.write import write_report

__all__ = ["group_runs", "print_study", "write_report"]

_HOLDERS = {
    "group_runs": "fewbits.report.grouping",
    "print_study": "fewbits.report.terminal",
    "write_report": "fewbits.report.write",
}
"""Modules of the public names, loaded at first use: what draws charts takes a third of a second."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _HOLDERS)
