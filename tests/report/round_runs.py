"""Runs with round figures, made without training anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fewbits.study import RunResult
from fewbits.train import EpochRecord

WriteStudy = Callable[..., Path]
"""What the fixture `write_study` gives: takes runs, failures by key and the study's name."""

PARTS = ("multipliers", "adder_tree", "registers", "rest", "bin", "sb", "bout")

FIGURES = {
    "float32": (97.0, 20.0, 400.0),
    "fixed16": (97.0, 8.0, 160.0),
    "fixed8": (96.5, 4.0, 80.0),
    "pow2-6/fixed16": (96.0, 5.0, 96.0),
    "binary/fixed16": (94.0, 2.0, 40.0),
}
"""Accuracy in percent, area in mm2, power in mW."""


def make_run(precision: str = "fixed8", seed: int = 0, **changed: object) -> RunResult:
    """A run of a network that takes 1,000 us an image; the accuracy rises by half a point with each seed."""
    accuracy, area, power = FIGURES[precision]
    fields: dict[str, object] = {
        "key": f"{precision}-{seed}",
        "model": "lenet",
        "data": "digits",
        "precision": precision,
        "recipe": "float" if precision == "float32" else "fine-tune",
        "seed": seed,
        "accuracy_percent": accuracy + seed / 2,
        "fake_quantized_accuracy_percent": accuracy + 0.25,
        "float_accuracy_percent": 97.0,
        "validation_accuracy_percent": 96.0,
        "differing_images": 2,
        "test_images": 1000,
        "epochs": 5,
        "memory_kib": 500.0,
        "parameters_kib": 420.0,
        "area_mm2": area,
        "power_mw": power,
        "clock_mhz": 250.0,
        "cycles": 250_000,
        "energy_uj": power,
        "energy_saving_percent": 100 * (1 - power / 400),
        "area_mm2_by_component": dict.fromkeys(PARTS, area / len(PARTS)),
        "energy_uj_by_component": dict.fromkeys(PARTS, power / len(PARTS)),
        "leakage_uj_by_component": dict.fromkeys(PARTS, 0.0),
        "energy_uj_by_layer": {"fc": power},
        "skipped": (),
        "technology": "ihp-sg13g2",
        "wall_time_s": 1.0,
    }
    return RunResult(**(fields | changed))  # pyright: ignore[reportArgumentType]


def make_runs(*seeds: int) -> tuple[RunResult, ...]:
    """One run of each precision for each seed."""
    return tuple(make_run(precision, seed) for precision in FIGURES for seed in seeds)


def make_curve(epochs: int, first: float = 90.0) -> tuple[EpochRecord, ...]:
    """A training curve whose accuracy rises by a tenth of a point an epoch."""
    return tuple(
        EpochRecord(n, 0.1 / n, 1.0 / n, 2.0 / n, min(first + n / 10, 100.0), wall_time_s=0.5)
        for n in range(1, epochs + 1)
    )


def with_curves(runs: Sequence[RunResult], epochs: int = 4) -> tuple[RunResult, ...]:
    """Runs with a curve each; one float network a seed."""
    floats = {run.seed: make_curve(epochs + 1, 80.0 + run.seed) for run in runs}
    return tuple(
        replace(
            run,
            float_history=floats[run.seed],
            history=floats[run.seed] if run.precision == "float32" else make_curve(epochs, 90.0 + run.seed),
        )
        for run in runs
    )
