"""The import contract: packages and rooms import only from those below them, with imports for types too.

`scripts/import_graph.py` reads the imports, and holds the order of the packages; docs/architecture.md explains it.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

_SPEC = importlib.util.spec_from_file_location("import_graph", CHECKOUT / "scripts" / "import_graph.py")
assert _SPEC is not None
assert _SPEC.loader is not None
import_graph = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(import_graph)

HARDWARE = (
    *("process", "workload", "mapping", "energy", "activity", "rtl", "multipliers", "datapath", "dataflow", "fpga"),
    *("costing", "defects", "characterization"),
)
"""The rooms of `hardware`, from the lowest."""

QUANTIZATION = ("layers", "methods")
"""The lowest rooms of `quantization`; all others lie above them."""

FORBIDDEN = (
    (
        "hardware.costing",
        "hardware.dataflow.diannao",
        "costs go through the contract, `dataflow/base.py`",
    ),
    ("bitexact", "hardware", "a bit-exact network knows no accelerator: what depends on one is given to it"),
    ("hardware", "train", "hardware takes networks, however they were trained"),
    ("formats", "graph", "formats are numbers alone"),
)
"""Importer, imported, why not; what lies below them counts too."""

TORCHLESS = ("fewbits", "fewbits.study.store", "fewbits.report.write", "fewbits.report.terminal", "fewbits.cli")
"""What answers at once, or where no torch is."""


@cache
def package(*, with_types: bool) -> Any:
    """Read once."""
    return import_graph.Package(CHECKOUT / "src" / "fewbits", with_types)


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """By module, what it imports, for types too; dotted below `fewbits`, an `__init__` being its package."""
    return {
        _below(module): {_below(target) for target in targets} - {""}
        for module, targets in package(with_types=True).imports.items()
        if _below(module)
    }


def _below(module: str) -> str:
    return module.removesuffix(".__init__").removeprefix("fewbits").removeprefix(".")


def _lies_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def _upward(imports: dict[str, set[str]], order: Sequence[Sequence[str]], inside: str = "") -> list[str]:
    """Arrows between rooms that lead upward or to a neighbour, by the order of rooms (each a line of neighbours)."""
    places = {room: number for number, line in enumerate(order) for room in line}
    found: list[str] = []
    for module, targets in imports.items():
        for target in sorted(targets):
            start, end = (_room(one, inside) for one in (module, target))
            if start and end and start != end and places.get(end, len(order)) > places.get(start, len(order)):
                found.append(f"fewbits.{module} imports fewbits.{target}: {start} lies below {end}")
    return found


def _room(module: str, inside: str) -> str:
    """The package of a module; the room, inside a package."""
    parts = module.split(".")
    if not inside:
        return parts[0]
    return parts[1] if parts[0] == inside and len(parts) > 1 else ""


def test_packages_import_only_from_those_below_them(imports: dict[str, set[str]]):
    assert _upward(imports, import_graph.ORDER) == []


def test_every_package_has_a_place_in_the_order(imports: dict[str, set[str]]):
    known = {name for line in import_graph.ORDER for name in line}
    assert {module.split(".")[0] for module in imports} - known == set()


def test_rooms_of_hardware_import_only_from_those_below_them(imports: dict[str, set[str]]):
    assert _upward(imports, [(room,) for room in HARDWARE], "hardware") == []


def test_every_room_of_hardware_has_a_place_in_the_order(imports: dict[str, set[str]]):
    rooms = {module.split(".")[1] for module in imports if module.startswith("hardware.")}
    assert rooms - set(HARDWARE) == set()


def test_layers_and_methods_import_nothing_of_quantization_above_them(imports: dict[str, set[str]]):
    assert _upward(imports, [(room,) for room in QUANTIZATION], "quantization") == []


@pytest.mark.parametrize("divided", [None, *import_graph.DIVIDED])
@pytest.mark.parametrize("with_types", [False, True], ids=["imported", "with types"])
def test_there_is_no_circle(divided: str | None, *, with_types: bool):
    assert import_graph.circles(package(with_types=with_types).graph(divided)) == []


@pytest.mark.parametrize(("importer", "imported", "why"), FORBIDDEN, ids=lambda value: str(value)[:24])
def test_what_must_not_know_of_each_other_does_not(
    imports: dict[str, set[str]], importer: str, imported: str, why: str
):
    arrows = [
        f"fewbits.{module} imports fewbits.{target}: {why}"
        for module, targets in imports.items()
        if _lies_in(module, importer)
        for target in sorted(targets)
        if _lies_in(target, imported)
    ]
    assert arrows == []


def test_stores_and_reports_are_read_without_torch():
    program = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n    "
    program += "assert 'torch' not in sys.modules, f'{name} loads torch'"
    done = subprocess.run([sys.executable, "-c", program, *TORCHLESS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", ["import fewbits.hardware", "import fewbits; fewbits.cost('lenet', 'fixed8')"])
def test_a_cost_loads_neither_what_builds_circuits_nor_what_compiles_loops(program: str):
    program += "; import sys; sys.exit(' '.join({'amaranth', 'numba'} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_an_upward_arrow_is_named():
    found = _upward({"formats.fixed": {"graph.tracing"}, "graph.tracing": {"formats.fixed"}}, import_graph.ORDER)
    assert found == ["fewbits.formats.fixed imports fewbits.graph.tracing: formats lies below graph"]
