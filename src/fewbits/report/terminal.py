"""The study's table in the terminal, with the published savings beside those computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fewbits.report import published
from fewbits.report.table import COLUMNS, TextTable, text_table

if TYPE_CHECKING:
    from fewbits.report.rows import Group


def print_study(groups: Sequence[Group], console: Console | None = None) -> None:
    """Each group's table, then the savings beside the published ones, marked as such."""
    console = console or Console()
    for group in groups:
        if group.rows:
            console.print(_study_table(group, console.width), "")
        for run in group.failed:
            console.print(f"failed: {group.title}, {run.precision}, seed {run.seed}: {run.error}", markup=False)
    comparison = published.compare(groups)
    if comparison is None:
        return
    console.print(_savings_table(comparison))
    for line in comparison.notes:
        console.print(line, markup=False, highlight=False)


def _study_table(group: Group, width: int) -> Table:
    """Means and spreads side by side where the terminal is wide enough, else one under the other."""
    text = text_table(group)
    wide = _filled(text, " ")
    return wide if Console(width=1000).measure(wide).maximum <= width else _filled(text, "\n")


def _filled(text: TextTable, between: str) -> Table:
    table = _plain_table(text.title, text.note)
    for label in text.labels:
        table.add_column(f"\n\n{label}", no_wrap=True)
    for column in COLUMNS:
        table.add_column(f"{column.narrow}\n{column.unit}", justify="right", no_wrap=True)
    for means, spreads in zip(text.means, text.spreads, strict=True):
        table.add_row(*(f"{mean}{between}{spread}" if spread else mean for mean, spread in zip(means, spreads, strict=True)))
    return table


def _savings_table(comparison: published.Comparison) -> Table:
    table = _plain_table(f"saved against float32, in percent: here, and {published.MARK}", "")
    for heading in ("precision", "area", "published", "power", "published"):
        table.add_column(heading, justify="left" if heading == "precision" else "right")
    for pair in comparison.pairs:
        table.add_row(*published.cells(pair))
    return table


def _plain_table(title: str, caption: str) -> Table:
    """Columns one space apart under a rule; escaping keeps names from being read as markup."""
    return Table(
        title=escape(title),
        caption=escape(caption),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,
    )
