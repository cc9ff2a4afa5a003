"""docs/accelerators.md is what one command computes, and its machines are as large as it says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fewbits.hardware import dataflow_of

SCRIPT = Path(__file__).parents[2] / "scripts" / "accelerators_page.py"


@pytest.fixture(scope="module")
def script() -> Any:
    specification = importlib.util.spec_from_file_location("accelerators_page", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def test_every_machine_has_as_many_multipliers_as_the_page_says(script: Any):
    found = {name: machine.accelerator for name, machine in script.MACHINES.items()}
    sizes = {name: dataflow_of(one).products_per_cycle(one) for name, one in found.items()}
    assert sizes == dict.fromkeys(script.MACHINES, script.MULTIPLIERS_EACH)


def test_every_machine_has_the_pages_clock_and_bandwidth(script: Any):
    for machine in script.MACHINES.values():
        one = machine.accelerator
        assert (one.clock_mhz, one.bandwidth) == (script.CLOCK_MHZ, script.ASSUMED_BANDWIDTH)


@pytest.mark.slow
def test_the_page_is_what_the_command_computes():
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, timeout=900)
    assert done.stdout == "up to date\n", done.stdout + done.stderr[-2000:]
