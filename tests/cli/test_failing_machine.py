"""What is nobody's request: a full disk, a missing compiler, Ctrl-C, a mistake of ours. One line, nothing lost."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from refusal import Command, refused  # pyright: ignore

from fewbits.report.write import write_report


def fewbits_report() -> object:
    """The package that the command takes `write_report` from."""
    import fewbits.report

    return fewbits.report


def test_a_full_disk_is_told(fewbits: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_folder: Path, **_: object) -> tuple[Path, ...]:
        raise OSError(28, "No space left on device", "results.csv")

    monkeypatch.setattr(fewbits_report(), "write_report", full)
    refused(fewbits("report", "out"), "disk is full", "results.csv")


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch):
    from fewbits import HardwareError
    from fewbits.hardware.datapath import design
    from fewbits.hardware.datapath.simulation import Simulator

    monkeypatch.setenv("PATH", "")
    with pytest.raises(HardwareError, match=r"g\+\+ was not found"):
        Simulator(design("fixed4"))


def test_an_unexpected_error_is_one_line_and_a_log(fewbits: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def explode(_folder: Path, **_: object) -> tuple[Path, ...]:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(fewbits_report(), "write_report", explode)
    outcome = fewbits("report", "out")
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1
    log = Path(outcome.err.rsplit(" ", 1)[1].strip())
    assert "nobody thought of this" in log.read_text()
    assert "Traceback" in log.read_text()


def test_ctrl_c_says_that_the_command_goes_on(fewbits: Command, monkeypatch: pytest.MonkeyPatch):
    def interrupt(_folder: Path, **_: object) -> tuple[Path, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(fewbits_report(), "write_report", interrupt)
    refused(fewbits("report", "out"), "same command", status=130)


def test_report_writing_keeps_the_old_file_on_failure(tmp_path: Path):
    (tmp_path / "results.csv").write_text("old")
    with pytest.raises(Exception, match="holds no study"):
        write_report(tmp_path)
    assert (tmp_path / "results.csv").read_text() == "old"


STUDY = """
name = "small"
models = ["{model}"]
data = ["digits"]
precisions = ["float32"]
[float_training]
epochs = 1
"""


@pytest.mark.parametrize("name", ["study.sqlite", "study.lock", "networks", ".fewbits-manifest.json"])
def test_a_file_of_the_users_in_the_way_of_a_study_is_named_and_left(fewbits: Command, tmp_path: Path, name: str):
    (tmp_path / "study.toml").write_text(STUDY.format(model="lenet"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    refused(fewbits("run", "study.toml", "--out", "out"), name, "not of fewbits", "another folder")
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.parametrize("out", [None, "out", "a/b/out"])
def test_a_refused_study_leaves_no_folder(fewbits: Command, tmp_path: Path, out: str | None):
    (tmp_path / "study.toml").write_text(STUDY.format(model="lnet"))
    refused(fewbits("run", "study.toml", *(("--out", out) if out else ())), "did you mean 'lenet'")
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_a_file_as_the_folder_is_refused_before_any_work(fewbits: Command, tmp_path: Path):
    (tmp_path / "study.toml").write_text(STUDY.format(model="lenet"))
    (tmp_path / "out").write_text("mine")
    refused(fewbits("run", "study.toml", "--out", "out"), "'out' is a file: give a folder")
    refused(fewbits("run", "study.toml", "--out", "out/deeper"), "out/deeper", "another folder")
    assert (tmp_path / "out").read_text() == "mine"


def command_into(target: str) -> subprocess.CompletedProcess[str]:
    """`fewbits --help` as a process of its own, its output sent to where it cannot be written."""
    shell = f"{shlex.quote(sys.executable)} -m fewbits --help {target}; exit ${{PIPESTATUS[0]}}"
    return subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_output_to_a_full_disk_is_one_line():
    done = command_into("> /dev/full")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "disk is full" in done.stderr


def test_a_reader_that_goes_away_is_no_error():
    done = command_into("| true")
    assert (done.returncode, done.stderr) in ((141, ""), (0, ""))  # 0: all was written before the reader went


def test_debugging_lets_an_unexpected_error_through(fewbits: Command, monkeypatch: pytest.MonkeyPatch):
    def explode(_folder: Path, **_: object) -> tuple[Path, ...]:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(fewbits_report(), "write_report", explode)
    monkeypatch.setenv("FEWBITS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        fewbits("report", "out")
