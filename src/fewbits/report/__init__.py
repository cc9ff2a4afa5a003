"""Reports of a study: the table for the terminal, Markdown, CSV, charts and one HTML page."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewbits.report.grouping import group_runs
    from fewbits.report.terminal import print_study
    from fewbits.report.write import write_report

__all__ = ["group_runs", "print_study", "write_report"]

_PLACES = {"group_runs": "grouping", "print_study": "terminal", "write_report": "write"}
"""Modules of the public names, loaded at first use: what draws charts takes a third of a second."""


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"fewbits.report.{_PLACES[name]}"), name)
