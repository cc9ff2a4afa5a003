"""The study's table in the terminal, with the published savings beside those computed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from fewbits.report import networks, published
from fewbits.report.defects import defect_tables, sentences
from fewbits.report.energy import OFF_CHIP, row_energies
from fewbits.report.networks import across_networks
from fewbits.report.parts import ordered, shown
from fewbits.report.table import failure_lines, text_table
from fewbits.study.figures import COLUMNS

if TYPE_CHECKING:
    from fewbits.report.rows import Group


_LABEL_WIDTH = len("pow2-6/fixed16")
"""Of a row's label in 80 columns: the longest name of the study's precisions stays in one line."""


def print_study(groups: Sequence[Group], console: Console | None = None) -> None:
    """Each group's table, what several networks show together, and savings beside the published ones, so marked."""
    console = console or Console()
    for group in groups:
        if group.rows:
            console.print(group.title, style="bold", markup=False, highlight=False)
            console.print(_study_table(group, console.width))
            console.print(text_table(group).note, *_notices(group), "", sep="\n", markup=False, highlight=False)
            _print_parts(group, console)
            _print_defects(group, console)
        for line in failure_lines(group):
            console.print(f"{group.title}, {line}", markup=False, highlight=False)
    for together in across_networks(groups):
        for line in (*networks.comparison(together), networks.front_line(together), ""):
            console.print(line, markup=False, highlight=False)
    comparison = published.compare(groups)
    if comparison is None:
        return
    console.print(f"saved against float32, in percent: here, and {published.published_study().mark}", highlight=False)
    console.print(_savings_table(comparison))
    for line in comparison.notes:
        console.print(line, markup=False, highlight=False)


def _print_parts(group: Group, console: Console) -> None:
    """Each row's energy by part, in percent; off-chip memory apart."""
    energies = row_energies(group)
    if not energies:
        return
    parts = ordered([part for one in energies.values() for part in one.parts])
    shares = {label: one.by_part for label, one in energies.items()}
    rows = [
        (label, *(f"{100 * one[part] / sum(one.values()):.1f}" if part in one else "-" for part in parts))
        for label, one in shares.items()
    ]
    console.print("Energy of an image by part, in percent:", highlight=False)
    table = _plain_table(padding=0)
    table.add_column("\nprecision", no_wrap=True)
    for part in parts:
        table.add_column(shown(part).column or f"\n{part}", justify="right", no_wrap=True)
    for label, *figures in rows:
        table.add_row(_stacked(label), *figures)
    console.print(table)
    console.print(f"{OFF_CHIP}\n", markup=False, highlight=False)


def _print_defects(group: Group, console: Console) -> None:
    """Accuracy with defects, and what that says."""
    for one in defect_tables(group):
        console.print(f"{one.title}; mean over draws ± half of its 95 % interval", markup=False, highlight=False)
        table = _plain_table(padding=0)
        for place, heading in enumerate(one.headings):
            table.add_column(heading, justify="left" if place == 0 else "right")
        for label, *figures in one.rows:
            table.add_row(_stacked(label), *figures)
        console.print(table)
    for line in sentences(group):
        console.print(f"{line}\n", markup=False, highlight=False)


def _notices(group: Group) -> list[str]:
    """What the runs have to tell, each thing once."""
    return [
        f"Notice: {one}."
        for one in dict.fromkeys(text for row in group.rows for run in row.runs for text in run.notices)
    ]


def _study_table(group: Group, width: int) -> Table:
    """Means and spreads side by side where the terminal is wide enough, else one under the other.

    The second form also puts the recipe, where there are several, under the precision, and what it stands for under
    that: it fits into 80 columns, a long recipe's name over several lines.
    """
    text = text_table(group)
    side_by_side = _filled(text.labels, text.cells(), padding=1)
    if Console(width=1000).measure(side_by_side).maximum <= width:
        return side_by_side
    labels = len(text.labels)
    stacked = [
        (_stacked("\n".join(row[:labels]).replace(" (= ", "\n(= ")), *row[labels:])
        for row in text.cells(between="\n", after_sign="")
    ]
    return _filled(text.labels[:1], stacked, padding=0)


def _stacked(label: str) -> str:
    """A label in lines that fit, broken at spaces and hyphens."""
    return "\n".join(part for line in label.split("\n") for part in textwrap.wrap(line, _LABEL_WIDTH))


def _filled(labels: Sequence[str], rows: Sequence[Sequence[str]], padding: int) -> Table:
    table = _plain_table(padding)
    for label in labels:
        table.add_column(f"\n\n{label}", no_wrap=True)
    for column in COLUMNS:
        heading = column.short if "\n" in column.short else f"\n{column.short}"
        table.add_column(f"{heading}\n{column.unit}", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _savings_table(comparison: published.Comparison) -> Table:
    table = _plain_table(padding=1)
    for heading in ("precision", "area", "published", "power", "published"):
        table.add_column(heading, justify="left" if heading == "precision" else "right")
    for pair in comparison.pairs:
        table.add_row(*published.cells(pair))
    return table


def _plain_table(padding: int) -> Table:
    """A rule under the headings, no other lines."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, padding), pad_edge=False)
