"""Neurons of other synapses, and processing elements: what a table lacks is found from what it has, and said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits import HardwareError, parse_precision
from fewbits.cli import main
from fewbits.hardware import Accelerator, cost, load_technology
from fewbits.hardware.dataflow.diannao.control_sizes import control_at
from fewbits.hardware.datapath import design
from fewbits.hardware.datapath.control_growth import control_errors
from fewbits.hardware.datapath.estimates import element_errors, find
from fewbits.hardware.datapath.sizes import between_sizes, size_errors, sizes_of
from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.process.technology import ComponentCost, Technology

TABLE = load_technology()
SEVEN = ("float32", "fixed32", "fixed16", "fixed8", "fixed4", "pow2-6/fixed16", "binary/fixed16")
SIX_MORE = ("fixed2", "ternary/fixed8", "binary", "fixed4/fixed8", "pow2-4/fixed8", "fp8-e4m3")
ONE_SIZE = replace(TABLE, datapaths={name: one for name, one in TABLE.datapaths.items() if one.synapses == 16})


def key(name: str, synapses: int = 16, element: str = "neuron") -> DatapathKey:
    return DatapathKey(parse_precision(name), synapses=synapses, element=element)  # type: ignore[arg-type]


def area(table: Technology, wanted: DatapathKey) -> float:
    found = find(table, wanted)
    assert found is not None
    return sum(part.area_um2 for part in found.cost.components.values())


@pytest.mark.parametrize("precision", [*SEVEN, *SIX_MORE])
def test_five_sizes_are_characterized(precision: str):
    assert tuple(sizes_of(TABLE, key(precision))) == (4, 8, 16, 32, 64)
    for synapses in (4, 8, 32, 64):
        found = find(TABLE, key(precision, synapses))
        assert found is not None
        assert not found.is_estimate


@pytest.mark.parametrize("precision", SEVEN)
def test_figures_grow_with_the_synapses(precision: str):
    areas = [area(TABLE, key(precision, synapses)) for synapses in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100)]
    assert areas == sorted(areas)
    assert areas[0] > 0


@given(st.integers(2, 1000), st.integers(1, 1000), st.integers(1, 1000))
@settings(max_examples=30, deadline=None)
def test_what_lies_on_a_line_is_met_exactly(synapses: int, slope: int, start: int):
    def of(number: int):
        one = ComponentCost(slope * number, float(start + slope * number), float(number), float(number))
        return replace(TABLE.datapaths["fixed8"], components=dict.fromkeys(LOGIC, one), synapses=number)

    LOGIC = TABLE.datapaths["fixed8"].components
    found = between_sizes({4: of(4), 16: of(16), 64: of(64)}, key("fixed8", synapses))
    for part in found.components.values():
        assert part.area_um2 == pytest.approx(start + slope * synapses)


def test_neurons_left_out_are_met_within_four_percent_by_their_neighbours():
    errors = [one for one in size_errors(TABLE) if one.way.startswith("between")]
    assert len(errors) == 13 * 3
    for one in errors:
        assert max(map(abs, (one.area_percent, one.leakage_percent, one.energy_percent))) < 4.2


def test_neurons_grown_from_one_size_are_met_within_a_fifth():
    errors = [one for one in size_errors(TABLE) if one.way.startswith("from")]
    assert len(errors) == 13 * 4
    for one in errors:
        assert abs(one.area_percent) < 11
        assert abs(one.energy_percent) < 17


def test_controls_left_out_are_met():
    errors = control_errors(TABLE)
    assert errors
    for one in errors:
        assert abs(one.area_percent) < 7
        assert abs(one.computing_percent) < 23


TILES = json.loads((Path(__file__).parents[2] / "docs" / "control_sizes.json").read_text())["tiles"]


@pytest.mark.parametrize("name", TILES)
def test_controls_of_other_neurons_and_synapses_at_once_are_near_synthesized_ones(name: str):
    precision, size = name.split()
    neurons, synapses = (int(number) for number in size.split("x"))
    found = find(TABLE, key(precision, synapses))
    assert found is not None
    assert found.cost.control is not None
    made = control_at(found.cost.control, design(precision, synapses), Accelerator(neurons, synapses))
    assert made.area_um2 == pytest.approx(TILES[name]["area_um2"], rel=0.05)
    assert made.computing_pj == pytest.approx(TILES[name]["computing_pj"], rel=0.05)


def test_elements_are_near_those_estimated_from_neurons():
    errors = element_errors(TABLE)
    assert len(errors) == 29
    for one in errors:
        assert abs(one.area_percent) < 13
        assert abs(one.energy_percent) < 32


@pytest.mark.parametrize(
    ("wanted", "note"),
    [
        (key("fixed8", 12), "the datapath of fixed8 12 synapses is interpolated between those of 8 and 16 synapses"),
        (key("fixed8", 128), "the datapath of fixed8 128 synapses is extrapolated from those of 32 and 64 synapses"),
        (key("fixed9", 32), "the datapath of fixed9 is interpolated between characterized precisions"),
        (
            key("bfloat16", 32),
            "the datapath of bfloat16 32 synapses is estimated from that of bfloat16, as that of fp8-e4",
        ),
        (key("fixed9", 32), "the datapath of fixed9 32 synapses is estimated from that of fixed9, as that of fixed8"),
        (key("fp8-e4m3", element="processing-element"), "estimated from a neuron of fp8-e4m3"),
        (key("fixed9", element="processing-element"), "interpolated between characterized precisions"),
    ],
)
def test_what_was_not_characterized_is_said(wanted: DatapathKey, note: str):
    found = find(TABLE, wanted)
    assert found is not None
    assert found.is_estimate
    assert note in str(found.notes)


def test_what_was_characterized_needs_no_note():
    for wanted in (key("fixed8"), key("fixed8", 32), key("fixed8", element="processing-element")):
        found = find(TABLE, wanted)
        assert found is not None
        assert found.notes == ()
        assert found.cost is TABLE.find(wanted)


def test_nothing_is_made_up_for_a_precision_that_the_table_knows_nothing_of():
    assert find(TABLE, key("pow2-3/fixed5", 32)) is None
    with pytest.raises(HardwareError, match="characterize --precision pow2-3/fixed5 --synapses 32"):
        cost("lenet", "pow2-3/fixed5", accelerator=Accelerator(synapses=32))


@pytest.mark.parametrize("precision", [*SEVEN, "binary", "fixed9"])
@pytest.mark.parametrize(("neurons", "synapses"), [(4, 12), (24, 48), (64, 64)])
def test_tiles_of_any_size_have_a_cost(precision: str, neurons: int, synapses: int):
    found = cost("lenet", precision, accelerator=Accelerator(neurons, synapses))
    assert 0 < found.utilization <= 1
    assert found.area_mm2 > 0
    assert found.energy_uj > 0


def test_a_table_of_one_size_grows_as_the_shipped_table():
    grown, exact = (area(table, key("fixed8", 64)) for table in (ONE_SIZE, TABLE))
    assert grown == pytest.approx(exact, rel=0.05)
    found = find(ONE_SIZE, key("fixed8", 64))
    assert found is not None
    assert f"in technology {TABLE.name}" in str(found.notes)


def test_sizes_of_sixteen_synapses_are_not_in_a_tables_text(tmp_path: Path):
    ONE_SIZE.save(tmp_path / "one.json")
    assert '"synapses"' not in (tmp_path / "one.json").read_text()
    TABLE.save(tmp_path / "all.json")
    assert load_technology(tmp_path / "all.json") == replace(TABLE, name=TABLE.name)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--synapses", "0"], "synapses must be an integer of at least 1"),
        (["--synapses", "20000"], "give at most 16384 synapses"),
        (["--neurons", "99999999"], "too large"),
        (["--banks", "65"], "at most the 64 rows"),
        (["--rows", "-3"], "buffer_rows must be an integer of at least 1"),
        (["--clock", "0"], "clock_mhz must be a positive number"),
    ],
)
def test_sizes_that_cannot_be_are_refused_in_one_line(
    options: list[str], line: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["cost", "lenet", "fixed8", *options]) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--element", "tree"], "an element is 'neuron' or 'processing-element', not 'tree'"),
        (["--element", "processing-element", "--synapses", "8"], "a processing element has no synapses"),
        (["--element", "processing-element", "--precision", "fp8-e4m3"], "a float adder takes several"),
        (["--synapses", "20000"], "give at most 16384 synapses"),
        (["--synapses", "12", "--precision", "float32"], "have no tree of floats"),
    ],
)
def test_characterize_refuses_before_it_works(
    options: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    missing = tmp_path / "none.lib"
    assert main(["characterize", "--liberty", str(missing), "--out", str(tmp_path / "t.json"), *options]) == 2
    assert line in capsys.readouterr().err
