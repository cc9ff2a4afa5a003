"""Technology tables: what is saved is loaded, and a damaged table is refused in one line."""

from __future__ import annotations

import contextlib
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fewbits.errors import HardwareError
from fewbits.hardware import cost, workload_of
from fewbits.hardware.process.technology import load_technology, shipped_technologies


@pytest.fixture
def table() -> dict[str, Any]:
    from fewbits.hardware.process.technology import TABLES

    return json.loads((TABLES / "ihp-sg13g2.json").read_text())


def _written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "table.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_shipped_table_is_found_by_name() -> None:
    assert shipped_technologies() == ["ihp-sg13g2"]
    assert load_technology("ihp-sg13g2") == load_technology()


def test_loading_imports_no_parser_and_no_torch() -> None:
    code = (
        "import sys, fewbits.hardware.process.technology as t; t.load_technology(); "
        "print({'fewbits.hardware.process.library.liberty_syntax', 'torch'} & set(sys.modules))"
    )
    # The package's own __init__ is left out: it is another part's.
    code = (
        "import sys, types; package = types.ModuleType('fewbits.hardware'); "
        "import fewbits, pathlib; package.__path__ = [str(pathlib.Path(fewbits.__file__).parent / 'hardware')]; "
        "sys.modules['fewbits.hardware'] = package; " + code
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_provenance_names_tools_files_and_assumptions() -> None:
    provenance = load_technology().provenance
    assert {"yosys", "amaranth", "fewbits", "liberty_sha256", "sram_sha256", "wires", "activity"} <= set(provenance)
    assert all(f"rtlil_sha256 {name}" in provenance for name in load_technology().datapaths)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "3", '{"name": "x"}', "[" * 100_000])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(HardwareError, match="not a complete technology table") as caught:
        load_technology(_written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_binary_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HardwareError, match="not text"):
        load_technology(path)


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(HardwareError, match="ihp-sg13g2"):
        load_technology("tsmc-3nm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("macros"), "macros"),
        (lambda t: t.update(extra=1), "unknown field 'extra'"),
        (lambda t: t.update(macros={}), "macros must be a list"),
        (lambda t: t.update(datapaths=[]), "objects"),
        (lambda t: t.update(voltage_v="1.2"), "voltage_v must be a float"),
        (lambda t: t["datapaths"]["fixed8"].pop("clock_mhz"), "clock_mhz"),
        (lambda t: t["datapaths"]["fixed8"].update(clock_mhz=-1), "must be a number from 1e-09 to 1e.15"),
        (lambda t: t["datapaths"]["fixed8"].update(clock_mhz=float("nan")), "must be a number from 1e-09 to 1e.15"),
        (lambda t: t["datapaths"]["fixed8"].update(meets_target=1), "meets_target must be a bool"),
        (lambda t: t["datapaths"]["fixed8"].update(pipeline_stages=True), "pipeline_stages must be a int"),
        (lambda t: t["datapaths"]["fixed8"].update(precision="fixed9"), "fixed9"),
        (lambda t: t["datapaths"]["fixed8"]["components"].pop("rest"), "components"),
        (lambda t: t["macros"][0].update(rows="many"), "rows must be a int"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, table: dict[str, Any], change: Any, message: str) -> None:
    change(table)
    with pytest.raises(HardwareError, match=message) as caught:
        load_technology(_written(tmp_path, table))
    assert "\n" not in str(caught.value)


def test_saving_into_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="cannot write"):
        load_technology().save(tmp_path / "nowhere" / "table.json")


def test_a_saved_table_leaves_nothing_but_its_corners_beside_it(tmp_path: Path) -> None:
    load_technology().save(tmp_path / "table.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.corners.json", "table.json"]


NONSENSE = (0, -1, True, None, "", "x", [], {}, 1e308, 10**30, float("nan"), float("inf"), 5e-324)


def places(value: object, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something stands in JSON, the first two entries of a list for all."""
    yield place
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from places(entry, (*place, name))
    if isinstance(value, list):
        for number, entry in enumerate(value[:2]):
            yield from places(entry, (*place, number))


def test_nonsense_anywhere_in_a_table_is_refused_or_gives_finite_figures(table: dict[str, Any], tmp_path: Path):
    table["datapaths"] = {"fixed8": table["datapaths"]["fixed8"]}
    mlp = workload_of("mlp")
    for place in places(table):
        is_text = place[:1] == ("provenance",) and len(place) > 1
        if not place or is_text or "cell_counts" in place[:-1]:
            continue
        for value in NONSENSE:
            damaged = copy.deepcopy(table)
            entry: Any = damaged
            for name in place[:-1]:
                entry = entry[name]
            entry[place[-1]] = value
            (tmp_path / "table.json").write_text(json.dumps(damaged))
            with contextlib.suppress(HardwareError):
                found = cost(mlp, "fixed8", technology=tmp_path / "table.json")
                assert all(0 < figure < 1e30 for figure in (found.area_mm2, found.energy_uj, found.power_mw)), place
