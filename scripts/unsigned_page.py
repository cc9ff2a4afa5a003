"""What inputs without a sign are worth: LeNet's accuracy and the datapaths' cost, for docs/unsigned.md.

Usage: python scripts/unsigned_page.py [measure DATA SEED ...]
`measure` trains a float LeNet on a data set for each seed, quantizes it at each of PRECISIONS, as it is and fine-tuned,
and keeps the bit-exact networks' accuracies in docs/unsigned.json; 10 minutes for three seeds of the digits. Without
it the tables of the page are written anew, from that file and from the technology table.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import fewbits as fb
from fewbits import data, models, train
from fewbits.formats import parse_precision
from fewbits.hardware import load_technology

DOCS = Path(__file__).resolve().parents[1] / "docs"
STORED, PAGE = DOCS / "unsigned.json", DOCS / "unsigned.md"

PRECISIONS = ("fixed4", "fixed4/ufixed4", "fixed3", "fixed3/ufixed3", "fixed2", "fixed2/ufixed2")
RECIPES = ("post-training", "fine-tune")

EPOCHS = {"digits": (10, 5), "mnist": (4, 2)}
"""Of the float network, and of fine-tuning."""

COMPARED = (
    *(("fixed2", "fixed2/ufixed2"), ("fixed3", "fixed3/ufixed3"), ("fixed4", "fixed4/ufixed4")),
    *(("fixed8", "fixed8/ufixed8"), ("fixed4/fixed8", "fixed4/ufixed8"), ("ternary/fixed8", "ternary/ufixed8")),
)
"""Datapaths with a sign, and without."""


def bit_exact_percent(model: fb.QuantizedModel, dataset: data.Dataset) -> float:
    """Accuracy of the lowered network on the test images."""
    inputs = dataset.inputs(dataset.test.images[:1])
    network = fb.lower(model, inputs)
    right = 0
    for start in range(0, len(dataset.test.labels), 500):
        images = dataset.inputs(dataset.test.images[start : start + 500])
        right += int((network.predict(images) == dataset.test.labels[start : start + 500]).sum())
    return 100 * right / len(dataset.test.labels)


def measured(name: str, seed: int) -> Iterator[dict[str, Any]]:
    """An accuracy for the float network, and for each precision and recipe."""
    dataset = data.load(name)
    float_epochs, epochs = EPOCHS[name]
    base = models.build("lenet", seed=seed)
    train.train_float(base, dataset, train.TrainSettings(epochs=float_epochs), seed)
    point = {"data": name, "seed": seed}
    accuracy = train.evaluate(base, dataset, dataset.test).accuracy_percent
    yield point | {"precision": "float32", "recipe": "float", "accuracy_percent": round(accuracy, 2)}
    for recipe in RECIPES:
        settings = train.TrainSettings(epochs=epochs, learning_rate=0.001) if recipe == "fine-tune" else None
        for precision in PRECISIONS:
            model, _ = train.run_recipe(recipe, base, precision, dataset, settings, seed)
            accuracy = bit_exact_percent(model, dataset)
            yield point | {"precision": precision, "recipe": recipe, "accuracy_percent": round(accuracy, 2)}


def store(name: str, seeds: list[int]) -> None:
    """Measure, and put the accuracies into the stored file; those of other data and seeds stay."""
    torch.set_num_threads(1)
    for seed in seeds:
        kept = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else []
        kept = [one for one in kept if (one["data"], one["seed"]) != (name, seed)]
        for one in measured(name, seed):
            print(one, flush=True)
            kept.append(one)
        STORED.write_text("[\n" + ",\n".join(f" {json.dumps(one)}" for one in kept) + "\n]\n", encoding="utf-8")


def accuracy_table() -> str:
    """Mean accuracies over seeds, with and without a sign."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for one in json.loads(STORED.read_text(encoding="utf-8")):
        found.setdefault((one["data"], one["recipe"], one["precision"]), []).append(one["accuracy_percent"])
    lines = [
        "| data | recipe | bits | inputs signed | unsigned | gain | float |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in dict.fromkeys(key[0] for key in found):
        for recipe in RECIPES:
            for signed, unsigned in zip(PRECISIONS[::2], PRECISIONS[1::2], strict=True):
                one, other = (statistics.mean(found[name, recipe, each]) for each in (signed, unsigned))
                base = statistics.mean(found[name, "float", "float32"])
                seeds = len(found[name, recipe, signed])
                bits = parse_precision(signed).inputs.bits
                lines.append(
                    f"| {name}, {seeds} seed{'s' * (seeds > 1)} | {recipe} | {bits} | {one:.2f} | {other:.2f} | "
                    f"{other - one:+.2f} | {base:.2f} |"
                )
    return "\n".join(lines) + "\n"


def cost_table() -> str:
    """A neuron's area and energy from the shipped table, with and without a sign."""
    table = load_technology()
    lines = [
        "| signed | unsigned | area of a neuron, um2 | | energy a cycle, pJ | | longest path, ns |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for pair in COMPARED:
        one, other = (table.datapath(parse_precision(name)) for name in pair)
        areas, energies = (
            [sum(getattr(part, figure) for part in each.components.values()) for each in (one, other)]
            for figure in ("area_um2", "energy_pj")
        )
        lines.append(
            f"| {pair[0]} | {pair[1]} | {areas[0]:,.0f} to {areas[1]:,.0f} | "
            f"{100 * (areas[1] / areas[0] - 1):+.1f} % | {energies[0]:.2f} to {energies[1]:.2f} | "
            f"{100 * (energies[1] / energies[0] - 1):+.1f} % | {other.longest_path_ns:.2f} |"
        )
    return "\n".join(lines) + "\n"


BLOCKS = {"accuracy": accuracy_table, "cost": cost_table}


def main() -> None:
    """Measure, or write the tables into the page."""
    if sys.argv[1:2] == ["measure"]:
        store(sys.argv[2], [int(seed) for seed in sys.argv[3:]])
    text = PAGE.read_text(encoding="utf-8")
    for name, made in BLOCKS.items():
        head, end = f"<!-- made by scripts/unsigned_page.py: {name} -->\n", "<!-- end -->"
        before, _, rest = text.partition(head)
        text = before + head + made() + end + rest.partition(end)[2]
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
