"""The hand-written library, read, and a netlist mapped to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_library import json_netlist, tiny_liberty  # pyright: ignore

from fewbits.hardware.mapping.netlist import Netlist, read_netlist
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library


@pytest.fixture
def tiny(tmp_path: Path) -> Library:
    path = tmp_path / "tiny.lib"
    path.write_text(tiny_liberty())
    return read_library(path)


@pytest.fixture
def loop(tiny: Library) -> Netlist:
    """A flip-flop, an inverter and a nand: D = nand(not Q, enable)."""
    text = json_netlist(
        {
            "f": ("dff", {"CK": 2, "D": 5, "Q": 3}),
            "$flatten\\multiplier0.i": ("inv", {"A": 3, "Y": 4}),
            "n": ("nand", {"A": 4, "B": 6, "Y": 5}),
        },
        {"clk": ("input", [2]), "enable": ("input", [6]), "out": ("output", [3])},
    )
    return read_netlist(text, tiny, "top")
