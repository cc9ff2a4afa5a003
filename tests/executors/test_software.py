"""Workers of another version, or with other packages, may do no jobs."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import fewbits
from fewbits.executors import software as module
from fewbits.executors.software import processors_note, refusal, software, sources_sha256
from fewbits.extensions import Extension

HERE = software()


def test_a_worker_with_the_same_is_not_refused():
    assert refusal("node1", HERE, software()) is None


@pytest.mark.parametrize("name", ["fewbits", "python", "torch", "numpy", "numba"])
def test_another_version_is_refused_naming_worker_package_and_both_versions(name: str):
    line = refusal("node1", HERE, replace(HERE, versions={**HERE.versions, name: "0.0.7"}))
    assert line is not None
    assert "\n" not in line
    assert line.startswith("worker node1 is refused")
    assert f"{name} 0.0.7 there, {HERE.versions[name]} here" in line


def test_a_package_that_a_worker_lacks_is_refused():
    less = {name: number for name, number in HERE.versions.items() if name != "numba"}
    assert "numba not installed there" in str(refusal("node1", HERE, replace(HERE, versions=less)))


def test_a_package_that_only_a_worker_extends_fewbits_with_is_refused():
    more = {**HERE.versions, "posit": "1.0"}
    assert "posit 1.0 there, not installed here" in str(refusal("node1", HERE, replace(HERE, versions=more)))


def test_packages_that_give_extensions_are_compared(monkeypatch: pytest.MonkeyPatch):
    given = Extension("posit8", "formats", "fewbits-posit 1.0", EntryPoint("posit8", "posit:eight", "fewbits.formats"))
    monkeypatch.setattr(module, "found", lambda kind: {"posit8": given} if kind == "formats" else {})
    assert software().versions["fewbits-posit"] == "1.0"


def test_changed_sources_of_one_version_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = sources_sha256()
    package = tmp_path / "fewbits"
    for path in Path(fewbits.__file__).parent.rglob("*.py"):
        copied = package / path.relative_to(Path(fewbits.__file__).parent)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    monkeypatch.setattr(fewbits, "__file__", str(package / "__init__.py"))
    hashed = sources_sha256.__wrapped__
    copy = hashed()
    (package / "cli.py").write_text("changed = True\n")
    assert len({before, copy, hashed()}) == 3


def test_compiled_files_are_no_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__init__.py").write_text("a = 1\n")
    monkeypatch.setattr(fewbits, "__file__", str(tmp_path / "__init__.py"))
    hashed = sources_sha256.__wrapped__
    alone = hashed()
    (tmp_path / "__pycache__" / "cli.cpython-311.pyc").write_bytes(b"compiled")
    assert hashed() == alone


def test_processors_of_one_kind_need_no_note():
    assert processors_note(HERE, [HERE, software()]) is None


def test_processors_of_another_kind_are_named():
    line = processors_note(HERE, [HERE, replace(HERE, processor="Other 7, AVX2")])
    assert line is not None
    assert "Other 7, AVX2" in line
    assert HERE.processor in line


def test_what_a_worker_runs_can_be_sent():
    import pickle

    assert pickle.loads(pickle.dumps(HERE)) == HERE
