"""docs/extending.md is made of the tested examples, and these use only what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
EXAMPLES = sorted((Path(__file__).parent / "package" / "src" / "fewbits_examples").glob("[!_]*.py"))


def test_the_page_is_what_the_examples_are() -> None:
    script = TOP / "scripts" / "extending_page.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=60)
    assert done.stdout == "up to date\n"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_uses_public_names_alone(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        imported = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        assert not [name for name in imported if name.startswith("fewbits.")]
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "fewbits":
            assert (node.module or "").count(".") <= 1, f"{node.module} is no public package"
            public = import_module(node.module or "")
            assert {name.name for name in node.names} <= set(getattr(public, "__all__", dir(public)))
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_") or node.attr.startswith("__")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_has_a_test(file: Path) -> None:
    assert (Path(__file__).parent / f"test_{file.stem}.py").is_file()
