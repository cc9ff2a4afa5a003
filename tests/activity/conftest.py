"""A small neuron, mapped to the real library where it is at hand, and its Icarus simulation."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS
from fewbits.hardware.characterization.neuron_options import build_neuron
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.synthesis import synthesize, top_module
from fewbits.hardware.mapping.timing import Conditions, Timing, analyze
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library


@pytest.fixture(scope="session")
def library(pdk: Path) -> Library:
    return read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")


@pytest.fixture(scope="session")
def netlist(library: Library) -> Netlist:
    rtlil = build_neuron("fixed4").rtlil
    return synthesize(rtlil, library, delay_target_ns=3.0, top=top_module(rtlil), mapping="fast").netlist


@pytest.fixture(scope="session")
def timing(netlist: Netlist, library: Library) -> Timing:
    return analyze(netlist, Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load))
