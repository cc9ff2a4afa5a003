"""What a study's figures rest on: method, technology, data, seeds, versions, what was left float, how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fewbits.hardware.costing.breakdown import DRAM
from fewbits.hardware.dataflow.registry import area_basis
from fewbits.report.networks import across_networks, comparison, front_line
from fewbits.study.sections import AcceleratorSection, MachineSection

if TYPE_CHECKING:
    from collections.abc import Callable

    from fewbits.report.rows import Group
    from fewbits.report.studies import ReadStudy
    from fewbits.study import RunResult

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
    """All that was asked for, as JSON; of each study."""

    commands: tuple[str, ...]


def basis_of(studies: Sequence[ReadStudy], groups: Sequence[Group]) -> Basis:
    """From the report's studies and its rows. What is not the same in all of several studies names its study."""

    def each(lines_of: Callable[[ReadStudy], Sequence[str]]) -> tuple[str, ...]:
        return _of_each(studies, lines_of)

    def runs(lines_of: Callable[[Sequence[RunResult]], Sequence[str]]) -> tuple[str, ...]:
        return each(lambda study: lines_of(study.results))

    entries = [
        ("Accuracy", ACCURACY),
        ("Memory", MEMORY),
        ("Area", each(_areas)),
        ("Datapaths", runs(_datapaths)),
        ("Cycles", ("From the schedule of the layers on the tile, for one image.", *runs(lambda of: [_clocks(of)]))),
        ("Energy and power", (*ENERGY, *runs(_activities), *runs(lambda of: [_off_chip(of)]))),
        ("Technology", each(lambda study: _technology(study, of_circuits=False))),
        ("Data", each(lambda study: [_data_line(name, about) for name, about in study.record.data.items()])),
        ("Training", runs(_training)),
        ("Seeds", runs(lambda of: [", ".join(str(seed) for seed in sorted({run.seed for run in of}))])),
        ("Layers left float", runs(_skipped)),
        ("Versions", each(lambda study: [", ".join(f"{name} {of}" for name, of in study.record.versions.items())])),
    ]
    if len(studies) > 1:
        entries.insert(0, ("Studies", tuple(line for study in studies for line in _about_study(study))))
    together = tuple(line for one in across_networks(groups) for line in (*comparison(one), front_line(one)))
    if together:
        entries.append(("Networks together", together))
    if notices := runs(lambda of: sorted({notice for run in of for notice in run.notices})):
        entries.append(("Notices", notices))
    return Basis(
        entries=tuple(entries),
        hashes=each(lambda study: _technology(study, of_circuits=True)),
        definition="\n".join(each(lambda study: [json.dumps(study.record.definition, indent=2, ensure_ascii=False)])),
        commands=(
            *(f"fewbits run {study.record.name} --out DIR" for study in studies),
            f"fewbits report {' '.join(['DIR'] * len(studies))}",
        ),
    )


def _asked(study: ReadStudy) -> Any:
    """What the study says of its accelerator, or of its several."""
    definition = study.record.definition
    return definition.get("accelerators") or definition.get("accelerator", {})


def _areas(study: ReadStudy) -> list[str]:
    """What the area counts, of each accelerator."""
    machines = study.record.definition.get("accelerators")
    if not machines:
        return [area_basis(AcceleratorSection(**_asked(study)).given())]
    sections = [MachineSection.model_validate(one) for one in machines]
    return [
        f"{one.name}: {area_basis(one.given())}" if len(sections) > 1 else area_basis(one.given()) for one in sections
    ]


def mixed(studies: Sequence[ReadStudy]) -> tuple[str, ...]:
    """What several studies of one report do not share, though figures stand side by side: a line for each thing."""
    if len(studies) == 1:
        return ()
    kinds: tuple[tuple[str, Callable[[ReadStudy], dict[str, str]]], ...] = (
        ("technology", lambda study: {"": f"{study.record.technology.get('name', 'unknown')}"}),
        ("technology table", lambda study: {"": _short(study.record.technology)}),
        ("accelerator", lambda study: {"": json.dumps(_asked(study))}),
        ("data", lambda study: {name: _short(about) for name, about in study.record.data.items()}),
        ("version", lambda study: study.record.versions),
    )
    lines: list[str] = []
    for kind, values_of in kinds:
        values = {study.name: values_of(study) for study in studies}
        for name in dict.fromkeys(name for one in values.values() for name in one):
            having = {study: of[name] for study, of in values.items() if name in of}
            if len(set(having.values())) > 1:
                listed = "; ".join(f"{study}: {value}" for study, value in having.items())
                lines.append(f"The studies differ in {f'{kind} {name}'.strip()}: {listed}.")
    return tuple(lines)


def _short(about: dict[str, Any]) -> str:
    """The beginning of a digest: enough to see that two differ."""
    return f"sha256 {about.get('sha256', 'unknown')[:16]}"


def _of_each(studies: Sequence[ReadStudy], lines_of: Callable[[ReadStudy], Sequence[str]]) -> tuple[str, ...]:
    """The lines of all studies: once if they are the same everywhere, else each with its study in front."""
    lines = [tuple(lines_of(study)) for study in studies]
    if all(one == lines[0] for one in lines):
        return lines[0]
    return tuple(f"{study.name}: {line}" for study, own in zip(studies, lines, strict=True) for line in own)


def _about_study(study: ReadStudy) -> list[str]:
    """Where it lies, how far it is, and the runs that stand under an earlier study's name."""
    record = study.record
    failed = f", {record.failed} failed" if record.failed else ""
    lines = [f"{study.name}: {str(study.folder)!r}, {record.finished} of {record.runs} runs done{failed}."]
    for first in dict.fromkeys(name for name, _ in study.shared):
        count = sum(name == first for name, _ in study.shared)
        what = "run of it is one" if count == 1 else "runs of it are"
        lines.append(f"{study.name}: {count} {what} of {first} too, and shown as such.")
    return lines


def _technology(study: ReadStudy, *, of_circuits: bool) -> tuple[str, ...]:
    """The table's name and provenance, or the hashes in it of the circuits that were synthesized."""
    provenance: dict[str, str] = study.record.technology.get("provenance", {})
    hashes = {name: value for name, value in provenance.items() if name.startswith("rtlil_sha256")}
    if of_circuits:
        return _lines(hashes)
    named = {name: str(study.record.technology.get(name, "unknown")) for name in ("name", "process", "sha256")}
    return _lines(named | {name: value for name, value in provenance.items() if name not in hashes})


def _skipped(runs: Sequence[RunResult]) -> tuple[str, ...]:
    return tuple(sorted({f"{run.model}: {entry}" for run in runs for entry in run.skipped})) or ("None.",)


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
