"""The study's table: one list of cells, by the columns that figures declare, for terminal, Markdown, CSV and HTML."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewbits.report.defects import defect_tables, sentences
from fewbits.report.networks import across_networks, comparison, front_line
from fewbits.study.figures import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fewbits.report.rows import Group, Statistic
    from fewbits.study.declaration import Figure

SIGNIFICANT = 3
"""Significant digits that the smallest figure of a column keeps; the larger ones get the same decimals."""


@dataclass(frozen=True)
class TextTable:
    """A group's table as text: the same cells for every medium."""

    title: str
    labels: tuple[str, ...]
    """Headings of the leading columns, which hold text: precision; recipe and study if there are several."""

    headings: tuple[str, ...]
    """Of the columns of COLUMNS, which follow the labels."""

    units: tuple[str, ...]
    """Beside the headings; empty for a plain number."""

    means: tuple[tuple[str, ...], ...]
    """By row, then label or column; an absent figure is a dash."""

    spreads: tuple[tuple[str, ...], ...]
    """`0.12` where seeds differ, else empty."""

    note: str
    """What the figures are means of."""

    def cells(self, between: str = " ", after_sign: str = " ") -> tuple[tuple[str, ...], ...]:
        """Mean and spread in one text, by row; between the two, and after the spread's sign, stand these."""
        return tuple(
            tuple(
                f"{mean}{between}±{after_sign}{spread}" if spread else mean for mean, spread in zip(*both, strict=True)
            )
            for both in zip(self.means, self.spreads, strict=True)
        )


def text_table(group: Group) -> TextTable:
    """The group's rows as text."""
    several = len({row.recipe_in_words for row in group.rows if not row.is_baseline}) > 1
    columns = [_format_column(column, [row.figures[column.name] for row in group.rows]) for column in COLUMNS]
    precisions = [row.precision + " (interpolated)" * any(run.interpolated for run in row.runs) for row in group.rows]
    told = {"precision": precisions}
    told |= {"recipe": [row.recipe_in_words for row in group.rows]} if several else {}
    told |= {"accelerator": [row.accelerator for row in group.rows]} if group.accelerators else {}
    told |= {"study": [row.study for row in group.rows]} if group.studies else {}
    names, labels = list(zip(*told.values(), strict=True)), tuple(told)
    return TextTable(
        title=group.title,
        labels=labels,
        headings=tuple(column.heading for column in COLUMNS),
        units=tuple(column.unit for column in COLUMNS),
        means=tuple((*name, *(column[i][0] for column in columns)) for i, name in enumerate(names)),
        spreads=tuple((*("" for _ in labels), *(column[i][1] for column in columns)) for i in range(len(names))),
        note=_note(group, several),
    )


def markdown(groups: Sequence[Group]) -> str:
    """Every group's table in Markdown, one under another, then what several networks show together."""
    tables = [_markdown_table(text_table(group), group) for group in groups]
    tables += [text for group in groups for text in _markdown_defects(group)]
    lines = [line for each in across_networks(groups) for line in (*comparison(each), front_line(each))]
    return "\n".join([*tables, *(f"{line}\n" for line in lines)])


def _markdown_defects(group: Group) -> Iterator[str]:
    """Accuracy with defects: the tables of a group, then what they say."""
    for one in defect_tables(group):
        lines = [one.headings, ["---", *["---:"] * (len(one.headings) - 1)], *one.rows]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        yield f"### {one.title}\n\n{body}\n\nMean over draws ± half of its 95 % interval.\n"
    yield from (f"{line}\n" for line in sentences(group))


def csv_text(groups: Sequence[Group]) -> str:
    """One line for each row of each group: mean, spread and number of seeds at full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [name for column in COLUMNS for name in (column.column_key, f"{column.column_key}_standard_deviation")]
    several = any(group.studies for group in groups)
    machines = any(group.accelerators for group in groups)
    head = ["model", "data", "precision", "recipe", "stands_for", "seeds", *names]
    writer.writerow([*(["study"] if several else []), *(["accelerator"] if machines else []), *head])
    for group in groups:
        for row in group.rows:
            figures = [row.figures[column.name] for column in COLUMNS]
            values = [text for one in figures for text in (("", "") if one is None else (one.mean, one.spread))]
            point = (group.model, group.data, row.precision, row.recipe, row.runs[0].stands_for, len(row.seeds))
            apart = (*((row.study,) if several else ()), *((row.accelerator,) if machines else ()))
            writer.writerow([*apart, *point, *values])
    return out.getvalue()


def _format_column(column: Figure, figures: Sequence[Statistic | None]) -> list[tuple[str, str]]:
    decimals = column.decimals
    if decimals is None:
        decimals = decimals_for([abs(figure.mean) for figure in figures if figure is not None])
    return [("-", "") if one is None else _format(one, decimals, column.signed) for one in figures]


def _format(figure: Statistic, decimals: int, signed: bool) -> tuple[str, str]:
    mean = f"{figure.mean:{'+' if signed else ''}.{decimals}f}"
    return mean, f"{figure.spread:.{decimals}f}" if figure.spread > 0 else ""


def decimals_for(values: Sequence[float]) -> int:
    """Decimals that leave the smallest of these figures SIGNIFICANT digits, at most 6."""
    smallest = min((value for value in values if value > 0), default=1.0)
    return min(max(SIGNIFICANT - 1 - math.floor(math.log10(smallest)), 0), 6)


def failure_lines(group: Group) -> tuple[str, ...]:
    """One line for each failed run: which, and why."""
    studies = [f" of study {name}" for name in group.failed_in] or [""] * len(group.failed)
    return tuple(
        f"{run.precision}, {run.recipe}, seed {run.seed}{study} failed: {run.error}"
        for run, study in zip(group.failed, studies, strict=True)
    )


def _markdown_table(table: TextTable, group: Group) -> str:
    figures = [f"{name} [{unit}]" if unit else name for name, unit in zip(table.headings, table.units, strict=True)]
    heads = [*table.labels, *figures]
    lines = [heads, ["---"] * len(table.labels) + ["---:"] * len(figures), *table.cells()]
    body = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    failed = "".join(f"\n- {line}" for line in failure_lines(group))
    return f"### {table.title}\n\n{body}\n\n{table.note}\n{failed}" + ("\n" if failed else "")


def _note(group: Group, several_recipes: bool) -> str:
    """Which recipe, and what the figures are means of."""
    recipes = dict.fromkeys(row.recipe_in_words for row in group.rows if not row.is_baseline)
    recipe = "" if several_recipes or not recipes else f"Recipe: {next(iter(recipes))}. "
    counts = sorted({len(row.seeds) for row in group.rows})
    if counts in ([], [1]):
        return f"{recipe}One seed.{_two_activities(group)}"
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    spread = "± is the sample standard deviation, where seeds differ."
    return f"{recipe}Mean of {seeds} seeds; {spread}{_two_activities(group)}"


def _two_activities(group: Group) -> str:
    """A warning, where some energies rest on the networks' own operands and others on an assumed activity."""
    assumed = [
        f"{row.precision}{f' on {row.accelerator}' if group.accelerators else ''} ({row.recipe_in_words})"
        for row in group.rows
        if any(run.energy_interval_uj is None for run in row.runs)
    ]
    if len(assumed) in (0, len(group.rows)):
        return ""
    return (
        f" Power and energy of {', '.join(assumed)} rest on an assumed activity, without glitches and "
        "clock tree, those of the others on the networks' own operands: only what is saved, each time against float32 "
        "at the same, may be compared."
    )
