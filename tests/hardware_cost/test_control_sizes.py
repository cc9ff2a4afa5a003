"""The control of other numbers of neurons: estimated from its netlist's parts, compared with synthesized ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fewbits.formats import parse_precision
from fewbits.hardware import Accelerator, Technology, cost, load_technology
from fewbits.hardware.dataflow.diannao.control_sizes import CHARACTERIZED, control_at
from fewbits.hardware.datapath.interpolation import interpolate
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.process.scaling import scale
from fewbits.hardware.process.technology import ControlCost, NeuronShare

MEASURED = json.loads((Path(__file__).parents[2] / "docs" / "control_sizes.json").read_text())["controls"]
OTHERS = [name for name in MEASURED if not name.endswith(" 16x64")]
SHARE = NeuronShare(331, 190, 10725.0, 0.118, 7.12, 4.82)


def control_of(name: str) -> ControlCost:
    """As measured, the share of a neuron with it."""
    figures = dict(MEASURED[name])
    each = figures.pop("each_neuron", None)
    return ControlCost(**figures, each_neuron=NeuronShare(**each) if each else None)


def estimate_of(name: str) -> ControlCost:
    precision, size = name.split()
    neurons, rows = (int(number) for number in size.split("x"))
    accelerator = Accelerator(neurons=neurons, buffer_rows=rows)
    return control_at(control_of(f"{precision} 16x64"), design(precision), accelerator)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(("figure", "percent"), [("area_um2", 2), ("leakage_uw", 4), ("clock_tree_pj", 2)])
def test_estimated_area_is_near_that_of_a_synthesized_control(name: str, figure: str, percent: float):
    assert getattr(estimate_of(name), figure) == pytest.approx(MEASURED[name][figure], rel=percent / 100)


@pytest.mark.parametrize("name", [name for name in OTHERS if " 256x" not in name])
@pytest.mark.parametrize("figure", ["computing_pj", "pooling_pj"])
def test_estimated_energy_is_near_that_of_a_synthesized_control(name: str, figure: str):
    assert getattr(estimate_of(name), figure) == pytest.approx(MEASURED[name][figure], rel=0.05)


@pytest.mark.parametrize("name", ["binary 256x64", "fixed8 256x64"])
def test_where_lenet_leaves_most_neurons_idle_the_estimate_is_above(name: str):
    for figure in ("computing_pj", "pooling_pj"):
        assert 1 < getattr(estimate_of(name), figure) / MEASURED[name][figure] < 1.33


@pytest.mark.parametrize("name", [name for name in OTHERS if name.endswith("x64")])
def test_flip_flops_are_counted(name: str):
    assert estimate_of(name).registers == pytest.approx(MEASURED[name]["registers"], rel=0.001)


@pytest.mark.parametrize("name", OTHERS)
def test_every_measured_size_meets_the_clock(name: str):
    assert MEASURED[name]["longest_path_ns"] <= 1000 / CHARACTERIZED.clock_mhz


@pytest.mark.parametrize("precision", ["binary", "fixed8", "float32"])
def test_a_neuron_has_registers_for_its_weights_bias_and_result(precision: str):
    made = design(precision)
    expected = CHARACTERIZED.synapses * made.precision.weights.bits + 2 * made.accumulator_bits
    assert MEASURED[f"{precision} 16x64"]["each_neuron"]["registers"] == expected


@pytest.fixture(scope="module")
def table() -> Technology:
    """The shipped table, whose fixed8 control tells a neuron's share."""
    return with_share(load_technology(), SHARE)


def with_share(table: Technology, share: NeuronShare | None) -> Technology:
    datapaths = {
        name: replace(datapath, control=replace(datapath.control, each_neuron=share))
        for name, datapath in table.datapaths.items()
        if datapath.control is not None
    }
    return replace(table, datapaths=datapaths)


@pytest.mark.parametrize("neurons", [4, 256])
def test_a_cost_has_the_control_of_its_neurons_and_calls_it_estimated(table: Technology, neurons: int):
    made = cost("lenet", "fixed8", technology=table, accelerator=Accelerator(neurons=neurons))
    control = control_at(table.datapath("fixed8").control, design("fixed8"), Accelerator(neurons=neurons))
    assert made.breakdown.area_mm2["control"] == pytest.approx(control.area_um2 * 1e-6)
    assert made.notes[0].startswith(f"the control of {neurons} neurons is estimated from that of 16 (within")
    usual = cost("lenet", "fixed8", technology=table)
    assert (made.breakdown.area_mm2["control"] < usual.breakdown.area_mm2["control"]) is (neurons < 16)


def test_at_the_characterized_size_nothing_is_estimated(table: Technology):
    made = cost("lenet", "fixed8", technology=table)
    assert made == cost("lenet", "fixed8", technology=with_share(table, None))
    assert made.notes == ()


def test_a_table_that_does_not_tell_a_neurons_part_says_so(table: Technology):
    made = cost("lenet", "fixed8", technology=with_share(table, None), accelerator=Accelerator(neurons=4))
    assert made.notes[0].startswith("the control is that of 16 neurons, not of 4: this technology table does not tell")


def test_rows_and_latency_that_were_not_characterized_are_told(table: Technology):
    made = cost("lenet", "fixed8", technology=table, accelerator=Accelerator(buffer_rows=32, memory_latency=12))
    assert made.notes == (
        "the control is that of 64 buffer rows, not of 32",
        "the control is that of 8 cycles of memory latency, not of 12",
    )


def test_a_table_without_a_control_says_that_it_is_not_counted(table: Technology):
    bare = replace(table, datapaths={"fixed8": replace(table.datapath("fixed8"), control=None)})
    assert (
        "the control around fixed8 is not in this technology table: not counted"
        in cost("lenet", "fixed8", technology=bare).notes
    )


def test_an_interpolated_control_tells_a_neurons_part(table: Technology):
    control = interpolate(table, parse_precision("fixed9")).control
    assert control is not None
    assert control.each_neuron is not None
    assert control.each_neuron.area_um2 == pytest.approx(SHARE.area_um2)  # equal at both ends


def test_a_scaled_table_scales_a_neurons_part(table: Technology):
    scaled = scale(table, 65.0).datapath("fixed8").control
    whole = table.datapath("fixed8").control
    assert scaled is not None
    assert whole is not None
    assert scaled.each_neuron is not None
    assert scaled.each_neuron.area_um2 / SHARE.area_um2 == pytest.approx(scaled.area_um2 / whole.area_um2)
    assert scaled.each_neuron.pooling_pj / SHARE.pooling_pj == pytest.approx(scaled.pooling_pj / whole.pooling_pj)


def test_a_table_keeps_a_neurons_part_in_a_file(table: Technology, tmp_path: Path):
    table.save(tmp_path / "table.json")
    assert load_technology(tmp_path / "table.json") == table


def test_what_a_networks_figures_leave_out_is_told():
    notes = cost("resnet20", "fixed8").notes
    assert any("and 6 more is not counted" in note for note in notes)
