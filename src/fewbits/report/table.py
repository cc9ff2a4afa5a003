"""The study's table: one list of columns and one list of cells for the terminal, Markdown, CSV and HTML."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fewbits.report.rows import Group, Row, Statistic

SIGNIFICANT = 3
"""Significant digits that the smallest figure of a column keeps; the larger ones get the same decimals."""


@dataclass(frozen=True)
class Column:
    """One figure of a row: its heading, its unit, its name in CSV and how many decimals it is shown with."""

    key: str
    heading: str
    unit: str
    figure: Callable[[Row], Statistic | None]

    decimals: int | None = None
    """None: as many as give the column's smallest figure SIGNIFICANT digits."""

    signed: bool = False
    """Whether a plus sign is shown."""


COLUMNS = (
    Column("accuracy_percent", "accuracy, bit-exact", "%", lambda row: row.accuracy_percent, 2),
    Column(
        "fake_quantized_accuracy_percent",
        "accuracy, fake-quantized",
        "%",
        lambda row: row.fake_quantized_accuracy_percent,
        2,
    ),
    Column("difference_points", "to float32", "points", lambda row: row.difference_points, 2, signed=True),
    Column("parameter_kib", "parameters", "KiB", lambda row: row.parameter_kib),
    Column("memory_kib", "memory", "KiB", lambda row: row.memory_kib),
    Column("area_mm2", "area", "mm²", lambda row: row.area_mm2),
    Column("power_mw", "power", "mW", lambda row: row.power_mw),
    Column("cycles", "cycles", "an image", lambda row: row.cycles, 0),
    Column("energy_uj", "energy", "µJ an image", lambda row: row.energy_uj),
    Column("energy_saving_percent", "energy saved", "%", lambda row: row.energy_saving_percent, 1),
)
"""The columns after the precision, in the order in which they are shown."""


@dataclass(frozen=True)
class TextTable:
    """A group's table as text: the same cells for every medium."""

    title: str
    headings: tuple[str, ...]
    units: tuple[str, ...]

    means: tuple[tuple[str, ...], ...]
    """By row, then column; an absent figure is a dash."""

    spreads: tuple[tuple[str, ...], ...]
    """`± 0.12` where seeds differ, else empty."""

    note: str
    """What the figures are means of."""

    def cells(self) -> tuple[tuple[str, ...], ...]:
        """Mean and spread in one text, by row."""
        return tuple(
            tuple(f"{mean} {spread}".rstrip() for mean, spread in zip(*both, strict=True))
            for both in zip(self.means, self.spreads, strict=True)
        )


def text_table(group: Group) -> TextTable:
    """The group's rows as text."""
    several = len({row.recipe for row in group.rows}) > 1
    columns = [_format_column(column, [column.figure(row) for row in group.rows]) for column in COLUMNS]
    labels = [(row.precision, row.recipe) if several else (row.precision,) for row in group.rows]
    blanks = ("",) * (2 if several else 1)
    return TextTable(
        title=group.title,
        headings=("precision", *(("recipe",) if several else ()), *(column.heading for column in COLUMNS)),
        units=(*blanks, *(column.unit for column in COLUMNS)),
        means=tuple((*label, *(column[i][0] for column in columns)) for i, label in enumerate(labels)),
        spreads=tuple((*blanks, *(column[i][1] for column in columns)) for i in range(len(labels))),
        note=_seed_note(group),
    )


def markdown(groups: Sequence[Group]) -> str:
    """Every group's table in Markdown, one under another."""
    return "\n".join(_markdown_table(text_table(group)) for group in groups)


def csv_text(groups: Sequence[Group]) -> str:
    """One line for each row of each group: mean, spread and number of seeds at full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [name for column in COLUMNS for name in (column.key, f"{column.key}_spread")]
    writer.writerow(["model", "data", "precision", "recipe", "seeds", *names])
    for group in groups:
        for row in group.rows:
            figures = [column.figure(row) for column in COLUMNS]
            values = [text for one in figures for text in (("", "") if one is None else (one.mean, one.spread))]
            writer.writerow([group.model, group.data, row.precision, row.recipe, len(row.seeds), *values])
    return out.getvalue()


def _format_column(column: Column, figures: Sequence[Statistic | None]) -> list[tuple[str, str]]:
    decimals = column.decimals
    if decimals is None:
        decimals = decimals_for([abs(figure.mean) for figure in figures if figure is not None])
    return [("-", "") if one is None else _format(one, decimals, column.signed) for one in figures]


def _format(figure: Statistic, decimals: int, signed: bool) -> tuple[str, str]:
    mean = f"{figure.mean:{'+' if signed else ''},.{decimals}f}"
    return mean, f"± {figure.spread:,.{decimals}f}" if figure.spread > 0 else ""


def decimals_for(values: Sequence[float]) -> int:
    """Decimals that leave the smallest of these figures SIGNIFICANT digits, at most 6."""
    smallest = min((value for value in values if value > 0), default=1.0)
    return min(max(SIGNIFICANT - 1 - math.floor(math.log10(smallest)), 0), 6)


def _markdown_table(table: TextTable) -> str:
    heads = [
        f"{heading} [{unit}]" if unit else heading for heading, unit in zip(table.headings, table.units, strict=True)
    ]
    left = sum(not unit for unit in table.units)
    lines = [heads, ["---"] * left + ["---:"] * (len(heads) - left), *table.cells()]
    body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"### {table.title}\n\n{body}\n\n{table.note}\n"


def _seed_note(group: Group) -> str:
    counts = sorted({len(row.seeds) for row in group.rows})
    if counts in ([], [1]):
        return "One seed."
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"Mean of {seeds} seeds ± sample standard deviation, where seeds differ."
