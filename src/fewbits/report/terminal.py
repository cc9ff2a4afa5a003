"""The study's table in the terminal, with the published savings beside those computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from fewbits.report import published
from fewbits.report.table import text_table

if TYPE_CHECKING:
    from fewbits.report.rows import Group


def print_study(groups: Sequence[Group], console: Console | None = None) -> None:
    """Each group's table, then the savings beside the published ones, marked as such."""
    console = console or Console()
    for group in groups:
        text = text_table(group)
        table = Table(title=text.title, title_justify="left", caption=text.note, caption_justify="left")
        for heading, unit in zip(text.headings, text.units, strict=True):
            label = f"{heading}\n{unit}" if unit else heading
            table.add_column(label, justify="right" if unit else "left", overflow="fold")
        for cells in text.cells():
            table.add_row(*cells)
        if group.rows:
            console.print(table)
        for run in group.failed:
            console.print(f"failed: {group.title}, {run.precision}, seed {run.seed}: {run.error}", markup=False)
    pairs = published.savings_of_first(groups)
    if pairs:
        console.print(_savings(pairs))
        console.print(published.order_sentence(pairs), markup=False)
        for line in published.DIFFERENCES:
            console.print(f"- {line}", markup=False)


def _savings(pairs: Sequence[published.SavingsPair]) -> Table:
    title = f"saved against float32, in percent; published (DATE 2017): {published.MARK}"
    table = Table(title=title, title_justify="left")
    for heading in ("precision", "area", "area, published", "power", "power, published"):
        table.add_column(heading, justify="left" if heading == "precision" else "right")
    for pair in pairs:
        table.add_row(*published.cells(pair))
    return table
