"""The roofline: ceilings and points are arithmetic on a cost, and no point lies above a stated ceiling."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from round_runs import WriteStudy, make_run

import fewbits as fb
from fewbits import HardwareError
from fewbits.hardware import Accelerator, Cost
from fewbits.report import read_tables, write_report
from fewbits.report.layers import cycle_table, memory_table
from fewbits.report.roofline import Roofline, cost_roofline
from fewbits.report.roofline_chart import costs_roofline_chart
from fewbits.study import RunResult
from fewbits.study.layer_record import layer_records

BANDWIDTH = 3.2


@pytest.fixture(scope="module")
def cost() -> Cost:
    return fb.cost("alex", "fixed8", accelerator=Accelerator(bandwidth=BANDWIDTH))


@pytest.fixture(scope="module")
def roof(cost: Cost) -> Roofline:
    return cost_roofline("fixed8", cost)


def run_of(cost: Cost, **changed: Any) -> RunResult:
    """A run that keeps the layers of a cost."""
    kept = {"layer_records": layer_records(cost), "products_per_cycle": cost.products_per_cycle}
    return make_run("fixed8", bandwidth_gb_s=cost.bandwidth_gb_s, **kept, **changed)


def values(spec: Any) -> list[dict[str, Any]]:
    """All values of a chart's layers, wherever they stand."""
    if isinstance(spec, dict):
        own = spec.get("values")
        found = own if isinstance(own, list) else []
        return [one for one in found if isinstance(one, dict)] + [
            one for key, inner in spec.items() if key != "values" for one in values(inner)
        ]
    return [one for inner in spec for one in values(inner)] if isinstance(spec, list) else []


def test_peak_is_two_operations_a_multiplier_and_cycle(roof: Roofline):
    assert roof.peak_gops == 2 * 256 * 250 / 1000


def test_a_point_is_operations_per_byte_and_operations_a_second(cost: Cost, roof: Roofline):
    layer = next(one for one in cost.breakdown.layers if one.name == "conv2")
    point = next(one for one in roof.points if "conv2" in one.layers)
    assert point.operations_per_byte == pytest.approx(2 * layer.products / (layer.traffic_bits / 8))
    assert point.gops == pytest.approx(2 * layer.products / (layer.cycles / 250e6) / 1e9)


@pytest.mark.parametrize("precision", ["fixed4", "fixed8", "fixed16", "float32"])
@pytest.mark.parametrize("network", ["lenet", "alex", "resnet20"])
@pytest.mark.parametrize("bandwidth", [0.1, 1.6, 12.8])
def test_no_layer_lies_above_a_stated_ceiling(network: str, precision: str, bandwidth: float):
    roof = cost_roofline("", fb.cost(network, precision, accelerator=Accelerator(bandwidth=bandwidth)))
    assert not roof.is_assumed
    for point in roof.points:
        assert point.gops <= roof.attainable(point.operations_per_byte) * (1 + 1e-12), point.layers


def test_no_layer_lies_above_the_ceiling_of_a_memory_on_the_chip(roof: Roofline):
    assert roof.narrowest is not None
    for point in roof.narrowest.points:
        assert point.gops <= roof.narrowest.gb_s * point.operations_per_byte * (1 + 1e-12)


def test_the_narrowest_memory_is_the_one_whose_ports_are_busiest(roof: Roofline):
    # Bin is written and read in nearly each cycle of a convolution, SB read in each, Bout now and then.
    assert roof.narrowest is not None
    assert (roof.narrowest.name, roof.narrowest.gb_s) == ("bin", 2 * 128 / 8 * 0.25)


def test_layers_without_products_are_no_points(roof: Roofline):
    assert {name for point in roof.points for name in point.layers} == {"conv1", "conv2", "conv3", "fc1"}


def test_layers_at_one_place_are_one_point():
    roof = cost_roofline("", fb.cost("resnet20", "fixed8"))
    assert any(point.label == "stage1.0.conv1 +5" for point in roof.points)


def test_an_unstated_bandwidth_is_assumed_and_said():
    roof = cost_roofline("fixed8", fb.cost("lenet", "fixed8"))
    assert (roof.bandwidth_gb_s, roof.is_assumed) == (12.8, True)
    assert "DDR3-1600, assumed" in costs_roofline_chart("lenet", [roof], "roofline").caption


def test_the_chart_holds_ceilings_and_points(roof: Roofline):
    drawn = values(costs_roofline_chart("alex", [roof], "roofline").spec)
    ridge = roof.peak_gops / BANDWIDTH
    assert any(one.get("x") == ridge and one.get("y") == roof.peak_gops for one in drawn)
    assert {"conv1", "fc1"} <= {one["label"] for one in drawn if "label" in one}


def test_a_chart_of_several_costs_tells_them_apart_by_colour(roof: Roofline):
    chart = costs_roofline_chart("alex", [roof, replace(roof, label="fixed4")], "roofline")
    assert {one["roof"] for one in values(chart.spec)} == {"fixed8", "fixed4"}
    assert '"field": "roof"' in json.dumps(chart.spec)


