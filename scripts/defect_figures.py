"""Measure what defects cost LeNet on the digits, and write the figures of docs/defects.md.

    python scripts/defect_figures.py [PART ...]

Parts: faults (accuracy against stuck nets), retraining, stuck, repair, rates-PRECISION (accuracy against the bit error
rate, and the highest rate within a point). Each is kept in docs/figures/defects.json as soon as it is measured;
the tables between `<!-- made by scripts/defect_figures.py: NAME -->` and `<!-- end -->` are written from there.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import fewbits as fb
from fewbits.hardware.defects import Accuracies, DefectCurve, DefectPlan, highest_rate, measure_defects

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "docs" / "figures" / "defects.json"
PAGE = ROOT / "docs" / "defects.md"
RATES = (1e-3, 1e-2, 1e-1)
PRECISIONS = ("fixed8", "fixed4", "pow2-4/fixed8", "binary/fixed16", "fp8-e4m3")
_BLOCK = re.compile(r"(<!-- made by scripts/defect_figures\.py: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Lenet:
    """The trained network at a precision, and the images that it is measured on."""

    def __init__(self, weights: Path | None = None) -> None:
        """weights: trained ones, in place of training."""
        self.data = fb.data.load("digits")
        self.model = fb.models.build("lenet", seed=0)
        if weights is not None:
            fb.models.load_weights(self.model, weights)
            return
        fb.train.train_float(self.model, self.data, fb.train.TrainSettings(epochs=4), seed=0)

    def at(self, precision: str, images: int) -> tuple[Any, Any, torch.Tensor, torch.Tensor]:
        """Quantized model, bit-exact network, validation images and labels."""
        quantized, _ = fb.train.run_recipe("post-training", self.model, precision, self.data)
        inputs = self.data.inputs(self.data.validation.images[:images])
        return quantized, fb.lower(quantized, inputs[:1]), inputs, self.data.validation.labels[:images]


def faults(lenet: Lenet) -> list[dict[str, Any]]:
    """Accuracy against the number of stuck nets, in logic and in flip-flops."""
    _, network, images, labels = lenet.at("fixed4", 64)
    plans = [DefectPlan(where, counts=(0, 1, 4, 16), draws=20) for where in ("datapath", "registers")]
    return [measure_defects(network, images, labels, plan).to_json() for plan in plans]


def retraining(lenet: Lenet) -> list[dict[str, Any]]:
    """What retraining with the wrong cells held gives back, and with stuck nets known."""
    quantized, network, images, labels = lenet.at("fixed4", 100)
    retrain = fb.train.retraining_with_defects(quantized, lenet.data)
    held = DefectPlan("weights-memory", rates=(0.2,), draws=5, retrain_epochs=1)
    return [measure_defects(network, images, labels, held, retrain=retrain).to_json()]


def stuck(lenet: Lenet) -> list[dict[str, Any]]:
    """What retraining with stuck nets known gives back: 512 training images, the epoch chosen on other images."""
    quantized, network, images, labels = lenet.at("fixed4", 64)
    train, held = lenet.data.train, lenet.data.validation
    part = replace(
        lenet.data,
        train=fb.data.Split(train.images[:512], train.labels[:512]),
        validation=fb.data.Split(held.images[64:128], held.labels[64:128]),
    )
    retrain = fb.train.retraining_with_defects(quantized, part)
    plan = DefectPlan("datapath", counts=(2,), draws=6, retrain_epochs=1)
    return [measure_defects(network, images, labels, plan, retrain=retrain).to_json()]


def repair(lenet: Lenet) -> list[dict[str, Any]]:
    """What a repair costs, by the number of defects."""
    _, network, images, labels = lenet.at("fixed4", 32)
    plan = DefectPlan("datapath", counts=(1, 4), draws=20, repair="others")
    return [measure_defects(network, images, labels, plan).to_json()]


def rates(precision: str) -> Callable[[Lenet], list[dict[str, Any]]]:
    """Accuracy against the bit error rate of the weights' memory at a precision, and the limit within a point."""

    def measured(lenet: Lenet) -> list[dict[str, Any]]:
        _, network, images, labels = lenet.at(precision, 100)
        curve = measure_defects(network, images, labels, DefectPlan("weights-memory", rates=RATES, draws=20))
        limit = highest_rate(network, images, labels, 1.0, draws=5)
        return [{**curve.to_json(), "highest_rate": limit.rate}]

    return measured


PARTS: dict[str, Callable[[Lenet], list[dict[str, Any]]]] = {
    "faults": faults,
    "repair": repair,
    "retraining": retraining,
    "stuck": stuck,
    **{f"rates-{precision.replace('/', '-')}": rates(precision) for precision in PRECISIONS},
}


def table(name: str, curves: list[dict[str, Any]]) -> str:
    """One part's table in Markdown."""
    highest = [one.pop("highest_rate", None) for one in curves]
    read = [DefectCurve.from_json(one) for one in curves]
    if name == "repair":
        return _prices(read[0])
    lines = [
        "| precision | where | amount | draws | images | sound | with defects | retrained |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for curve in read:
        for row in curve.rows:
            lines.append(
                f"| {curve.precision} | {curve.plan.where} | {row.amount:g} | {curve.plan.draws} | {curve.images} "
                f"| {curve.exact_percent:.1f} % | {_percent(row.faulty)} | {_percent(row.retrained)} |"
            )
    limits = [f"| {c.precision} | {rate:.2g} |" for c, rate in zip(read, highest, strict=True) if rate is not None]
    if limits:
        lines += ["", "| precision | highest bit error rate within a point |", "|---|---|", *limits]
    return "\n".join(lines) + "\n"


def _prices(curve: DefectCurve) -> str:
    lines = [
        "| faults | disabled neurons | with faults | repaired | cycles | energy | idle area |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in curve.rows:
        price = row.price
        if price is None:
            continue
        neurons = sum(price.disabled_neurons) / len(price.disabled_neurons)
        lines.append(
            f"| {row.amount:g} | {neurons:.1f} | {_percent(row.faulty)} | {_percent(row.repaired)} "
            f"| +{100 * (price.cycles / price.cycles_before - 1):.0f} % "
            f"| +{100 * (price.energy_uj / price.energy_before_uj - 1):.0f} % "
            f"| {100 * price.idle_area_um2 / price.area_um2:.1f} % of the chip |"
        )
    return "\n".join(lines) + "\n"


def _percent(one: Accuracies | None) -> str:
    return "" if one is None else f"{one.mean_percent:.1f} ± {one.interval_percent:.1f} %"


def write_page(stored: dict[str, Any]) -> None:
    """The page's tables, from what is stored."""

    def made(found: re.Match[str]) -> str:
        curves = [one for name, part in stored.items() if name.split("-")[0] == found[2] for one in part]
        text = table(found[2], json.loads(json.dumps(curves))) if curves else "Not measured yet.\n"
        return f"{found[1]}{text}{found[3]}"

    PAGE.write_text(_BLOCK.sub(made, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    """Measure the parts that are asked for, then write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; none: write the page alone")
    parser.add_argument("--weights", type=Path, help="trained LeNet weights, in place of training it (4 epochs)")
    given = parser.parse_args()
    asked = given.parts
    stored: dict[str, Any] = json.loads(STORED.read_text()) if STORED.exists() else {}
    lenet = Lenet(given.weights) if asked else None
    for name in asked:
        assert lenet is not None
        stored[name] = PARTS[name](lenet)
        STORED.write_text(json.dumps(stored) + "\n")
        write_page(stored)
        print(name, "done", flush=True)
    write_page(stored)


if __name__ == "__main__":
    main()
