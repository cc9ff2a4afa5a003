"""Tidy tables of studies: one row a run, a part of a chip, or an epoch; columns follow the figures' declarations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from fewbits.report.layers import BITS_PER_KIB, OFF_CHIP, gops_of
from fewbits.report.rows import BASELINE
from fewbits.report.studies import ReadStudy, read_studies
from fewbits.study.figures import FIGURES
from fewbits.study.result import FLOAT_RECIPE
from fewbits.train.record import EpochRecord

if TYPE_CHECKING:
    from fewbits.study import RunResult
    from fewbits.study.declaration import Figure

NAMES = ("runs", "parts", "layers", "memories", "curves", "fronts", "failures", "columns")
"""Of the tables: a row of each is a run, a figure's value by layer or part, a layer, a memory in a layer, an epoch, a
round of a recipe that approximates, a failed run, a column."""

Kind = Literal["text", "integer", "number", "truth"]

_KINDS: dict[type, Kind] = {str: "text", bool: "truth", int: "integer", float: "number"}


@dataclass(frozen=True)
class Column:
    """A column of a tidy table."""

    name: str
    kind: Kind
    unit: str
    """Empty for a plain number or text."""

    meaning: str


@dataclass(frozen=True)
class Table:
    """A tidy table: values of one kind in each column, None where one is missing."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        """A dictionary for each row."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def lists(self) -> dict[str, list[Any]]:
        """A list for each column, as `pandas.DataFrame` and plotting libraries take them."""
        return {column.name: [row[place] for row in self.rows] for place, column in enumerate(self.columns)}


@dataclass(frozen=True)
class _Of:
    """A column before its values are seen."""

    name: str
    meaning: str
    value: Callable[[Any], Any]
    unit: str = ""


_POINT = (
    _Of("study", "The study's name; with its folder where two are called alike.", lambda at: at[0].name),
    _Of("key", "Hash of all that defines the run; equal keys, equal runs.", lambda at: at[1].key),
    _Of("model", "The network.", lambda at: at[1].model),
    _Of("data", "The data set.", lambda at: at[1].data),
    _Of("precision", "Formats of weights and inputs.", lambda at: at[1].precision),
    _Of("recipe", "How it was trained; float for the float network itself.", lambda at: at[1].recipe),
    _Of("seed", "Of initial weights and the order of images.", lambda at: at[1].seed),
)
"""What names a run; of a study and a run. The first columns of every table."""

_ACCELERATOR = _Of("accelerator", "Of its cost, where the study has several.", lambda at: at[1].accelerator or None)

_STANDS_FOR = _Of("stands_for", "The recipe that best stands for, else empty.", lambda at: at[1].stands_for or None)

_ABOUT_RUN = (
    _Of("wall_time_s", "Spent on the run, training included.", lambda at: at[1].wall_time_s, "s"),
    _Of("skipped", "Modules that were left float, with reasons.", lambda at: "; ".join(at[1].skipped) or None),
    _Of("notices", "What happened on the way.", lambda at: "; ".join(at[1].notices) or None),
)

_EPOCH = {
    "epoch": ("", "From 1."),
    "learning_rate": ("", "At the epoch's first step."),
    "loss": ("", "Mean over the images trained on, while training."),
    "validation_loss": ("", "Mean over the held-out images."),
    "validation_accuracy_percent": ("%", "On the held-out images."),
    "wall_time_s": ("s", "That the epoch took, validation included; 0 where nobody noted it."),
}
"""Unit and meaning of an epoch's figures."""


def read_tables(*folders: str | Path) -> dict[str, Table]:
    """The tidy tables of the studies in these folders by name, as NAMES has them.

    `columns` holds unit and meaning of each column of the others. Raises StudyError if a folder holds no study.
    """
    from fewbits.errors import StudyError

    studies, lines = read_studies(folders)
    if lines:
        raise StudyError("; ".join(lines))
    return tables_of(studies)


def tables_of(studies: Sequence[ReadStudy]) -> dict[str, Table]:
    """The tidy tables of studies that are read; a run that several have stands once, as the first one's."""
    made = (
        *(_runs(studies), _parts(studies), _layers(studies), _memories(studies), _curves(studies)),
        *(_fronts(studies), _failures(studies)),
    )
    return {table.name: table for table in (*made, _columns(made))}


def _runs(studies: Sequence[ReadStudy]) -> Table:
    """One row a run, a column for each figure that is one value."""
    versions = dict.fromkeys(name for study in studies for run in study.own for name in run.versions)
    columns = (
        *_POINT,
        _STANDS_FOR,
        _ACCELERATOR,
        *(one for figure in FIGURES if figure.is_of_run and not figure.by for one in _of_figure(figure)),
        *_ABOUT_RUN,
        *(
            _Of(f"{name}_version", f"Of {name} that made the run.", lambda at, name=name: at[1].versions.get(name))
            for name in versions
        ),
    )
    return _table("runs", columns, _own_runs(studies))


