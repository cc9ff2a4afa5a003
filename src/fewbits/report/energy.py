"""Energy of an image by layer and part: per row of a study, as tables and as CSV. Off-chip memory stands apart."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewbits.hardware.costing.breakdown import DRAM
from fewbits.report.parts import LEAKAGE, ordered, shown
from fewbits.report.table import decimals_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fewbits.report.rows import Group, Row
    from fewbits.study import RunResult

OFF_CHIP = f"Off-chip memory: {DRAM}, in no total."


@dataclass(frozen=True)
class LayerEnergies:
    """One row's energy of an image, µJ, mean over the seeds."""

    parts: tuple[str, ...]
    layers: dict[str, dict[str, float]]
    """By layer, then part."""

    off_chip: dict[str, tuple[float, float]]
    """By layer, low and high; in no other figure. Empty for runs of a version that did not keep it."""

    @property
    def by_part(self) -> dict[str, float]:
        """All layers together."""
        return {part: sum(layer[part] for layer in self.layers.values()) for part in self.parts}


@dataclass(frozen=True)
class EnergyTable:
    """Energies as text, layers down and parts across, all layers in the last row."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def layer_energies(row: Row) -> LayerEnergies | None:
    """A row's energies; None if its runs kept none by layer."""
    kept = [run for run in row.runs if run.energy_uj_by_layer_and_component]
    if not kept:
        return None
    each = [_split(run) for run in kept]
    parts = ordered([part for layer in each[0].values() for part in layer])
    return LayerEnergies(
        parts=parts,
        layers={
            name: {part: sum(one[name].get(part, 0.0) for one in each) / len(each) for part in parts}
            for name in each[0]
            if all(name in one for one in each)
        },
        off_chip={
            name: (
                sum(run.off_chip_uj_by_layer[name][0] for run in kept) / len(kept),
                sum(run.off_chip_uj_by_layer[name][1] for run in kept) / len(kept),
            )
            for name in each[0]
            if all(name in run.off_chip_uj_by_layer for run in kept)
        },
    )


def _split(run: RunResult) -> dict[str, dict[str, float]]:
    """A run's energy by layer and part, leakage apart where it is known by layer.

    Every part leaks as long as a layer takes, so that all of them divide over the layers alike.
    """
    if not run.leakage_uj_by_layer:
        return run.energy_uj_by_layer_and_component
    total = sum(run.leakage_uj_by_component.values()) or 1.0
    found: dict[str, dict[str, float]] = {}
    for name, parts in run.energy_uj_by_layer_and_component.items():
        leakage = run.leakage_uj_by_layer[name]
        own = {part: leakage * run.leakage_uj_by_component.get(part, 0.0) / total for part in parts}
        # What switches nothing leaves a rounding error of either sign.
        found[name] = {part: max(0.0, energy - own[part]) for part, energy in parts.items()} | {LEAKAGE: leakage}
    return found


def energy_table(energies: LayerEnergies) -> EnergyTable:
    """µJ by layer and part, each layer's sum and share of all, off-chip memory apart."""
    layers = energies.layers | {"all layers": energies.by_part}
    total = sum(energies.by_part.values())
    decimals = decimals_for([total / 100])
    off_chip = dict(energies.off_chip)
    if off_chip:
        off_chip["all layers"] = (sum(low for low, _ in off_chip.values()), sum(high for _, high in off_chip.values()))
    heads = ("layer", *(shown(part).words for part in energies.parts), "together", "share, %")
    return EnergyTable(
        headings=(*heads, "off-chip, apart") if off_chip else heads,
        rows=tuple(
            (
                name,
                *(_figure(parts[part], decimals) for part in energies.parts),
                f"{sum(parts.values()):.{decimals}f}",
                f"{100 * sum(parts.values()) / total:.1f}" if total else "-",
                *([_range(off_chip[name])] if name in off_chip else ["-"] if off_chip else []),
            )
            for name, parts in layers.items()
        ),
    )


def part_table(energies: Mapping[str, LayerEnergies]) -> EnergyTable:
    """µJ by part of several rows, each by its label; a part that a row lacks is a dash."""
    parts = ordered([part for one in energies.values() for part in one.parts])
    sums = {label: one.by_part for label, one in energies.items()}
    decimals = decimals_for([sum(one.values()) / 100 for one in sums.values()])
    off_chip = any(one.off_chip for one in energies.values())
    heads = ("precision", *(shown(part).words for part in parts))
    return EnergyTable(
        headings=(*heads, "off-chip, apart") if off_chip else heads,
        rows=tuple(
            (
                label,
                *(_figure(sums[label][part], decimals) if part in sums[label] else "-" for part in parts),
                *([_off_chip(one)] if off_chip else []),
            )
            for label, one in energies.items()
        ),
    )


def row_energies(group: Group) -> dict[str, LayerEnergies]:
    """Of each row of a group that has any, by its precision, and recipe where a precision stands in several rows.

    Rows that repeat the networks of another are left out.
    """
    found: dict[str, LayerEnergies] = {}
    rows = group.points
    for row in rows:
        energies = layer_energies(row)
        if energies is not None:
            found[row.label(rows)] = energies
    return found


def energy_csv(groups: Sequence[Group]) -> str:
    """One line for each run, layer and part, µJ; those of off-chip memory are in no total."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    several = any(group.studies for group in groups)
    machines = any(group.accelerators for group in groups)
    head = ["model", "data", "precision", "recipe", "seed", "layer", "part", "energy_uj", "in_total"]
    writer.writerow([*(["study"] if several else []), *(["accelerator"] if machines else []), *head])
    for group in groups:
        for study, run in ((row.study, run) for row in group.rows for run in row.runs):
            named = (run.model, run.data, run.precision, run.recipe, run.seed)
            point = (*((study,) if several else ()), *((run.accelerator,) if machines else ()), *named)
            for layer, parts in _split(run).items():
                for part in ordered(list(parts)):
                    writer.writerow([*point, layer, part, parts[part], "yes"])
                for name, energy in zip(("low", "high"), run.off_chip_uj_by_layer.get(layer, ()), strict=False):
                    writer.writerow([*point, layer, f"off-chip, {name}", energy, "no"])
    return out.getvalue()


def _off_chip(energies: LayerEnergies) -> str:
    if not energies.off_chip:
        return "-"
    both = energies.off_chip.values()
    return _range((sum(low for low, _ in both), sum(high for _, high in both)))


def _figure(energy: float, decimals: int) -> str:
    """Zero as a dot, and what is too small for the decimals as such."""
    if energy == 0:
        return "·"
    text = f"{energy:.{decimals}f}"
    return f"<{10**-decimals:.{decimals}f}" if float(text) == 0 else text


def _range(both: tuple[float, float]) -> str:
    return f"{both[0]:.3g} to {both[1]:.3g}"
