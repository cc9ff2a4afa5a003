"""Put the accuracies of a study's folders into a small file in the tree, from which docs/reproduction.md is made.

Usage: python scripts/store_reproduction.py docs/reproduction/STUDY.toml FOLDER ...
Folders are those of `fewbits run`, on one machine or, with `--engine dask`, on many: only the parent writes them.
Several folders are those of several sittings, such as one a seed; of a point that is in two, the last one counts.
Writes docs/reproduction/STUDY.json: one entry a finished run, with the key of its trained network, epochs and wall
time. Of the costs only the measured energy is kept, as it needs the trained network: with it goes what the technology
table gives at its assumed activity, by which the tables tell whether the measurement still holds. All other costs are
computed anew from the table of the day. The data must be where the study finds it, since the keys are computed from it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fewbits.hardware import cost
from fewbits.study import RunResult, load_study, read_results
from fewbits.study.networks import TrainingOutcome, load_network, network_path
from fewbits.study.plan import make_plan
from fewbits.study.tasks import Run, Training

Point = tuple[str, str, str, str, int]
"""Model, data, precision, recipe, seed."""

COPIED = (
    "model", "data", "precision", "recipe", "seed", "accuracy_percent", "fake_quantized_accuracy_percent",
    "float_accuracy_percent", "validation_accuracy_percent", "differing_images", "test_images", "epochs", "skipped",
    "notices", "versions", "stands_for",
)  # fmt: skip
"""Fields of a run's result that are kept as they are."""


def entries(runs: tuple[Run, ...], results: dict[Point, RunResult], folder: Path) -> dict[Point, dict[str, Any]]:
    """By point, an entry for each run of the plan whose result and trained network are in the folder."""
    found: dict[Point, dict[str, Any]] = {}
    for run in runs:
        point = point_of(run)
        outcome, base = outcome_of(run.training, folder), outcome_of(run.float_training, folder)
        if point not in results or outcome is None or base is None:
            continue
        found[point] = {name: getattr(results[point], name) for name in COPIED} | {
            "training_key": run.training.key,
            "float_training_key": run.float_training.key,
            "settings": run.training.settings.definition(),
            "best_epoch": outcome.best_epoch,
            "training_wall_time_s": round(outcome.wall_time_s, 3),
            "float_epochs": base.epochs,
            "float_training_wall_time_s": round(base.wall_time_s, 3),
            **measured_energy(run, results[point]),
        }
    return found


def measured_energy(run: Run, result: RunResult) -> dict[str, Any]:
    """The energy from the network's own operands, in uJ, if the run has that."""
    if result.energy_interval_uj is None:
        return {}
    assumed = cost(result.model, result.precision, technology=run.technology, accelerator=run.accelerator)
    return {
        "measured_energy": {
            "uj": result.energy_uj,
            "interval_uj": result.energy_interval_uj,
            "activity": result.activity,
            "assumed_activity_uj": assumed.energy_uj,
        }
    }


def point_of(run: Run) -> Point:
    """Which point of the study a run is."""
    return (run.training.model, run.training.data, run.training.precision, run.recipe, run.training.seed)


def outcome_of(training: Training, folder: Path) -> TrainingOutcome | None:
    """The record of the trained network of exactly this definition; None if it is not there."""
    loaded = load_network(network_path(folder, training.stem), training.key)
    return None if loaded is None else loaded[1]


def main() -> None:
    """Read the folders and write the file beside the study."""
    study, folders = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    plan = make_plan(load_study(study))
    if any(run.part < 1 for run in plan.runs):
        sys.exit(f"{study}: operating points are parts of a network, whose costs the tables cannot compute anew")
    found: dict[Point, dict[str, Any]] = {}
    for folder in folders:
        results = {(one.model, one.data, one.precision, one.recipe, one.seed): one for one in read_results(folder)}
        found |= entries(plan.runs, results, folder)
    stored = {
        "command": f"fewbits run {study} --out DIR",
        "made_by": f"python scripts/store_reproduction.py {study} DIR ...",
        "data": plan.rests_on["data"],
        "runs": [found[point] for run in plan.runs if (point := point_of(run)) in found],
    }
    target = study.with_suffix(".json")
    target.write_text(json.dumps(stored, indent=1) + "\n")
    print(f"{target}: {len(found)} of {len(plan.runs)} runs")


if __name__ == "__main__":
    main()
