"""A result of round figures, and a study that is done in a moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from fewbits.formats import parse_precision
from fewbits.hardware.process.technology import LOGIC_COMPONENTS, ComponentCost, DatapathCost, MacroCost, Technology
from fewbits.study import RunResult, StudySpec
from fewbits.study.spec import parse_study

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


def round_technology(precisions: Iterable[str]) -> Technology:
    """A technology table of round figures; energies go with the weights' bits so that precisions differ."""

    def datapath(precision: str) -> DatapathCost:
        bits = parse_precision(precision).weights.bits
        components = {
            name: ComponentCost(cells=10, area_um2=100.0 * bits, leakage_uw=0.5, energy_pj=0.1 * bits)
            for name in LOGIC_COMPONENTS
        }
        return DatapathCost(
            precision=precision,
            components=components,
            cell_counts={},
            accumulator_bits=32,
            longest_path_ns=3.0,
            clock_mhz=250.0,
            meets_target=True,
            pipeline_stages=4,
            accumulate_cycles=1,
            multiplier="round figures",
            activity=0.1,
        )

    macro = MacroCost("ram", 64, 64, 2, 10_000.0, 3.0, 5.0, 2.0, 2.0)
    return Technology(
        name="round",
        process="none",
        voltage_v=1.2,
        temperature_c=25.0,
        target_clock_mhz=250.0,
        datapaths={precision: datapath(precision) for precision in precisions},
        macros=(macro,),
        provenance={"made by": "a test"},
    )


MODEL = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 4))

make.input_shape = (1, 8, 8)
"""


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model, small data (which quadrant of 8 x 8 noise is bright) and a technology table."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "tiny.py").write_text(MODEL)
    random = np.random.default_rng(0)
    images = random.integers(0, 200, (1200, 8, 8), dtype=np.uint8)
    labels = random.integers(0, 4, 1200)
    for image, label in zip(images, labels, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[row : row + 4, column : column + 4] += 20
    parts = {"x_train": images[:1000], "y_train": labels[:1000], "x_test": images[1000:], "y_test": labels[1000:]}
    np.savez(folder / "quadrants.npz", **parts)
    round_technology(("float32", "fixed8", "binary/fixed16", "binary")).save(folder / "round.json")
    return folder


@pytest.fixture(scope="session")
def tiny(workplace: Path) -> Callable[..., StudySpec]:
    """A function that makes a study of three precisions, done in a moment; arguments replace its keys."""
    definition = {
        "name": "tiny",
        "models": [f"{workplace / 'tiny.py'}:make"],
        "data": [str(workplace / "quadrants.npz")],
        "precisions": ["float32", "fixed8", "binary/fixed16"],
        "technology": str(workplace / "round.json"),
        "float_training": {"epochs": 12},
        "fine_tune": {"epochs": 12},
    }
    return lambda **changes: parse_study(definition | changes, "tiny.toml")


@pytest.fixture(scope="session")
def figures() -> Callable[[Iterable[RunResult]], list[RunResult]]:
    """A function that leaves of results what must be equal however the study went."""
    return lambda results: [dataclasses.replace(one, wall_time_s=0.0, notices=()) for one in results]
