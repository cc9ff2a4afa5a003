"""A result of round figures, for whatever reads or writes one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import pytest

from fewbits.formats import STUDY_PRECISIONS, parse_precision
from fewbits.hardware.technology import LOGIC_COMPONENTS, ComponentCost, DatapathCost, MacroCost, Technology
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
