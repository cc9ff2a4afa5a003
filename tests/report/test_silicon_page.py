"""docs/silicon.md: what its command writes, and how close to the published savings the designs come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fewbits.formats import STUDY_PRECISIONS
from fewbits.hardware import Accelerator, load_technology, workload_of
from fewbits.report.published import published_study

ROOT = Path(__file__).parents[2]
STUDY, PAGE = ROOT / "studies" / "date2017", ROOT / "docs" / "silicon.md"

pytestmark = pytest.mark.skipif(not STUDY.exists(), reason="needs the repository's studies beside the tests")


@pytest.fixture(scope="module")
def silicon() -> Iterator[ModuleType]:
    sys.path.insert(0, str(STUDY))
    import silicon  # pyright: ignore

    yield silicon
    sys.path.remove(str(STUDY))


@pytest.fixture(scope="module")
def page(silicon: ModuleType) -> str:
    return silicon.silicon_page()


@pytest.fixture(scope="module")
def made(silicon: ModuleType) -> dict[str, Any]:
    table, workload = load_technology(), workload_of(silicon.NETWORK)
    shipped = silicon.variant("as shipped", workload, tuple(STUDY_PRECISIONS), table, Accelerator())
    return {one.name: one for one in silicon.variants(table, workload, shipped)}


def test_the_page_is_what_the_command_writes(silicon: ModuleType, page: str) -> None:
    assert PAGE.read_text(encoding="utf-8") == page, f"docs/silicon.md is out of date: give {silicon.COMMAND}"


def test_every_table_with_published_figures_marks_them(page: str) -> None:
    sections = [part for part in page.split("## ") if "published" in part.split("\n\n")[1]]
    assert sections
    assert published_study().mark in page.split("## ")[0]


def test_every_column_of_another_node_is_called_scaled(page: str) -> None:
    heads = [line for line in page.splitlines() if line.startswith("| ") and ("65 nm" in line or "node" in line)]
    assert len(heads) == 2
    for cell in " | ".join(heads).split(" | "):
        assert not cell.endswith(("mm²]", "mW]")) or "scaled" in cell or "65" not in cell


def test_area_saved_is_near_the_published_but_for_fixed32(silicon: ModuleType, made: dict[str, Any]) -> None:
    beyond = {
        name for name, points in silicon.saving_differences(made["as shipped"], "area").items() if abs(points) > 5
    }
    assert beyond <= {"fixed32"}


def test_cut_products_and_flip_flop_buffers_give_the_published_area_savings(
    silicon: ModuleType, made: dict[str, Any]
) -> None:
    both = made["both: products cut, buffers of flip-flops"]
    assert max(map(abs, silicon.saving_differences(both, "area").values())) < 1.5
    assert silicon.swapped_pairs(both, "area") == []


def test_one_port_macros_make_buffers_smaller_and_nothing_else_changes(made: dict[str, Any]) -> None:
    shipped, smaller = made["as shipped"], made["buffers of one-port macros"]
    for name, area in smaller.area_mm2.items():
        logic = shipped.area_mm2[name] - shipped.buffer_area_mm2[name]
        assert area - smaller.buffer_area_mm2[name] == pytest.approx(logic)
        assert smaller.buffer_area_mm2[name] < shipped.buffer_area_mm2[name]


def test_variants_leave_the_shipped_table_alone(silicon: ModuleType) -> None:
    table = load_technology()
    silicon.one_port_buffers(table)
    assert table == load_technology()
