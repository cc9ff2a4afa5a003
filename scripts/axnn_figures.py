"""Sensitivity-driven approximation beside uniform precisions and `fewbits search`: the figures of docs/axnn.md.

Usage:
  python scripts/axnn_figures.py measure lenet|alex SEED [--tables] [--out docs/axnn.json]
      trains a network in float, at uniform precisions, by the recipes and at what the search finds, and adds the
      figures to the file; what is there already is not measured again. --tables: parts of fewer bits too, which are
      computed by product tables, slowly.
  python scripts/axnn_figures.py page [--out docs/axnn.json]
      writes the tables in docs/axnn.md.
LeNet takes the embedded digits whole, ALEX 2,000 training images of CIFAR-10 (with 500 held out and 1,000 to test).
Energies are at the technology table's assumed activity, on DianNao's tile of 16 x 16.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from fewbits import data, lower, models, quantize
from fewbits.data import Dataset
from fewbits.formats.assignment import Assignment
from fewbits.formats.switched_units import SwitchedUnits
from fewbits.hardware import cost
from fewbits.quantization import QuantizedModel
from fewbits.search import SearchSettings, search
from fewbits.train import RecipeOptions, TrainRecord, TrainSettings, evaluate, run_recipe, train_float

MARGIN_POINTS = 0.5
"""Issue and papers: what approximation may cost, on the held-out images."""

PAGE = Path("docs/axnn.md")


@dataclass(frozen=True)
class Experiment:
    """One network on its data."""

    data: str
    float_epochs: int
    epochs: int
    """Of the recipes; uniform precisions get `extra` more, as the last rounds take one each beyond their share."""

    extra: int
    share: float
    uniform: tuple[str, ...]
    images: tuple[int, int, int] | None = None
    """Of each split; None for all."""

    parts: tuple[tuple[str, str], ...] = (("fixed8", "fixed4"), ("fixed4", "fixed3"), ("fixed4", "fixed2"))
    """Precisions and what their least sensitive parts compute with, where product tables are asked for."""


EXPERIMENTS = {
    "lenet": Experiment("digits", 8, 8, 4, 0.125, ("fixed8", "fixed4", "fixed3", "fixed2")),
    "alex": Experiment("cifar10", 8, 4, 3, 0.2, ("fixed8", "fixed5", "fixed4"), (2000, 500, 1000)),
}


def dataset_of(experiment: Experiment) -> Dataset:
    """Its data, each split cut to its first images."""
    whole = data.load(experiment.data)
    if experiment.images is None:
        return whole
    cut = {
        name: replace(split, images=split.images[:count], labels=split.labels[:count])
        for name, count in zip(("train", "validation", "test"), experiment.images, strict=True)
        for split in (getattr(whole, name),)
    }
    return replace(whole, **cut)


class Measuring:
    """Figures of one network and seed, kept as they are found."""

    def __init__(self, model: str, seed: int, out: Path) -> None:
        """Train the float network, which is always needed."""
        self.experiment, self.seed, self._out = EXPERIMENTS[model], seed, out
        self.dataset = dataset_of(self.experiment)
        self.float_network = models.build(model, seed)
        train_float(self.float_network, self.dataset, self._settings(self.experiment.float_epochs), seed)
        self._key = f"{model} {seed}"
        validation, test = (
            evaluate(self.float_network, self.dataset, split).accuracy_percent
            for split in (self.dataset.validation, self.dataset.test)
        )
        self.floor = validation - MARGIN_POINTS
        self.keep("float", {"validation": validation, "test": test})

    def _settings(self, epochs: int) -> TrainSettings:
        return TrainSettings(epochs=epochs)

    @property
    def found(self) -> dict[str, Any]:
        """By the name of what was measured."""
        kept = json.loads(self._out.read_text()) if self._out.exists() else {}
        return kept.get(self._key, {})

    def keep(self, name: str, figures: dict[str, Any]) -> None:
        """Add to the file."""
        kept = json.loads(self._out.read_text()) if self._out.exists() else {}
        kept.setdefault(self._key, {})[name] = figures
        self._out.write_text(json.dumps(kept, indent=1) + "\n")
        print(self._key, name, {k: v for k, v in figures.items() if k != "rounds"}, flush=True)

    def once(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Measure, unless that is done."""
        if name not in self.found:
            self.keep(name, measure())
        return self.found[name]

    def figures(self, q: QuantizedModel, record: TrainRecord, **of_cost: Any) -> dict[str, Any]:
        """Of a trained network: bit-exact accuracy on the test images, energy on its machine."""
        inputs = self.dataset.inputs(self.dataset.test.images)
        network = lower(q.eval(), inputs[:1])
        right = (network.predict(inputs) == self.dataset.test.labels).float().mean()
        price = cost(network, **of_cost)
        made: dict[str, Any] = {
            "validation": record.best_validation_accuracy_percent,
            "test": 100 * float(right),
            "energy_uj": price.energy_uj,
            "area_mm2": price.area_mm2,
            "cycles": price.cycles,
        }
        if record.rounds:
            last = max((one for one in record.rounds if not one.is_taken_back), key=lambda one: one.number)
            made["rounds"] = [
                [one.switched, one.validation_accuracy_percent, one.is_taken_back] for one in record.rounds
            ]
            made |= {"switched": last.switched, "units": last.units}
        return made

    def uniform(self, precision: str) -> dict[str, Any]:
        """Fine-tuned as long as the recipes train."""
        settings = self._settings(self.experiment.epochs + self.experiment.extra)
        return self.figures(*run_recipe("fine-tune", self.float_network, precision, self.dataset, settings, self.seed))

    def recipe(self, name: str, precision: str, approximation: str) -> dict[str, Any]:
        """Rounds from a uniform precision."""
        options = RecipeOptions(
            approximation=approximation, error_margin_points=MARGIN_POINTS, share_a_round=self.experiment.share
        )
        settings = self._settings(self.experiment.epochs)
        return self.figures(
            *run_recipe(name, self.float_network, precision, self.dataset, settings, self.seed, options=options)
        )

    def search(self) -> dict[str, Any]:
        """The cheapest of the search's front within the margin, after fine-tuning as long as uniform precisions."""
        result = search(
            self.float_network,
            self.dataset,
            SearchSettings(max_loss_points=MARGIN_POINTS, formats=self.experiment.uniform, seed=self.seed),
        )
        settings = self._settings(self.experiment.epochs + self.experiment.extra)
        fronts = [result.by_name[name] for name in result.front]
        useful = [point for point in fronts if result.points_lost(point) < 20]  # what fine-tuning may mend
        tried: list[dict[str, Any]] = []
        for point in useful[:3]:
            chosen: Assignment = point.assignment()
            made, record = run_recipe(
                "fine-tune",
                self.float_network,
                chosen.precision,
                self.dataset,
                settings,
                self.seed,
                layers=chosen.layers,
            )
            figures = self.figures(made, record, datapaths="each")
            tried.append({**figures, "layers": dict(chosen.layers), "precision": chosen.precision.name})
            if record.best_validation_accuracy_percent >= self.floor:
                break
        within = [one for one in tried if one["validation"] >= self.floor]
        return (
            min(within, key=lambda one: one["energy_uj"]) if within else max(tried, key=lambda one: one["validation"])
        )


