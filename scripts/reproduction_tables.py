"""Make docs/reproduction.md and its charts from the results stored in docs/reproduction/.

Usage: python scripts/reproduction_tables.py
Accuracies, epochs, wall times and the energies of the networks' own operands come from docs/reproduction/STUDY.json
(see store_reproduction.py). A network of which any energy was not measured, or on a technology table that has changed
since, gets all its energies from the shipped table at its assumed activity, says so, and is in no comparison. Published
figures come from docs/reproduction/published.json and are marked. The words between the tables are
docs/reproduction/text.md.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from fewbits.hardware import Cost, cost
from fewbits.report import group_runs
from fewbits.report.accuracy_chart import accuracy_energy_chart
from fewbits.report.networks import ALL, across_networks, comparison, front_line, point_name
from fewbits.report.published import published_study
from fewbits.report.rows import Group, Row, Statistic
from fewbits.study import RunResult, load_study
from fewbits.study.figures import kept_of_cost

DOCS = Path(__file__).resolve().parents[1] / "docs"
STORED = DOCS / "reproduction"

PUBLISHED_AS = {
    ("lenet", "mnist"): "mnist-lenet",
    ("convnet", "svhn"): "svhn-convnet",
    ("alex", "cifar10"): "cifar10-alex",
}
"""Model and data to the name under which `published.json` has them."""

STUDIES = ("mnist", "cifar10", "cifar10-binary", "cifar10-wide", "cifar10-widest", "cifar10-compact", "svhn")

Entry = dict[str, Any]
"""A run as store_reproduction.py keeps it."""


def stored_runs() -> list[Entry]:
    """All stored runs, study by study."""
    files = [STORED / f"{study}.json" for study in STUDIES]
    return [entry for file in files if file.exists() for entry in json.loads(file.read_text())["runs"]]


@cache
def cost_of(model: str, precision: str) -> Cost:
    """What a network costs at a precision, from the shipped table."""
    return cost(model, precision)


def is_measured(entry: Entry) -> bool:
    """Whether a stored run has an energy from its own operands, on what is the technology table today."""
    measured = entry.get("measured_energy")
    return measured is not None and math.isclose(
        measured["assumed_activity_uj"], cost_of(entry["model"], entry["precision"]).energy_uj, rel_tol=1e-9
    )


def measured_networks(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """Model and data of the networks all of whose runs have such an energy."""
    assumed = {(entry["model"], entry["data"]) for entry in entries if not is_measured(entry)}
    return {(entry["model"], entry["data"]) for entry in entries} - assumed


def results_of(entries: Sequence[Entry]) -> list[RunResult]:
    """The stored runs with their costs: a network's energies all measured, or all at the assumed activity."""
    measured = measured_networks(entries)
    baselines = {
        (entry["model"], entry["data"], entry["seed"]): entry["measured_energy"]["uj"]
        for entry in entries
        if entry["precision"] == "float32" and is_measured(entry)
    }
    return [
        with_measured_energy(
            result_of(entry),
            entry["measured_energy"],
            baselines.get((entry["model"], entry["data"], entry["seed"])),
        )
        if (entry["model"], entry["data"]) in measured
        else result_of(entry)
        for entry in entries
    ]


def with_measured_energy(result: RunResult, measured: dict[str, Any], baseline_uj: float | None) -> RunResult:
    """A run with the energy of its own operands, whose parts are not stored, and the power that follows.

    baseline_uj: float32's.
    """
    return replace(
        result,
        energy_uj_by_component={},
        leakage_uj_by_component={},
        energy_uj_by_layer={},
        energy_uj_by_layer_and_component={},
        leakage_uj_by_layer={},
        energy_saving_percent=None if baseline_uj is None else 100 * (1 - measured["uj"] / baseline_uj),
        energy_uj=measured["uj"],
        power_mw=measured["uj"] * result.clock_mhz / result.cycles * 1000,
        energy_interval_uj=measured["interval_uj"],
        activity=measured["activity"],
    )


def result_of(entry: Entry) -> RunResult:
    """A stored run with its costs at the assumed activity."""
    figures, baseline = (cost_of(entry["model"], precision) for precision in (entry["precision"], "float32"))
    names = (
        "model", "data", "precision", "recipe", "seed", "accuracy_percent", "fake_quantized_accuracy_percent",
        "float_accuracy_percent", "validation_accuracy_percent", "differing_images", "test_images", "epochs",
    )  # fmt: skip
    return RunResult(
        **{name: entry[name] for name in names},
        key=entry["training_key"],
        energy_saving_percent=100 * (1 - figures.energy_uj / baseline.energy_uj),
        skipped=tuple(entry["skipped"]),
        wall_time_s=entry["training_wall_time_s"],
        notices=tuple(entry["notices"]),
        stands_for=entry.get("stands_for", ""),  # absent in files of versions that trained `best` apart
        versions=entry["versions"],
        **kept_of_cost(figures),
    )


