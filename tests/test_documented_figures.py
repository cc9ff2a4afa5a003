"""Figures and pictures in README.md and docs/ are what the code gives today, from stored trainings and the table."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from fewbits.report.accuracy_chart import accuracy_energy_chart
from fewbits.report.chart_files import digest_in

ROOT = Path(__file__).resolve().parents[1]
MADE_AT = re.compile(r"<!-- made by scripts/docs_figures\.py: (\S+) -->\n(.*?)<!-- end -->", re.DOTALL)


@pytest.fixture(scope="module")
def scripts() -> Iterator[None]:
    """The scripts can be imported."""
    sys.path.insert(0, str(ROOT / "scripts"))
    yield
    sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture(scope="module")
def figures(scripts: None) -> ModuleType:
    import docs_figures  # pyright: ignore

    return docs_figures


@pytest.fixture(scope="module")
def tables(scripts: None) -> ModuleType:
    import reproduction_tables  # pyright: ignore

    return reproduction_tables


def blocks() -> list[tuple[str, str, str]]:
    """Page, name and text of each block that is made."""
    pages = (ROOT / "README.md", ROOT / "docs" / "results.md", ROOT / "docs" / "search.md")
    return [(page.name, *found) for page in pages for found in MADE_AT.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "name", "text"), blocks(), ids=lambda value: value if len(value) < 30 else "")
def test_each_block_is_what_its_script_makes(figures: ModuleType, page: str, name: str, text: str):
    assert text == figures.BLOCKS[name](), f"{page}, {name}: run python scripts/docs_figures.py"


def test_each_block_of_the_script_stands_on_a_page(figures: ModuleType):
    assert {name for _, name, _ in blocks()} == set(figures.BLOCKS)


def test_the_stored_energies_are_of_the_table_of_the_day(figures: ModuleType, tables: ModuleType):
    stale = [entry["precision"] for entry in figures.stored() if not tables.is_measured(entry)]
    assert not stale, f"{stale}: run docs/three-seeds.toml and scripts/store_reproduction.py anew"


def test_the_readmes_chart_shows_the_readmes_table(figures: ModuleType):
    assert digest_in(figures.CHART.read_bytes()) == figures.default_chart().sha256


def test_the_chart_of_the_families_shows_their_stored_evaluations(figures: ModuleType):
    assert digest_in(figures.FAMILIES_CHART.read_bytes()) == figures.search_families.chart().sha256


def test_the_charts_of_the_reproduction_show_its_stored_results(tables: ModuleType):
    found: dict[str, str | None] = {}

    def compare(data: str, group: object) -> str:
        chart = accuracy_energy_chart(group, f"reproduction-{data}")  # pyright: ignore
        found[data] = digest_in((ROOT / "docs" / "figures" / f"{chart.stem}.png").read_bytes())
        assert found[data] == chart.sha256, "run python scripts/reproduction_tables.py"
        return ""

    tables.document(compare)
    assert set(found) == {"mnist", "cifar10", "svhn"}


def test_every_picture_of_the_documents_is_checked_here():
    shown = {Path(name).name for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")) for name in pictures(page)}
    of_accelerators = {"roofline-fpga15.svg", "roofline-machines.svg"}  # hardware_cost/test_accelerators_page.py
    of_reproduction = {f"reproduction-{data}.png" for data in ("mnist", "cifar10", "svhn")}
    of_multipliers = {"approximate_multipliers.svg"}  # hardware_cost/test_multiplier_costs.py
    assert shown == {"accuracy-energy.png", "search-families.png", *of_reproduction, *of_accelerators, *of_multipliers}


def pictures(page: Path) -> list[str]:
    """Image files that a Markdown page shows."""
    return re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))


def test_the_page_of_operating_points_shows_what_its_commands_print(scripts: None) -> None:
    import operating_points_page  # pyright: ignore

    text = operating_points_page.PAGE.read_text(encoding="utf-8")
    assert operating_points_page.filled(text) == text


def test_the_page_of_machines_shows_their_costs(scripts: None) -> None:
    import machines_page  # pyright: ignore

    text = machines_page.PAGE.read_text(encoding="utf-8")
    assert machines_page.filled(text) == text