def measure(model: str, seed: int, out: Path, *, tables: bool) -> None:
    """All of a network and seed."""
    torch.set_num_threads(1)
    at = Measuring(model, seed, out)
    uniform = {name: at.once(f"uniform {name}", lambda name=name: at.uniform(name)) for name in at.experiment.uniform}
    cheapest = cheapest_within(uniform, at.floor)
    names = list(uniform)

    def dropped(base: str) -> None:
        for recipe in ("approximate-synapses", "approximate-neurons"):
            at.once(f"{recipe} {base} dropped", lambda: at.recipe(recipe, base, "dropped"))  # noqa: B023

    dropped(cheapest)
    at.once("search", at.search)
    dropped(names[max(0, names.index(cheapest) - 1)])
    for base, part in at.experiment.parts if tables else ():
        at.once(f"approximate-neurons {base} {part}", lambda b=base, p=part: at.recipe("approximate-neurons", b, p))


def cheapest_within(figures: dict[str, dict[str, Any]], floor: float) -> str:
    """The cheapest that the held-out images allow; the most accurate where none is."""
    within = {name: one for name, one in figures.items() if one["validation"] >= floor}
    if not within:
        return max(figures, key=lambda name: figures[name]["validation"])
    return min(within, key=lambda name: within[name]["energy_uj"])


def savings() -> Iterator[str]:
    """What dropping shares of all units saves, whatever the accuracy: they are drawn at random, nothing is trained."""
    shares = (0, 0.25, 0.5, 0.75)
    yield "Energy in µJ (and cycles) of an image where so many of the units are dropped, drawn at random, untrained:"
    yield ""
    yield f"| network | {' | '.join(f'{share:.0%}' for share in shares)} |"
    yield f"|---|{'---|' * len(shares)}"
    for model in EXPERIMENTS:
        for precision in ("fixed8", "fixed4", "fixed3"):
            costs = [
                cost(_dropping(model, precision, share), input_shape=models.input_shape(model)) for share in shares
            ]
            cells = (f"{one.energy_uj:.2f} ({one.cycles:,})" for one in costs)
            yield f"| {model} {precision} | {' | '.join(cells)} |"


