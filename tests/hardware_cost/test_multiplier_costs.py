"""What neurons with other multipliers cost, and what was measured of multipliers alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fewbits as fb
from fewbits.errors import HardwareError

MEASURED = Path(__file__).parents[2] / "docs/figures/approximate_multipliers.json"

PDK45_UM2 = {
    "1KV8": 729.8, "1KVA": 711.0, "1KVB": 685.2, "1KR6": 635.0, "1L2H": 558.9, "1L2D": 411.6, "1L1G": 284.9,
    "1KR3": 172.2,
}  # fmt: skip
"""Areas in the headers of EvoApproxLib's files, which are another tool's on another library."""


def areas() -> dict[str, float]:
    found = json.loads(MEASURED.read_text())["multipliers"]
    return {one["name"].partition("-")[0].removeprefix("mul8s_"): one["area_um2"] for one in found}


def test_a_truncated_multiplier_costs_less_than_booth():
    truncated, booth = (fb.cost("lenet", "fixed8", multiplier=name) for name in ("truncated-6", "booth"))
    assert truncated.energy_uj < booth.energy_uj
    assert truncated.area_mm2 < booth.area_mm2
    assert truncated.multiplier.startswith("truncated-6: partial products of the lowest 6 columns")


def test_a_slow_multiplier_lowers_the_clock():
    assert fb.cost("lenet", "fixed8", multiplier="mitchell").clock_mhz < 250


def test_a_multiplier_that_the_table_lacks_is_refused_with_the_command_that_adds_it():
    with pytest.raises(HardwareError, match="add it with 'fewbits characterize --precision fixed8 --multiplier trunc"):
        fb.cost("lenet", "fixed8", multiplier="truncated-5")


def test_published_circuits_keep_their_order_and_ratios_on_another_process():
    found = areas()
    assert sorted(PDK45_UM2, key=lambda part: found[part]) == sorted(PDK45_UM2, key=lambda part: PDK45_UM2[part])
    for part, area in PDK45_UM2.items():
        assert found[part] / found["1KV8"] == pytest.approx(area / PDK45_UM2["1KV8"], abs=0.06)
