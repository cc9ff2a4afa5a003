"""A result of round figures, for whatever reads or writes one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from fewbits.study import RunResult

MakeResult = Callable[..., RunResult]


@pytest.fixture
def make_result() -> MakeResult:
    """A function that makes a result; arguments replace its fields."""
    made = RunResult(
        key="k0",
        model="lenet",
        data="digits",
        precision="fixed8",
        recipe="fine-tune",
        seed=0,
        accuracy_percent=97.5,
        fake_quantized_accuracy_percent=97.6,
        float_accuracy_percent=98.0,
        validation_accuracy_percent=97.0,
        differing_images=3,
        test_images=1000,
        epochs=5,
        memory_kib=421.0,
        parameters_kib=420.0,
        area_mm2=2.0,
        power_mw=40.0,
        clock_mhz=250.0,
        cycles=10_000,
        energy_uj=1.6,
        energy_saving_percent=80.0,
        area_mm2_by_component={"multipliers": 1.5, "sb": 0.5},
        energy_uj_by_component={"multipliers": 1.2, "sb": 0.4},
        leakage_uj_by_component={"multipliers": 0.1, "sb": 0.1},
        energy_uj_by_layer={"conv1": 1.0, "fc": 0.6},
        skipped=("bn (BatchNorm2d): kept float",),
        technology="ihp-sg13g2",
        wall_time_s=12.5,
        versions={"fewbits": "0.1.0"},
    )
    return lambda **changes: dataclasses.replace(made, **changes)