def _dropping(model: str, precision: str, share: float) -> QuantizedModel:
    """Chunks of convolutions, whole units of linear layers but the last."""
    made = quantize(models.build(model, 0), precision)
    for layer in list(made.layers.values())[:-1]:
        weight = layer.layer.weight
        switched = SwitchedUnits("dropped", (0,)).of_chunks(len(weight), weight[0].numel())
        drawn = switched if weight.ndim > 2 else switched[:, :1]
        drawn[:] = (np.random.default_rng(0).permutation(drawn.size) < share * drawn.size).reshape(drawn.shape)
        switched[:] = drawn
        layer.switch(SwitchedUnits.of("dropped", switched))
    return made


_KINDS = ("uniform", "approximate-neurons", "approximate-synapses", "search")


def page(out: Path) -> None:
    """Put the tables between their marks."""
    text = PAGE.read_text()
    kept = json.loads(out.read_text()) if out.exists() else {}
    measured = [*_summary(kept), "", *_all(kept), ""] if kept else []
    table = "\n".join([*measured, *savings()])
    begin, end = "<!-- figures -->", "<!-- end of figures -->"
    PAGE.write_text(re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL))


def _summary(kept: dict[str, Any]) -> Iterator[str]:
    yield "The cheapest of each kind within the margin, chosen on the held-out images, mean over seeds:"
    yield ""
    yield "| network | seeds | kind | energy, µJ | against uniform | test accuracy, % | float, % | what |"
    yield "|---|---|---|---|---|---|---|---|"
    for model in dict.fromkeys(key.split()[0] for key in kept):
        seeds = {key: found for key, found in kept.items() if key.split()[0] == model}
        best = {kind: [_best(found, kind) for found in seeds.values()] for kind in _KINDS}
        floats = mean(found["float"]["test"] for found in seeds.values())
        base = [one[1]["energy_uj"] for one in best["uniform"] if one is not None]
        for kind, found in best.items():
            if not any(name.split()[0] == kind for one in seeds.values() for name in one):
                continue  # not measured
            made = [one for one in found if one is not None]
            if not made or len(made) < len(seeds):
                yield f"| {model} | {len(made)} of {len(seeds)} | {kind} | not within the margin | | | {floats:.2f} | |"
                continue
            energy = mean(one[1]["energy_uj"] for one in made)
            change = f"{100 * (energy / mean(base) - 1):+.1f} %" if len(base) == len(seeds) else "-"
            test = mean(one[1]["test"] for one in made)
            names = ", ".join(dict.fromkeys(one[0].removeprefix(kind).strip() for one in made))
            yield (
                f"| {model} | {len(made)} | {kind} | {energy:.2f} | {change} | {test:.2f} | {floats:.2f} | {names} |"
            )


def _best(found: dict[str, Any], kind: str) -> tuple[str, dict[str, Any]] | None:
    floor = found["float"]["validation"] - MARGIN_POINTS
    own = {name: one for name, one in found.items() if name.split()[0] == kind and one["validation"] >= floor}
    return min(own.items(), key=lambda one: one[1]["energy_uj"], default=None)


def _all(kept: dict[str, Any]) -> Iterator[str]:
    yield "All networks:"
    yield ""
    yield "| network, seed | what | held-out, % | test, % | energy, µJ | cycles | area, mm² | units approximate |"
    yield "|---|---|---|---|---|---|---|---|"
    for key, found in kept.items():
        for name, one in found.items():
            told = [f"{one['validation']:.2f}", f"{one['test']:.2f}"]
            priced = "energy_uj" in one
            told += [f"{one['energy_uj']:.2f}", f"{one['cycles']:,}", f"{one['area_mm2']:.2f}"] if priced else [""] * 3
            units = f"{one['switched']} of {one['units']}" if "units" in one else ""
            layers = f" ({', '.join(f'{k} {v}' for k, v in one['layers'].items())})" if "layers" in one else ""
            yield f"| {key} | {name}{layers} | {' | '.join((*told, units))} |"


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "page"))
    parser.add_argument("model", nargs="?", choices=tuple(EXPERIMENTS))
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("docs/axnn.json"))
    asked = parser.parse_args()
    if asked.what == "page":
        page(asked.out)
    elif asked.model is None:
        parser.error(f"measure takes a network: {', '.join(EXPERIMENTS)}")
    else:
        measure(asked.model, asked.seed, asked.out, tables=asked.tables)


if __name__ == "__main__":
    main()