def table(group: Group, entries: Sequence[Entry]) -> str:
    """A network's table in Markdown, the published figures beside ours."""
    published = published_figures(group.model, group.data)
    heads = (
        "precision", "recipe", "seeds", "accuracy [%]", "† [%]", "to float32 [points]", "† [points]",
        "differing images", "energy an image [µJ]", "saved [%]", "† saved [%]", "epochs", "kept", "training [min]",
    )  # fmt: skip
    lines = [heads, ("---", "---", *["---:"] * (len(heads) - 2))]
    lines += [cells(row, published, [one for one in entries if is_of(one, group, row)]) for row in group.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def is_of(entry: Entry, group: Group, row: Row) -> bool:
    """Whether a stored run is one of a row's seeds."""
    named = (group.model, group.data, row.precision, row.recipe)
    return tuple(entry[name] for name in ("model", "data", "precision", "recipe")) == named


def cells(row: Row, published: dict[str, Any], entries: Sequence[Entry]) -> tuple[str, ...]:
    """One line of the table."""
    theirs, base = published.get(row.precision, ()), published.get("float32")
    accuracy = saved = change = "-"
    if theirs is None:
        accuracy = "did not converge"
    elif theirs and base:
        accuracy, change = f"{theirs[0]:.2f}", f"{theirs[0] - base[0]:+.2f}"
        saved = f"{100 * (1 - theirs[1] / base[1]):.1f}"
    minutes = [entry["training_wall_time_s"] / 60 for entry in entries]
    return (
        row.precision,
        row.recipe_in_words,
        ", ".join(map(str, row.seeds)),
        figure(row.figures["accuracy_percent"], "{:.2f}"),
        accuracy,
        figure(row.figures["difference_points"], "{:+.2f}"),
        change,
        figure(row.figures["differing_images"], "{:.0f}"),
        figure(row.figures["energy_uj"], "{:.4g}"),
        figure(row.figures["energy_saving_percent"], "{:.1f}"),
        saved,
        ", ".join(dict.fromkeys(str(entry["epochs"]) for entry in entries)),
        ", ".join(str(entry["best_epoch"] or "start") for entry in entries),
        f"{statistics.mean(minutes):.1f}",
    )


def frugal_line(group: Group) -> tuple[str, ...]:
    """The most accurate rows with at most a twelfth and a twentieth of float32's energy, in a sentence.

    The measure is the first float32 row: of several networks, that of the first, which is the published one.
    Empty where there is no float32 row, or no other.
    """
    if group.baseline is None or len(group.rows) < 2:
        return ()
    energy = group.baseline.mean("energy_uj")
    found: list[str] = []
    for part, name in ((12, "a twelfth"), (20, "a twentieth")):
        frugal = [row for row in group.points if row.mean("energy_uj") <= energy / part]
        best = max(frugal, key=lambda row: row.mean("accuracy_percent"), default=None)
        answer = "nothing" if best is None else f"{name_in(group, best)} ({best.mean('accuracy_percent'):.2f} %)"
        found.append(f"{name}: {answer}")
    whose = name_in(group, group.baseline)
    return (f"Most accurate with at most a part of the energy of {whose}: {'; '.join(found)}.",)


def name_in(group: Group, row: Row) -> str:
    """The row's precision, with its network where the group has several, with its recipe where that tells it apart."""
    if group.model == ALL:
        return point_name(row, group.rows)
    several = sum(other.precision == row.precision for other in group.points) > 1
    return f"{row.precision} by {row.recipe_in_words}" if several else row.precision


def figure(value: Statistic | None, form: str) -> str:
    """A mean with its spread where seeds differ."""
    if value is None:
        return "-"
    return form.format(value.mean) + (f" ± {value.spread:.2f}" if value.spread else "")


def published_figures(model: str, data: str) -> dict[str, Any]:
    """Accuracy and energy by precision's name in fewbits; None where the study reports no convergence."""
    known = json.loads((STORED / "published.json").read_text())["accuracy_percent_and_energy_uJ"]
    pairs: dict[str, Any] = known.get(PUBLISHED_AS.get((model, data), ""), {})
    return {
        weights if weights == inputs else pair: value
        for pair, value in pairs.items()
        for weights, inputs in [pair.split("/")]
    }


def missing(entries: Sequence[Entry]) -> str:
    """The points of the studies that no stored run is for, a line for each network, recipe and choice of seeds."""
    have = {(one["model"], one["data"], one["precision"], one["recipe"], one["seed"]) for one in entries}
    lines: list[str] = []
    for study in STUDIES:
        spec = load_study(STORED / f"{study}.toml")
        for model in spec.networks:
            for data in (given.name for given in spec.data):
                lacking: dict[tuple[str, tuple[int, ...]], list[str]] = {}
                for precision in (one.name for one in spec.precisions):
                    for recipe in ("float",) if precision == "float32" else spec.recipes:
                        points = [(model, data, precision, recipe, seed) for seed in spec.seeds]
                        if seeds := tuple(point[-1] for point in points if point not in have):
                            lacking.setdefault((recipe, seeds), []).append(precision)
                lines += [
                    f"- {model} on {data}, {recipe}, {'seeds' if len(seeds) > 1 else 'seed'} "
                    f"{', '.join(map(str, seeds))}: {', '.join(names)}"
                    for (recipe, seeds), names in lacking.items()
                ]
    return "\n".join(lines) or "Nothing."


def said_of_all(group: Group) -> list[str]:
    """What several networks show: against the published one's float32 row, which is the first, and the narrowest's."""
    lines = (*comparison(group, group.baseline), *comparison(group), *frugal_line(group), front_line(group))
    return list(dict.fromkeys(lines))


def about(group: Group, entries: Sequence[Entry]) -> tuple[str, ...]:
    """A network's title, table and sentences, and on what its energies rest where they are not measured."""
    is_assumed = (group.model, group.data) not in measured_networks(entries)
    note = (f"Energies of this network rest on {cost_of(group.model, 'float32').activity}.",) if is_assumed else ()
    return (f"**{group.title}**", table(group, entries), *note, *frugal_line(group))


def sections(entries: Sequence[Entry], draw: Callable[[str, Group], str]) -> dict[str, str]:
    """Each data set's tables, sentences and chart, by the data's name."""
    groups, measured = group_runs(results_of(entries)), measured_networks(entries)
    found: dict[str, str] = {}
    for data in ("mnist", "cifar10", "svhn"):
        of_data = [group for group in groups if group.data == data]
        parts = ["\n\n".join(about(group, entries)) for group in of_data]
        compared = [group for group in of_data if (group.model, data) in measured] or of_data
        together = across_networks(compared)
        parts += [line for group in together for line in said_of_all(group)]
        parts += [draw(data, group) for group in (together or compared)[:1]]
        found[data] = "\n\n".join(parts) or "Not trained yet."
    return found


def write_chart(data: str, group: Group) -> str:
    """Write a chart's PNG; the lines that show it."""
    chart = accuracy_energy_chart(group, f"reproduction-{data}")
    (DOCS / "figures" / f"{chart.stem}.png").write_bytes(chart.png())
    return show_chart(data, group)


def show_chart(data: str, group: Group) -> str:
    """The lines that show a chart."""
    chart = accuracy_energy_chart(group, f"reproduction-{data}")
    return f"![{chart.description}](figures/{chart.stem}.png)\n\n{chart.caption}"


def speed_tables() -> dict[str, str]:
    """Tables of the two benchmarks' stored figures."""
    epoch = json.loads((STORED / "train_epoch.json").read_text())
    step = json.loads((STORED / "qat_step.json").read_text())
    return {
        "train_epoch": figure_table(
            epoch, ("images_a_second", "speed_to_plain"), ("images a second", "to plain PyTorch")
        ),
        "qat_step": figure_table(
            step, ("ratio_to_float", "ratio_to_float_channels_last"), ("to float", "to float, channels last")
        ),
    }


def figure_table(figures: dict[str, dict[str, dict[str, float]]], keys: Iterable[str], heads: Sequence[str]) -> str:
    """A table of contestants against networks."""
    names = list(dict.fromkeys(name for of_network in figures.values() for name in of_network))
    columns = [(network, key, head) for network in figures for key, head in zip(keys, heads, strict=True)]
    lines = [["", *(f"{network}: {head}" for network, _, head in columns)], ["---", *["---:"] * len(columns)]]
    for name in names:
        found = [figures[network].get(name) for network, _, _ in columns]
        lines.append(
            [name, *("-" if one is None else f"{one[key]:g}" for one, (_, key, _) in zip(found, columns, strict=True))]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def activity_line(entries: Sequence[Entry]) -> str:
    """What the measured energies rest on, and how uncertain the least certain of them is."""
    energies = [entry["measured_energy"] for entry in entries if is_measured(entry)]
    if not energies:
        return "no measurement yet"
    worst = 100 * max(energy["interval_uj"] / energy["uj"] for energy in energies)
    basis = "; ".join(dict.fromkeys(energy["activity"] for energy in energies))
    changes = [abs(energy.get("neuron_change_percent", 0.0)) for energy in energies]
    restated = (
        f" Stored before the neurons' circuits changed: their part is restated by what they take more or less at the "
        f"assumed activity, an estimate, at most {max(changes):.2f} %."
        if any(changes)
        else ""
    )
    return f"{basis}. 95 % interval over images: at most ± {worst:.1f} %.{restated}"


def document(draw: Callable[[str, Group], str]) -> str:
    """The whole text. draw: makes a chart for a data set's name and group, and gives the line that shows it."""
    entries = stored_runs()
    text = Template((STORED / "text.md").read_text())
    basis = {"mark": published_study().mark, "activity": activity_line(entries), "missing": missing(entries)}
    return text.substitute(sections(entries, draw) | speed_tables() | basis)


def main() -> None:
    """Write the page and its charts."""
    (DOCS / "reproduction.md").write_text(document(write_chart))


if __name__ == "__main__":
    main()
