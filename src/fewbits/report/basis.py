"""What a study's figures rest on: method, technology, data, seeds, versions, what was left float, how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fewbits.hardware.costing.breakdown import DRAM
from fewbits.hardware.dataflow.registry import area_basis
from fewbits.report.networks import across_networks, comparison, front_line

if TYPE_CHECKING:
    from fewbits.report.rows import Group
    from fewbits.study import RunResult, StudyRecord

ACCURACY = (
    "Share of the test images that the bit-exact network classes rightly: the trained network lowered to the integers "
    "(or floats) that the datapath computes with, executed exactly. Fake-quantized: the same network in torch, before "
    "it was lowered.",
)
MEMORY = (
    "Parameters, biases at the accumulators' width; memory adds the inputs and outputs of the layer that has most of "
    "them, at the inputs' width.",
)
ENERGY = (
    "What is switched for one image, from the schedule's cycles and buffer accesses, and leakage over its time. Logic: "
    "internal and switching energy at the switching activity told below for each precision; glitches are an estimate. "
    "Not in it: pooling's comparators and adders, memory off the chip. Power is energy over time.",
)


@dataclass(frozen=True)
class Basis:
    """Headings with their lines, the study's definition, and the commands that make the study again."""

    entries: tuple[tuple[str, tuple[str, ...]], ...]
    hashes: tuple[str, ...]
    """Of what the technology's datapaths were synthesized from."""

    definition: str
    """All that was asked for, as JSON."""

    commands: tuple[str, ...]


def basis_of(record: StudyRecord, groups: Sequence[Group]) -> Basis:
    """From a study's record and its rows."""
    runs = [run for group in groups for row in group.rows for run in row.runs]
    provenance: dict[str, str] = record.technology.get("provenance", {})
    technology = {name: str(record.technology.get(name, "unknown")) for name in ("name", "process", "sha256")}
    hashes = {name: value for name, value in provenance.items() if name.startswith("rtlil_sha256")}
    named = technology | {name: value for name, value in provenance.items() if name not in hashes}
    skipped = sorted({f"{run.model}: {entry}" for run in runs for entry in run.skipped})
    entries = [
        ("Accuracy", ACCURACY),
        ("Memory", MEMORY),
        ("Area", (area_basis(record.definition.get("accelerator", {})),)),
        ("Datapaths", _datapaths(runs)),
        ("Cycles", ("From the schedule of the layers on the tile, for one image.", _clocks(runs))),
        ("Energy and power", (*ENERGY, *_activities(runs), _off_chip(runs))),
        ("Technology", _lines(named)),
        ("Data", tuple(_data_line(name, about) for name, about in record.data.items())),
        ("Training", _training(runs)),
        ("Seeds", (", ".join(str(seed) for seed in sorted({run.seed for run in runs})),)),
        ("Layers left float", tuple(skipped) or ("None.",)),
        ("Versions", (", ".join(f"{name} {version}" for name, version in record.versions.items()),)),
    ]
    together = tuple(line for each in across_networks(groups) for line in (*comparison(each), front_line(each)))
    if together:
        entries.append(("Networks together", together))
    if notices := sorted({notice for run in runs for notice in run.notices}):
        entries.append(("Notices", tuple(notices)))
    return Basis(
        entries=tuple(entries),
        hashes=_lines(hashes),
        definition=json.dumps(record.definition, indent=2, ensure_ascii=False),
        commands=(f"fewbits run {record.name} --out DIR", "fewbits report DIR"),
    )


def _datapaths(runs: Sequence[RunResult]) -> tuple[str, ...]:
    """Each precision's multiplier, and whether its figures were characterized."""
    lines = {
        f"{run.precision}: {run.multiplier}; "
        + ("interpolated between characterized precisions" if run.interpolated else "characterized")
        for run in runs
        if run.multiplier
    }
    return tuple(sorted(lines)) or ("Not recorded.",)


def _lines(named: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}: {value}" for name, value in named.items())


def _clocks(runs: Sequence[RunResult]) -> str:
    clocks = {run.precision: run.clock_mhz for run in runs}
    if len(set(clocks.values())) == 1:
        return f"Clock: {next(iter(clocks.values())):g} MHz at every precision."
    return "Clock: " + ", ".join(f"{name} {clock:g} MHz" for name, clock in clocks.items()) + "."


def _activities(runs: Sequence[RunResult]) -> tuple[str, ...]:
    """The activity of each run, with what is known of its spread; equal ones once."""
    return tuple(dict.fromkeys(f"{run.model}, {run.precision}, seed {run.seed}: {_activity(run)}." for run in runs))


def _activity(run: RunResult) -> str:
    if run.energy_interval_uj is None:
        return run.activity
    without = run.energy_without_glitches_uj
    glitches = f"; without glitches {without:.4g} µJ" if without is not None else ""
    return f"{run.activity}; {run.energy_uj:.4g} ± {run.energy_interval_uj:.2g} µJ (95 % over images){glitches}"


def _off_chip(runs: Sequence[RunResult]) -> str:
    named = dict.fromkeys(
        f"{run.model} {run.precision} {run.off_chip_uj[0]:.3g} to {run.off_chip_uj[1]:.3g}" for run in runs
    )
    return f"Apart from that, transfers to and from a {DRAM}, µJ an image: " + "; ".join(named) + "."


def _training(runs: Sequence[RunResult]) -> tuple[str, ...]:
    """Epochs by recipe; those of a recipe that starts from the float network come on top of the float network's."""
    epochs = dict.fromkeys((run.model, run.data, run.recipe_in_words) for run in runs)
    return tuple(
        f"{model} on {data}, {recipe}: {_range([run.epochs for run in runs if _point(run) == (model, data, recipe)])}"
        for model, data, recipe in epochs
    )


def _point(run: RunResult) -> tuple[str, str, str]:
    return (run.model, run.data, run.recipe_in_words)


def _range(epochs: Sequence[int]) -> str:
    low, high = min(epochs), max(epochs)
    return f"{low} epochs" if low == high else f"{low} to {high} epochs"


def _data_line(name: str, about: dict[str, Any]) -> str:
    images: dict[str, int] = about.get("images", {})
    counts = ", ".join(f"{count} {split}" for split, count in images.items())
    notes: list[str] = about.get("notes", [])
    said = [about["normalization"], *notes] if "normalization" in about else notes
    return f"{name}: {counts} images; sha256 {about.get('sha256', 'unknown')}. {'; '.join(said)}".strip()