def _own_runs(studies: Sequence[ReadStudy]) -> Iterator[tuple[ReadStudy, RunResult, RunResult | None]]:
    """Each run that counts for its study, with the float32 run that it is compared with."""
    for study in studies:
        baselines = {_baseline_of(run): run for run in reversed(study.results) if run.precision == BASELINE}
        yield from ((study, run, baselines.get(_baseline_of(run))) for run in study.own)


def _baseline_of(run: RunResult) -> tuple[str, str, int, str]:
    """What a run and the float32 run that it is compared with share."""
    return run.model, run.data, run.seed, run.accelerator


def _of_figure(figure: Figure) -> tuple[_Of, ...]:
    """The columns of a figure that is one value, or one for each end of a range."""
    if not figure.ends:
        return (_Of(figure.name, figure.meaning, lambda at: figure.in_row(at[1], at[2]), figure.unit),)
    return tuple(
        _Of(
            f"{figure.name}_{end}",
            f"{figure.meaning} Here the {end} one.",
            lambda at, i=i: cast("Any", figure.in_row(at[1], at[2]))[i],
            figure.unit,
        )
        for i, end in enumerate(figure.ends)
    )


def _parts(studies: Sequence[ReadStudy]) -> Table:
    """Figures by layer and component, one row a value."""
    columns = (
        *_POINT,
        _ACCELERATOR,
        _Of("figure", "Which figure: that of runs, split.", lambda at: at[2]),
        _Of("layer", "The layer, where it is split by layers.", lambda at: at[3].get("layer")),
        _Of("component", "The part of the chip, where it is split by parts.", lambda at: at[3].get("component")),
        _Of("unit", "Of the value.", lambda at: at[4] or None),
        _Of("value", "Of this layer and part.", lambda at: at[5]),
    )
    return _table("parts", columns, _part_rows(studies))


def _part_rows(studies: Sequence[ReadStudy]) -> Iterator[tuple[Any, ...]]:
    split = [figure for figure in FIGURES if figure.is_of_run and figure.by and not figure.table]
    for study, run, _ in _own_runs(studies):
        for figure in split:
            for place, value in _leaves(figure.value(run), figure.by):
                ends = [(f"{figure.name}_{end}", value[i]) for i, end in enumerate(figure.ends)]
                ends = ends or [(figure.name, value)]
                yield from ((study, run, one, place, figure.unit, part) for one, part in ends)


def _leaves(values: Any, by: tuple[str, ...]) -> Iterator[tuple[dict[str, str], Any]]:
    """Every value of nested dictionaries, with where it stands."""
    if not by:
        yield {}, values
        return
    for name, inner in values.items():
        yield from (({by[0]: name, **place}, value) for place, value in _leaves(inner, by[1:]))


_LAYER = (
    _Of("layer", "The layer.", lambda at: at[2].name),
    _Of("kind", "What it does.", lambda at: at[2].kind),
    _Of("operations", "Of one image; a product is two.", lambda at: at[2].operations),
    _Of("cycles", "Of one image, all together.", lambda at: at[2].cycles),
    _Of("busy_cycles", "That start products, or read a row.", lambda at: at[2].busy_cycles),
    _Of(
        "stall_cycles", "That wait for accumulators, memories on the chip or a divider.", lambda at: at[2].stall_cycles
    ),
    _Of("fill_cycles", "In which pipelines and arrays fill and drain.", lambda at: at[2].fill_cycles),
    _Of("setup_cycles", "In which the layer is set up.", lambda at: at[2].setup_cycles),
    _Of("transfer_stall_cycles", "That wait for the memory off the chip.", lambda at: at[2].transfer_stall_cycles),
    _Of("gops", "Operations a second, in 10^9.", lambda at: gops_of(at[2], at[1].clock_mhz), "GOPS"),
    _Of("energy_uj", "Of one image, on the chip.", lambda at: at[2].energy_uj, "µJ"),
    _Of("off_chip_kib", "Between the chip and its memory.", lambda at: at[2].traffic_bits / BITS_PER_KIB, "KiB"),
    _Of("limit", "What keeps it from fewer cycles.", lambda at: at[2].limit or None),
    _Of("mapping", "The loops that were chosen; empty without a choice.", lambda at: " | ".join(at[2].mapping) or None),
)
"""Of a study, a run and a layer."""


def _layers(studies: Sequence[ReadStudy]) -> Table:
    """One row a layer of each run that kept them."""
    rows = ((study, run, layer) for study, run, _ in _own_runs(studies) for layer in run.layer_records)
    return _table("layers", (*_POINT, _ACCELERATOR, *_LAYER), rows)


def _memories(studies: Sequence[ReadStudy]) -> Table:
    """One row for each memory in each layer, that off the chip among them, of which no rows are known."""
    columns = (
        *_POINT,
        _ACCELERATOR,
        _LAYER[0],
        _Of("memory", f"Its name; {OFF_CHIP} is that beyond the chip's border.", lambda at: at[3]),
        _Of("reads", "Rows read.", lambda at: None if at[4] is None else at[4].reads),
        _Of("writes", "Rows written.", lambda at: None if at[4] is None else at[4].writes),
        _Of("row_bits", "Of a row.", lambda at: None if at[4] is None else at[4].row_bits, "bit"),
        _Of("moved_kib", "Read and written.", lambda at: at[5] / BITS_PER_KIB, "KiB"),
        _Of("energy_uj", "Of it in this layer, leakage among it.", lambda at: at[4] and at[4].energy_uj, "µJ"),
    )
    return _table("memories", columns, _memory_rows(studies))


