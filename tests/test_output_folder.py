"""What is the user's stays so: fewbits writes below names it made, through no link, and says what is in its way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fewbits import HardwareError, StudyError
from fewbits.output_folder import MANIFEST, Made, OutputFolder


@pytest.fixture
def folder(tmp_path: Path) -> OutputFolder:
    return OutputFolder(tmp_path / "out")


def test_files_are_written_whole_and_again(folder: OutputFolder):
    (path,) = folder.write({"a.csv": b"1"})
    folder.write({"a.csv": b"2"})
    assert path.read_bytes() == b"2"
    assert sorted(each.name for each in folder.path.iterdir()) == [MANIFEST, "a.csv"]


def test_a_file_of_the_users_is_refused_and_nothing_is_written(folder: OutputFolder):
    folder.path.mkdir()
    (folder.path / "b.csv").write_text("mine")
    with pytest.raises(StudyError, match=r"b\.csv' is not of fewbits, which would overwrite it: move it away"):
        folder.write({"a.csv": b"1", "b.csv": b"2"})
    assert [each.name for each in folder.path.iterdir()] == ["b.csv"]


def test_a_file_that_the_user_changed_is_refused(folder: OutputFolder):
    folder.write({"a.csv": b"1"})
    (folder.path / "a.csv").write_text("1, and notes of mine")
    with pytest.raises(StudyError, match="changed since fewbits wrote it: rename it"):
        folder.write({"a.csv": b"2"})
    assert (folder.path / "a.csv").read_text() == "1, and notes of mine"


def test_a_file_that_the_user_removed_is_written_anew(folder: OutputFolder):
    folder.write({"a.csv": b"1"})
    (folder.path / "a.csv").unlink()
    folder.write({"a.csv": b"1"})


def test_a_file_that_was_made_read_only_is_refused(folder: OutputFolder):
    (path,) = folder.write({"a.csv": b"1"})
    path.chmod(0o444)
    with pytest.raises(StudyError, match="is read-only"):
        folder.write({"a.csv": b"2"})


@pytest.mark.parametrize("name", ["a.csv", "kept", MANIFEST])
def test_a_link_is_refused_and_what_it_points_to_stays(folder: OutputFolder, tmp_path: Path, name: str):
    folder.keep(["kept"])
    folder.write({"a.csv": b"1"})
    target = tmp_path / "target"
    target.write_bytes((folder.path / MANIFEST).read_bytes())
    (folder.path / name).unlink(missing_ok=True)
    (folder.path / name).symlink_to(target)
    before = target.read_bytes()
    with pytest.raises(StudyError, match="is a link, and fewbits writes through none"):
        folder.check(["kept", "a.csv"])
    assert target.read_bytes() == before


def test_the_folder_itself_may_be_reached_by_a_link(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    OutputFolder(tmp_path / "out").write({"a.csv": b"1"})
    assert (tmp_path / "disk" / "a.csv").read_bytes() == b"1"


def test_a_link_to_nothing_is_refused_as_the_folder(tmp_path: Path):
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StudyError, match="a link to nothing"):
        OutputFolder(tmp_path / "out").write({"a.csv": b"1"})


def test_a_file_in_the_folders_place_is_refused_with_the_error_asked_for(tmp_path: Path):
    (tmp_path / "out").touch()
    with pytest.raises(HardwareError, match="is a file: give a folder"):
        OutputFolder(tmp_path / "out", HardwareError).write({"a.csv": b"1"})


def test_kept_names_may_change_all_the_time(folder: OutputFolder):
    folder.keep(["log", "networks"])
    (folder.path / "log").write_text("1")
    (folder.path / "networks").mkdir()
    folder.keep(["log", "networks"])


def test_a_kept_name_that_the_user_has_is_refused(folder: OutputFolder):
    (folder.path / "networks").mkdir(parents=True)
    with pytest.raises(StudyError, match="networks' is not of fewbits"):
        folder.keep(["networks"])


def test_a_crash_between_two_files_leaves_both_known(folder: OutputFolder, monkeypatch: pytest.MonkeyPatch):
    folder.write({"a.csv": b"1", "b.csv": b"1"})
    replace = Path.replace

    def crash(path: Path, target: Path) -> Path:
        if target.name == "b.csv":
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        folder.write({"a.csv": b"2", "b.csv": b"2"})
    monkeypatch.undo()
    folder.write({"a.csv": b"3", "b.csv": b"3"})
    assert sorted(each.name for each in folder.path.iterdir()) == [MANIFEST, "a.csv", "b.csv"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'{"fewbits": 1, "kept": 3, "written": {}}', b"\xff", b"[" * 9999]
)
def test_a_manifest_that_is_none_is_refused(folder: OutputFolder, content: bytes):
    folder.path.mkdir()
    (folder.path / MANIFEST).write_bytes(content)
    with pytest.raises(StudyError, match="is damaged or not of fewbits: remove it"):
        folder.write({"a.csv": b"1"})
    assert (folder.path / MANIFEST).read_bytes() == content


def test_what_an_earlier_version_made_is_taken_as_it_is_now(tmp_path: Path):
    (tmp_path / "log").write_text("old")
    (tmp_path / "a.csv").write_text("old")
    (tmp_path / "b.csv").write_text("mine")
    adopting = OutputFolder(tmp_path, adopt=lambda _: Made(frozenset({"log"}), frozenset({"a.csv"})))
    adopting.keep(["log"])
    adopting.write({"a.csv": b"1"})
    with pytest.raises(StudyError, match=r"b\.csv' is not of fewbits"):
        adopting.write({"b.csv": b"1"})
    assert json.loads((tmp_path / MANIFEST).read_text())["kept"] == ["log"]


def test_a_folder_that_cannot_be_written_is_one_line():
    with pytest.raises(StudyError, match="cannot write into folder '/proc/out'"):
        OutputFolder(Path("/proc/out")).keep(["log"])
