"""Synthesis: equal modules are mapped once, unsuitable cells are left out, and what fails says why in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_library import tiny_liberty  # pyright: ignore

from fewbits.errors import HardwareError
from fewbits.hardware.mapping.synthesis import merge_equal_modules, run_yosys, synthesize, top_module, unused_cells
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library

_LEAF = """attribute \\src "{place}"
module \\{name}
  wire width 2 input 0 \\a
  wire output 1 \\y
  cell $and $1
    parameter \\A_SIGNED 0
    parameter \\A_WIDTH 1
    parameter \\B_SIGNED 0
    parameter \\B_WIDTH 1
    parameter \\Y_WIDTH 1
    connect \\A \\a [0]
    connect \\B \\a [1]
    connect \\Y \\y
  end
end
"""

_TOP = """attribute \\top 1
attribute \\src "top.py:1"
module \\gates
  wire width 2 input 0 \\a
  wire width 2 output 1 \\y
  cell \\one \\multiplier0
    connect \\a \\a
    connect \\y \\y [0]
  end
  cell \\two \\multiplier1
    connect \\a \\a
    connect \\y \\y [1]
  end
end
"""

DESIGN = _LEAF.format(name="one", place="a.py:1") + _LEAF.format(name="two", place="b.py:2") + _TOP


@pytest.fixture(scope="module")
def library(pdk: Path) -> Library:
    return read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")


def test_modules_that_differ_in_place_alone_become_one() -> None:
    merged = merge_equal_modules(DESIGN)
    assert "module \\two" not in merged
    assert merged.count("cell \\one ") == 2


def test_modules_that_differ_stay() -> None:
    other = DESIGN.replace("$and", "$or", 1)
    assert merge_equal_modules(other) == other


def test_the_top_module_is_the_marked_one() -> None:
    assert top_module(DESIGN) == "gates"
    with pytest.raises(HardwareError, match="marks no module"):
        top_module(_LEAF.format(name="one", place="a.py:1"))


def test_a_cell_keeps_the_name_of_its_instance(library: Library) -> None:
    lines: list[str] = []
    made = synthesize(DESIGN, library, delay_target_ns=3.0, top="gates", progress=lines.append)
    assert sorted(made.netlist.instances) == ["multiplier0", "multiplier1"]
    assert made.netlist.cell_counts == {"sg13g2_and2_1": 2}
    assert made.yosys_version[0].isdigit()
    assert any("ABC" in line for line in lines)


def test_latches_fillers_and_delay_cells_are_not_used(library: Library) -> None:
    unused = set(unused_cells(library))
    assert {"sg13g2_dlhq_1", "sg13g2_fill_1", "sg13g2_sighold", "sg13g2_dlygate4sd3_1"} <= unused
    assert not {"sg13g2_buf_1", "sg13g2_buf_16", "sg13g2_inv_1", "sg13g2_dfrbpq_1"} & unused


def test_a_library_without_buffer_is_refused(tiny: Library) -> None:
    with pytest.raises(HardwareError, match="no buffer"):
        synthesize(DESIGN, tiny, delay_target_ns=3.0, top="gates")


def test_a_library_without_flip_flop_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gates.lib"
    path.write_text(tiny_liberty().replace('next_state : "D"', 'next_state : "D & E"'))
    with pytest.raises(HardwareError, match="no plain flip-flop"):
        synthesize(DESIGN, read_library(path), delay_target_ns=3.0, top="gates")


def test_the_last_error_of_yosys_is_told(tmp_path: Path) -> None:
    (tmp_path / "wrong.ys").write_text("read_rtlil nowhere.il\n")
    with pytest.raises(HardwareError, match=r"status 1: ERROR: .*nowhere\.il") as caught:
        run_yosys(tmp_path, "wrong.ys")
    assert "\n" not in str(caught.value)


def test_rtlil_without_module_name_is_refused() -> None:
    with pytest.raises(HardwareError, match="not RTLIL"):
        merge_equal_modules("nonsense\nend\n")
