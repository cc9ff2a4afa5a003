"""The clock of a cost: kept by datapath, control and buffers alike, and said which of them limits it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from lenet_by_hand import LENET

from fewbits.cli import main
from fewbits.hardware import Accelerator, Cost, Technology, cost, load_technology
from fewbits.hardware.dataflow.diannao.scheduling import BUFFERS
from fewbits.hardware.process.scaling import node_scaling, scale
from fewbits.hardware.process.technology import MacroCost, ReadPath

READ_PATH = ReadPath(setup_ns=0.1, selection_ns=0.2)


@pytest.fixture(scope="module")
def shipped() -> Technology:
    return load_technology()


def with_macros(table: Technology, *macros: MacroCost, read_path: ReadPath | None = READ_PATH) -> Technology:
    """The table with other memories; its fixed8 neurons and control keep 250 MHz."""
    return replace(table, macros=macros, read_path=read_path)


def macro(name: str, access_ns: float, rows: int = 64, area_um2: float = 10_000.0) -> MacroCost:
    return MacroCost(name, rows, 64, 2, area_um2, 3.0, 5.0, 2.0, access_ns)


def fixed8(table: Technology, **accelerator: float) -> Cost:
    return cost(LENET, "fixed8", technology=table, accelerator=Accelerator(**accelerator))


def test_a_slow_macro_lowers_the_clock_to_the_read_with_its_setup(shipped: Technology) -> None:
    made = fixed8(with_macros(shipped, macro("slow", 4.4)))
    assert made.clock_mhz == pytest.approx(1000 / 4.5)
    assert made.clock.limited_by == "buffers"
    assert made.clock.paths_ns["buffers"] == pytest.approx(4.5)


def test_the_setup_alone_can_make_a_macro_too_slow(shipped: Technology) -> None:
    assert fixed8(with_macros(shipped, macro("close", 3.9))).clock_mhz == 250
    assert fixed8(with_macros(shipped, macro("close", 3.95))).clock_mhz == pytest.approx(1000 / 4.05)


def test_a_buffer_that_is_too_slow_is_told_in_an_architects_terms(shipped: Technology) -> None:
    (note,) = fixed8(with_macros(shipped, macro("slow", 4.4))).clock.notes
    assert note.startswith(
        "clock 222.2 MHz, not the 250 asked for: the buffers' macros (bin: slow) take 4.5 ns to read"
    )
    assert "longer than the 4 ns period" in note


def test_time_and_leakage_are_those_of_the_lowered_clock(shipped: Technology) -> None:
    fast, slow = (fixed8(with_macros(shipped, macro("ram", access))) for access in (2.0, 4.9))
    assert slow.time_us == pytest.approx(fast.time_us * 5.0 / 4.0)
    assert slow.breakdown.leakage_uj["sb"] == pytest.approx(fast.breakdown.leakage_uj["sb"] * 5.0 / 4.0)
    assert slow.breakdown.dynamic_uj == fast.breakdown.dynamic_uj


def test_a_slower_clock_gives_a_slow_macro_its_time(shipped: Technology) -> None:
    made = fixed8(with_macros(shipped, macro("slow", 4.4)), clock_mhz=200.0)
    assert (made.clock_mhz, made.clock.notes) == (200, ())


def test_banks_of_a_fast_macro_take_the_place_of_one_slow_macro(shipped: Technology) -> None:
    macros = macro("large", 4.4, rows=256, area_um2=20_000.0), macro("small", 3.2, rows=64)
    made, relaxed = (fixed8(with_macros(shipped, *macros), buffer_rows=256, clock_mhz=mhz) for mhz in (250.0, 200.0))
    assert made.clock_mhz == 250
    assert made.clock.paths_ns["buffers"] == pytest.approx(3.2 + 2 * 0.2 + 0.1)  # four banks
    for buffer in BUFFERS:
        assert made.breakdown.area_mm2[buffer] == pytest.approx(2 * relaxed.breakdown.area_mm2[buffer])


def test_banks_whose_selection_takes_too_long_lower_the_clock(shipped: Technology) -> None:
    made = fixed8(with_macros(shipped, macro("small", 3.2)), buffer_rows=64 * 16)
    assert made.clock_mhz == pytest.approx(1000 / (3.2 + 4 * 0.2 + 0.1))
    assert "16 banks to select from" in made.clock.reason


def test_of_macros_that_are_all_too_slow_the_fastest_is_taken(shipped: Technology) -> None:
    made = fixed8(with_macros(shipped, macro("small", 5.0, area_um2=1000.0), macro("fast", 4.4)))
    assert made.clock_mhz == pytest.approx(1000 / 4.5)


def test_an_unknown_access_time_is_told_and_lowers_nothing(shipped: Technology) -> None:
    made = fixed8(with_macros(shipped, macro("untimed", 0.0)))
    assert made.clock_mhz == 250
    assert made.clock.paths_ns["buffers"] is None
    assert made.clock.notes == ("clock not checked: the buffers: the technology table has no access time of untimed",)


def test_a_table_without_a_read_path_is_told(shipped: Technology) -> None:
    made = fixed8(with_macros(shipped, macro("ram", 3.0), read_path=None))
    assert made.clock.notes == (
        "clock not checked: the operand registers' setup behind the buffers, which the technology table lacks",
    )


def test_an_unknown_selection_is_told_where_there_are_banks(shipped: Technology) -> None:
    table = with_macros(shipped, macro("ram", 3.0), read_path=ReadPath(0.1, 0.0))
    assert fixed8(table).clock.notes == ()
    assert "selection among the buffers' banks" in fixed8(table, buffer_rows=128).clock.notes[0]


def test_a_clock_above_the_synthesized_one_names_the_logic(shipped: Technology) -> None:
    made = fixed8(shipped, clock_mhz=300.0)
    assert (made.clock_mhz, made.clock.limited_by) == (250, "control")
    assert made.clock.notes == (
        "clock 250 MHz, not the 300 asked for: the control is synthesized for 250 MHz, no higher clock is known of it",
    )


def test_a_datapath_that_misses_the_clock_is_named(shipped: Technology) -> None:
    datapath = replace(shipped.datapath("fixed8"), longest_path_ns=5.0, clock_mhz=200.0, meets_target=False)
    made = fixed8(replace(shipped, datapaths={"fixed8": datapath}))
    assert (made.clock_mhz, made.clock.limited_by) == (200, "datapath")
    assert "the datapath's longest path takes 5 ns" in made.clock.reason


@pytest.mark.parametrize("rows", [64, 128, 512, 1024, 2048])
def test_the_shipped_macros_keep_250_mhz_with_up_to_2048_rows(shipped: Technology, rows: int) -> None:
    made = fixed8(shipped, buffer_rows=rows)
    assert (made.clock_mhz, made.clock.notes) == (250, ())
    assert (made.clock.paths_ns["buffers"] or 9.9) <= 4.0


def test_macros_of_1024_rows_alone_do_not_keep_250_mhz(shipped: Technology) -> None:
    large = replace(shipped, macros=tuple(one for one in shipped.macros if one.rows == 1024))
    made = fixed8(large, buffer_rows=1024)
    assert made.clock.limited_by == "buffers"
    assert 210 < made.clock_mhz < 222  # 4.4 to 4.5 ns of access, and the register's setup


def test_scaling_to_a_node_scales_the_reads(shipped: Technology) -> None:
    before, after = (fixed8(table).clock.paths_ns["buffers"] for table in (shipped, scale(shipped, 65)))
    assert before is not None
    assert after == pytest.approx(before * node_scaling(shipped, 65).delay.value)


def test_buffers_of_an_older_node_lower_the_clock(shipped: Technology) -> None:
    newer = replace(with_macros(shipped, macro("ram", 3.85)), provenance={"node_nm": "65"}, voltage_v=1.1)
    assert fixed8(scale(newer, 130)).clock.limited_by == "buffers"


def test_a_read_path_survives_saving(shipped: Technology, tmp_path: Path) -> None:
    table = with_macros(shipped, macro("ram", 3.0))
    table.save(tmp_path / "copy.json")
    assert load_technology(tmp_path / "copy.json").read_path == READ_PATH


def test_json_says_what_limits_the_clock(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "lenet", "fixed8", "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert made["clock_limited_by"] == "control"
    assert set(made["longest_paths_ns"]) == {"datapath", "control", "buffers"}
    assert made["clock_notes"] == []


def test_the_terminal_says_what_limits_the_clock(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "lenet", "fixed8"]) == 0
    assert "fixed8 clock: control limits it; of 4 ns: control 3.59, buffers 3.33, datapath 3.21 ns\n" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(("asked", "start"), [(500.0, "clock 250 MHz, not the 500 asked for"), (100.0, "area and")])
def test_another_clock_than_the_characterized_one_is_in_the_notes(
    shipped: Technology, asked: float, start: str
) -> None:
    made = fixed8(shipped, clock_mhz=asked)
    assert made.notes[0].startswith(start)
    assert "area and energy are of circuits synthesized for 250 MHz" in made.notes[-1]


def test_the_notes_of_a_higher_clock_name_the_part_and_its_path(shipped: Technology) -> None:
    path = shipped.datapath("fixed8").control.longest_path_ns
    assert f"the longest path is the control's {path:.3g} ns" in fixed8(shipped, clock_mhz=500.0).notes[-1]


def test_the_command_line_takes_sizes_and_a_clock(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--neurons", "8", "--rows", "32", "--clock", "500"]
    assert main(["cost", "lenet", "fixed8", *sizes, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    expected = cost("lenet", "fixed8", accelerator=Accelerator(neurons=8, buffer_rows=32, clock_mhz=500.0))
    assert (found["area_mm2"], tuple(found["notes"])) == (expected.area_mm2, expected.notes)
    assert main(["cost", "lenet", "fixed8", *sizes]) == 0
    printed = capsys.readouterr().out
    assert all(printed.count(note) == 1 for note in expected.notes)
