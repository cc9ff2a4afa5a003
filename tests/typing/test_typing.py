"""The types of the public surface, as a strict type checker gives them to a user."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fewbits

SCRIPT = Path(__file__).with_name("user.py")


@pytest.mark.skipif(importlib.util.find_spec("basedpyright") is None, reason="basedpyright is not installed")
def test_a_users_script_is_typed_throughout(tmp_path: Path) -> None:
    settings = {
        "include": [str(SCRIPT)],
        "extraPaths": [str(Path(fewbits.__file__).parents[1])],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--project", str(tmp_path), "--pythonpath", sys.executable]
    checked = subprocess.run([*command, "--outputjson"], capture_output=True, text=True, timeout=300)
    found = json.loads(checked.stdout)
    messages = [f"{one['range']['start']['line'] + 1}: {one['message']}" for one in found["generalDiagnostics"]]
    assert (found["summary"]["filesAnalyzed"], messages) == (1, [])