def test_a_network_without_products_has_no_roofline(roof: Roofline):
    with pytest.raises(HardwareError, match="no layer of 'pools' multiplies"):
        costs_roofline_chart("pools", [replace(roof, points=())], "roofline")


def test_a_layer_that_moves_and_multiplies_nothing_is_no_point(cost: Cost, roof: Roofline):
    layers = [replace(one, operations=0) for one in layer_records(cost)]
    from fewbits.report.roofline import roofline

    empty = roofline("", layers, clock_mhz=250.0, products_per_cycle=256, bandwidth=None)
    assert (empty.points, empty.narrowest) == ((), None)


def test_tables_of_text_have_a_row_a_layer_and_a_row_a_memory_level(cost: Cost):
    layers = layer_records(cost)
    assert [row[0] for row in cycle_table(layers, cost.clock_mhz).rows] == [one.name for one in layers]
    assert [row[1] for row in memory_table(layers).rows[:4]] == ["bin", "sb", "bout", "off-chip"]


def test_a_report_has_roofline_layers_and_memories(write_study: WriteStudy, cost: Cost):
    folder = write_study((run_of(cost),))
    names = {path.name for path in write_report(folder)}
    assert {"roofline.svg", "roofline.png", "layers.csv", "memories.csv"} <= names
    page = (folder / "report.html").read_text()
    assert "Cycles and memories by layer" in page
    assert "Roofline: lenet on digits" in page


def test_tidy_tables_hold_what_the_cost_says(write_study: WriteStudy, cost: Cost):
    tables = read_tables(write_study((run_of(cost),)))
    layers, memories = tables["layers"].records(), tables["memories"].records()
    assert sum(row["cycles"] for row in layers) == cost.cycles
    assert sum(row["operations"] for row in layers) == cost.operations
    moved = sum(row["moved_kib"] for row in memories if row["memory"] == "off-chip")
    assert moved == pytest.approx(cost.traffic_kib)
    energies = [row["energy_uj"] for row in memories if row["memory"] == "sb"]
    assert sum(energies) == pytest.approx(cost.breakdown.energy_uj["sb"])


def test_a_run_of_a_version_without_layers_has_no_roofline(write_study: WriteStudy):
    folder = write_study((make_run("fixed8"),))
    assert "roofline.svg" not in {path.name for path in write_report(folder)}
    assert "Cycles and memories by layer" not in (folder / "report.html").read_text()
    assert read_tables(folder)["layers"].rows == ()


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_command_writes_the_chart(tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]):
    from fewbits.cli import main

    file = tmp_path / "new" / f"roof.{ending}"
    assert main(["cost", "lenet", "fixed8", "--json", "--roofline", str(file)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["layers"][0]["limit"] == "idle multipliers"
    assert str(file) in printed.err
    assert file.read_bytes().startswith(b"<svg" if ending == "svg" else b"\x89PNG")
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("name", ["roof.pdf", "roof", "roof.svg.txt", "."])
def test_the_command_refuses_other_files_in_one_line(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]):
    from fewbits.cli import main

    assert main(["cost", "lenet", "fixed8", "--roofline", str(tmp_path / name)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert ".svg" in told.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_a_link_and_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from fewbits.cli import main

    (tmp_path / "link.svg").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder.svg").mkdir()
    for name in ("link.svg", "folder.svg"):
        assert main(["cost", "lenet", "fixed8", "--roofline", str(tmp_path / name)]) == 2
        assert "is a folder or a link" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


def test_layers_are_printed_with_limits_and_memories(capsys: pytest.CaptureFixture[str]):
    from fewbits.cli import main

    assert main(["cost", "lenet", "fixed8", "--layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (conv1,) = (line.split() for line in lines if line.split()[:2] == ["conv1", "2,346"])
    assert conv1[2:4] == ["2,304", "0"]
    assert " ".join(conv1[-2:]) == "idle multipliers"
    assert ["conv1", "bin", "128", "2,304", "2,304", "72", "0.4315"] in [line.split() for line in lines]


def test_costs_on_several_accelerators_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from fewbits.cli import main

    machines = ["--accelerator", "diannao-16x16", "--accelerator", "systolic-os"]
    file = tmp_path / "roof.svg"
    assert main(["cost", "lenet", "fixed8", *machines, "--layers", "--roofline", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "fixed8 on systolic-os by layer, of one image" in printed
    assert "fixed8 on systolic-os conv1 loops: in space: " in printed
    assert all(f"fixed8 on {name}" in file.read_text() for name in ("diannao-16x16", "systolic-os"))


def test_costs_at_several_clocks_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from fewbits.cli import main

    file = tmp_path / "roof.svg"
    assert main(["cost", "mlp", "fixed8", "--clock", "100", "--clock", "200", "--layers", "--roofline", str(file)]) == 0
    assert "fixed8 at 100 MHz by layer, of one image" in capsys.readouterr().out
    assert all(f"fixed8 at {mhz} MHz" in file.read_text() for mhz in (100, 200))