def _memory_rows(studies: Sequence[ReadStudy]) -> Iterator[tuple[Any, ...]]:
    for study, run, _ in _own_runs(studies):
        for layer in run.layer_records:
            for one in layer.memories:
                yield study, run, layer, one.name, one, (one.reads + one.writes) * one.row_bits
            yield study, run, layer, OFF_CHIP, None, layer.traffic_bits


def _curves(studies: Sequence[ReadStudy]) -> Table:
    """One row an epoch of each training."""
    columns = (
        _POINT[0],
        _Of("key", "Of the run; empty for a float network that the study has no float32 run of.", lambda at: at[1]),
        *(_Of(one.name, one.meaning, lambda at, place=place: at[2][place]) for place, one in enumerate(_POINT[2:])),
        *(
            _Of(one.name, _EPOCH[one.name][1], lambda at, name=one.name: getattr(at[3], name), _EPOCH[one.name][0])
            for one in fields(EpochRecord)
        ),
    )
    return _table("curves", columns, _curve_rows(studies))


def _curve_rows(studies: Sequence[ReadStudy]) -> Iterator[tuple[Any, ...]]:
    """Float networks first: each is trained once for all runs that start from it."""
    for study in studies:
        float_keys = {(run.model, run.data, run.seed): run.key for run in study.results if run.precision == BASELINE}
        known = {(run.model, run.data, run.seed) for _, run in study.shared}
        for run in study.own:
            at = (run.model, run.data, run.seed)
            if run.float_history and at not in known:
                known.add(at)
                point = (run.model, run.data, BASELINE, FLOAT_RECIPE, run.seed)
                yield from ((study, float_keys.get(at), point, epoch) for epoch in run.float_history)
        for run in study.own:
            if run.recipe != FLOAT_RECIPE:
                point = (run.model, run.data, run.precision, run.recipe, run.seed)
                yield from ((study, run.key, point, epoch) for epoch in run.history)


_ROUND = (
    _Of("round", "0 is before the first, with exact products.", lambda at: at[2].round),
    _Of("switched", "Units that compute approximately.", lambda at: at[2].switched),
    _Of("units", "All that could.", lambda at: at[2].units),
    _Of(
        "validation_accuracy_percent",
        "On the held-out images.",
        lambda at: at[2].validation_accuracy_percent,
        "%",
    ),
    _Of("energy_uj", "Of one image, on the chip, at the table's assumed activity.", lambda at: at[2].energy_uj, "µJ"),
    _Of("cycles", "Of one image.", lambda at: at[2].cycles),
    _Of("area_mm2", "Of the machine that the round asks for.", lambda at: at[2].area_mm2, "mm²"),
    _Of("is_taken_back", "Whether it lost more than the margin.", lambda at: at[2].is_taken_back),
)
"""Of a study, a run and a round."""


def _fronts(studies: Sequence[ReadStudy]) -> Table:
    """One row a round of each run whose recipe approximates round by round."""
    rows = ((study, run, one) for study, run, _ in _own_runs(studies) for one in run.front)
    return _table("fronts", (*_POINT, _ACCELERATOR, *_ROUND), rows)


def _failures(studies: Sequence[ReadStudy]) -> Table:
    """One row a failed run."""
    columns = (*_POINT, _Of("error", "Why.", lambda at: at[1].error))
    return _table("failures", columns, ((study, run) for study in studies for run in study.failures))


def _columns(tables: Sequence[Table]) -> Table:
    """One row a column of the other tables."""
    columns = (
        _Of("table", "The table.", lambda at: at[0].name),
        _Of("column", "The column.", lambda at: at[1].name),
        _Of("kind", "text, integer, number or truth.", lambda at: at[1].kind),
        _Of("unit", "Empty for a plain number or text.", lambda at: at[1].unit or None),
        _Of("meaning", "What it is.", lambda at: at[1].meaning),
    )
    return _table("columns", columns, ((table, column) for table in tables for column in table.columns))


def _table(name: str, columns: Sequence[_Of], items: Iterable[Any]) -> Table:
    rows = tuple(tuple(one.value(item) for one in columns) for item in items)
    return Table(
        name=name,
        columns=tuple(
            Column(one.name, _kind((row[place] for row in rows), one.unit), one.unit, one.meaning)
            for place, one in enumerate(columns)
        ),
        rows=rows,
    )


def _kind(values: Iterable[object], unit: str) -> Kind:
    """Of the first value that is there; a column without one is of numbers if it has a unit."""
    for value in values:
        if value is not None:
            return _KINDS[type(value)]
    return "number" if unit else "text"
