"""The energy at float32: computed once for all runs and workers, whichever of them comes first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from fewbits.study import StudySpec, point
from fewbits.study.baselines import baseline_of
from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop
from fewbits.study.tasks import Run

SHORT = {"float_training": {"epochs": 1}, "fine_tune": {"epochs": 1}}


@pytest.fixture(scope="module")
def runs(tiny: Callable[..., StudySpec]) -> tuple[Run, Run]:
    """Float32, and one that is compared with it."""
    float32, fixed8 = make_plan(tiny(precisions=["float32", "fixed8"], **SHORT)).runs
    return float32, fixed8


@pytest.fixture
def costed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Precisions of the networks that are costed, in order."""
    told: list[str] = []
    real = point._cost

    def cost(network: object, *given: object, **named: object) -> object:
        told.append(str(network.precision.name))  # pyright: ignore
        return real(network, *given, **named)  # pyright: ignore

    monkeypatch.setattr(point, "_cost", cost)
    return told


def test_a_worker_takes_the_energy_that_another_computed(runs: tuple[Run, Run], tmp_path: Path, costed: list[str]):
    float32, fixed8 = runs
    energy = Workshop(tmp_path).run(float32).energy_uj
    saving = Workshop(tmp_path).run(fixed8)
    assert costed == ["float32", "fixed8"]
    assert saving.energy_saving_percent == pytest.approx(100 * (1 - saving.energy_uj / energy))


def test_the_order_of_runs_changes_no_figure(runs: tuple[Run, Run], tmp_path: Path, costed: list[str]):
    there = [Workshop(tmp_path / "there").run(run).energy_saving_percent for run in runs]
    costed.clear()
    back = [Workshop(tmp_path / "back").run(run).energy_saving_percent for run in reversed(runs)]
    assert costed == ["fixed8", "float32", "float32"]  # the second: for the saving of the first
    assert back[::-1] == there


@pytest.mark.parametrize("content", [b"", b"no tensors", b'{"key": 1}'])
def test_a_damaged_energy_is_computed_anew(runs: tuple[Run, Run], tmp_path: Path, costed: list[str], content: bytes):
    whole = Workshop(tmp_path).run(runs[1])
    (path,) = (tmp_path / "baselines").iterdir()
    path.write_bytes(content)
    costed.clear()
    assert Workshop(tmp_path).run(runs[1]).energy_saving_percent == whole.energy_saving_percent
    assert costed == ["fixed8", "float32"]


@pytest.mark.parametrize("other", ["technology", "network", "activity"])
def test_energies_of_other_technologies_networks_and_activities_are_kept_apart(
    runs: tuple[Run, Run], tmp_path: Path, other: str
):
    run, base = runs[1], runs[1].float_training
    others = {
        "technology": dataclasses.replace(run, technology_sha256="0" * 64),
        "network": dataclasses.replace(run, float_training=dataclasses.replace(base, key="0" * 64)),
        "activity": run,
    }
    baseline_of(run, tmp_path, from_operands=True).keep(1.5)
    assert baseline_of(run, tmp_path, from_operands=True).kept() == 1.5
    assert baseline_of(others[other], tmp_path, from_operands=other != "activity").kept() is None
