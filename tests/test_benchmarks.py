"""Every benchmark can be started without an argument, so that `make bench` reaches all of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).resolve().parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_no_argument_is_required(path: Path):
    done = subprocess.run([sys.executable, path, "--help"], capture_output=True, text=True, check=True)
    usage = done.stdout.split("\n\n")[0]
    assert usage.startswith(f"usage: {path.name}")
    assert re.sub(r"\[[^][]*\]", "", re.sub(r"\[[^][]*\]", "", usage)).split() == ["usage:", path.name]
