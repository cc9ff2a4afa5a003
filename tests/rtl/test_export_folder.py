"""An export's folder: whole or not at all, and over nothing that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewbits.errors import HardwareError
from fewbits.hardware.rtl import export_accelerator, export_verilog
from fewbits.hardware.rtl.export_folder import MANIFEST, ExportFolder


def contents(folder: Path) -> dict[str, str]:
    """Texts of all that is in it."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_an_earlier_export_is_replaced_with_what_it_no_longer_holds(tmp_path: Path):
    ExportFolder(tmp_path / "rtl").write({"a.v": "a", "old.v": "old"})
    (tmp_path / "rtl" / "notes.txt").write_text("mine")
    paths = ExportFolder(tmp_path / "rtl").write({"a.v": "b", "new.v": "c"})
    assert {path.name for path in paths} == {"a.v", "new.v", MANIFEST}
    assert contents(tmp_path / "rtl").keys() == {"a.v", "new.v", "notes.txt", MANIFEST}
    assert (tmp_path / "rtl" / "a.v").read_text() == "b"


@pytest.mark.parametrize("changed", ["buffers.v", "neuron.v"])
def test_a_file_that_the_user_changed_is_kept(tmp_path: Path, changed: str):
    ExportFolder(tmp_path).write({"buffers.v": "an array", "neuron.v": "ours"})
    (tmp_path / changed).write_text("my macro")
    before = contents(tmp_path)
    with pytest.raises(HardwareError, match=f"holds a {changed} .* changed since: choose another folder"):
        ExportFolder(tmp_path).write({"buffers.v": "an array", "neuron.v": "other"})
    assert contents(tmp_path) == before


def test_a_file_that_the_user_changed_is_not_removed_either(tmp_path: Path):
    ExportFolder(tmp_path).write({"old.v": "old"})
    (tmp_path / "old.v").write_text("mine")
    ExportFolder(tmp_path).write({"new.v": "new"})
    assert (tmp_path / "old.v").read_text() == "mine"


@pytest.mark.parametrize("text", ["{}", "mine", "[1]", '{"sha256": {"../a.v": 3}}'])
def test_a_manifest_that_no_export_wrote_is_kept(tmp_path: Path, text: str):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(HardwareError, match=MANIFEST):
        ExportFolder(tmp_path).write({"a.v": "a"})
    assert contents(tmp_path) == {MANIFEST: text}


def test_nothing_is_written_through_a_link(tmp_path: Path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "a.v").symlink_to(tmp_path / "mine")
    with pytest.raises(HardwareError, match=r"holds a a\.v"):
        ExportFolder(tmp_path / "rtl").write({"a.v": "ours"})
    assert (tmp_path / "mine").read_text() == "mine"


def test_an_interrupted_export_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export_accelerator, "accelerator_files", stop)
    with pytest.raises(KeyboardInterrupt):
        export_verilog("fixed4", tmp_path / "new" / "rtl")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_leaves_the_earlier_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ExportFolder(tmp_path).write({"a.v": "a", "b.v": "b"})
    before = contents(tmp_path)
    write = Path.write_text

    def fill(path: Path, text: str, encoding: str | None = None) -> int:
        if path.name == "b.v":
            raise OSError(28, "No space left on device")
        return write(path, text, encoding=encoding)

    monkeypatch.setattr(Path, "write_text", fill)
    with pytest.raises(HardwareError, match="No space left on device"):
        ExportFolder(tmp_path).write({"a.v": "c", "b.v": "d"})
    assert contents(tmp_path) == before
