"""A study's folder that holds given runs, without training anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from round_runs import WriteStudy

from fewbits.study import RunResult
from fewbits.study.store import Store


@pytest.fixture
def write_study(tmp_path: Path) -> WriteStudy:
    """Writes runs, and failures by key, into a study's folder."""

    def write(
        runs: tuple[RunResult, ...],
        failures: dict[str, str] | None = None,
        name: str = "small",
        folder: str = "study",
        **changed: object,
    ) -> Path:
        return _write(tmp_path / folder, runs, failures or {}, name, changed)

    return write


def _write(
    folder: Path, runs: tuple[RunResult, ...], failures: dict[str, str], name: str, changed: dict[str, object]
) -> Path:
    """changed: entries of what the study rests on."""
    folder.mkdir(exist_ok=True)
    rests_on = {
        "data": {"digits": {"sha256": "da7a", "images": {"test": 1000}, "notes": ["re-split"]}},
        "technology": {
            "name": "ihp-sg13g2",
            "process": "typ",
            "sha256": "7ab1e",
            "provenance": {"activity": "0.2 toggles", "rtlil_sha256 fixed8": "c1rc"},
        },
        "versions": {"fewbits": "0.1.0"},
        **changed,
    }
    points = {run.key: (run.model, run.data, run.precision, run.recipe, run.seed) for run in runs}
    points |= {key: ("lenet", "digits", "fixed4", "fine-tune", 0) for key in failures}
    names = ("model", "data", "precision", "recipe", "seed")
    plan = [(key, dict(zip(names, point, strict=True))) for key, point in points.items()]
    with Store(folder) as store:
        store.plan(name, {"name": name, "seeds": [0]}, rests_on, plan)
        for run in runs:
            store.set_finished(run)
        for key, error in failures.items():
            store.set_failed(key, error)
    return folder
