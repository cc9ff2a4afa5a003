"""Reports of a study: the table for the terminal, Markdown, CSV, charts and one HTML page."""

from fewbits.report.grouping import group_runs
from fewbits.report.terminal import print_study
from fewbits.report.write import write_report

__all__ = ["group_runs", "print_study", "write_report"]
