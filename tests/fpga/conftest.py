"""Counts are kept beside the tests, not in the user's cache; some tests put a mapper of their own in yosys' place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fewbits.hardware.dataflow.diannao.circuit import parts
from fewbits.hardware.fpga import counting
from fewbits.hardware.fpga import kept as keeping


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for counts. The user's cache stays where it is: yosys itself is kept there, compiled."""
    monkeypatch.setattr(keeping, "folder", lambda: tmp_path / "counts")
    return tmp_path / "counts"


Mapper = Callable[[str], dict[str, int]]
"""The cells of a circuit by its top module's name."""


@pytest.fixture
def mapper(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapper], list[str]]:
    """Puts a mapper in yosys' place, and gives the list of top modules that it was asked for."""

    def put(mapped: Mapper) -> list[str]:
        asked: list[str] = []

        def run(folder: Path, script: str, progress: object = None) -> str:
            top = next(
                line for line in (folder / script).read_text().splitlines() if line.startswith("synth_")
            ).split()[-1]
            asked.append(top)
            (folder / "cells.json").write_text(json.dumps({"design": {"num_cells_by_type": mapped(top)}}))
            (folder / "circuit.json").write_text("{}")
            return "0"

        def control(design: object, accelerator: object) -> str:
            return f"control of {accelerator}"  # yosys takes it out of the whole circuit

        monkeypatch.setattr(counting, "run_yosys", run)
        monkeypatch.setattr(parts, "_control", control)
        monkeypatch.setattr(parts, "to_rtlil", lambda design: f"neuron of {design}")
        return asked

    return put
