"""docs/silicon.md: what its command writes, and how close to the published savings the designs come."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewbits.hardware import Accelerator, load_technology, workload_of
from fewbits.report.published import MARK
from fewbits.report.silicon import COMMAND, NETWORK, saving_differences, silicon_page, swapped_pairs, variants
from fewbits.report.silicon_variants import Variant, one_port_buffers, variant

PAGE = Path(__file__).parents[2] / "docs" / "silicon.md"


@pytest.fixture(scope="module")
def made() -> dict[str, Variant]:
    table, workload = load_technology(), workload_of(NETWORK)
    shipped = variant("as shipped", workload, tuple(_precisions()), table, Accelerator())
    return {one.name: one for one in variants(table, workload, shipped)}


def _precisions() -> list[str]:
    from fewbits.formats import STUDY_PRECISIONS

    return list(STUDY_PRECISIONS)


def test_the_page_is_what_the_command_writes() -> None:
    if not PAGE.exists():
        pytest.skip("needs the documentation beside the tests")
    assert PAGE.read_text(encoding="utf-8") == silicon_page(), f"docs/silicon.md is out of date: give {COMMAND}"


def test_every_table_with_published_figures_marks_them() -> None:
    sections = [part for part in silicon_page().split("## ") if "published" in part.split("\n\n")[1]]
    assert sections
    assert MARK in silicon_page().split("## ")[0]


def test_every_column_of_another_node_is_called_scaled() -> None:
    heads = [
        line for line in silicon_page().splitlines() if line.startswith("| ") and ("65 nm" in line or "node" in line)
    ]
    assert len(heads) == 2
    for cell in " | ".join(heads).split(" | "):
        assert not cell.endswith(("mm²]", "mW]")) or "scaled" in cell or "65" not in cell


def test_area_saved_is_near_the_published_but_for_fixed32(made: dict[str, Variant]) -> None:
    beyond = {name for name, points in saving_differences(made["as shipped"], "area").items() if abs(points) > 5}
    assert beyond <= {"fixed32"}


def test_cut_products_and_flip_flop_buffers_give_the_published_area_savings(made: dict[str, Variant]) -> None:
    both = made["both: products cut, buffers of flip-flops"]
    assert max(map(abs, saving_differences(both, "area").values())) < 1.5
    assert swapped_pairs(both, "area") == []


def test_one_port_macros_make_buffers_smaller_and_nothing_else_changes(made: dict[str, Variant]) -> None:
    shipped, smaller = made["as shipped"], made["buffers of one-port macros"]
    for name, area in smaller.area_mm2.items():
        logic = shipped.area_mm2[name] - shipped.buffer_area_mm2[name]
        assert area - smaller.buffer_area_mm2[name] == pytest.approx(logic)
        assert smaller.buffer_area_mm2[name] < shipped.buffer_area_mm2[name]


def test_variants_leave_the_shipped_table_alone() -> None:
    table = load_technology()
    one_port_buffers(table)
    assert table == load_technology()
