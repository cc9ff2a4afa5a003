"""Bad requests: one clear line, the right exit status, no traceback, nothing lost."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fewbits.cli import main
from fewbits.report.write import write_report

STUDY = """
name = "small"
models = ["{model}"]
data = ["{data}"]
precisions = ["{precision}"]
recipes = ["{recipe}"]
seeds = [0]

[float_training]
epochs = 1

[fine_tune]
epochs = 1
"""


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def fewbits(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs a command line in an empty folder, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEWBITS_DATA", raising=False)
    monkeypatch.delenv("FEWBITS_DEBUG", raising=False)

    def run(*arguments: str | Path) -> Outcome:
        status = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


def refused(outcome: Outcome, *words: str, status: int = 2) -> None:
    """One line that holds these words, and the status."""
    lines = [line for line in outcome.err.splitlines() if line.startswith("fewbits:")]
    assert outcome.status == status, outcome
    assert len(lines) == 1, outcome.err
    assert status == 1 or len(outcome.err.splitlines()) == 1, outcome.err
    assert "Traceback" not in outcome.err + outcome.out
    assert "unexpected" not in lines[0]
    for word in words:
        assert word.lower() in lines[0].lower(), lines[0]


def study_file(folder: Path, text: str = STUDY, **fields: str) -> Path:
    """A study's TOML file; fields not given are a sane default."""
    filled = {"model": "lenet", "data": "digits", "precision": "fixed8", "recipe": "post-training"} | fields
    path = folder / "study.toml"
    path.write_text(text.format(**filled))
    return path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["missing command", "run, report"]),
        (["rnu", "default"], ["no such command", "run"]),
        (["run"], ["missing argument", "study"]),
        (["run", "default", "--fast"], ["no such option", "--fast"]),
        (["run", "default", "--workers", "two"], ["--workers", "integer"]),
        (["run", "default", "--workers", "0"], ["workers", "at least 1"]),
        (["run", "nosuchstudy"], ["nosuchstudy", "default"]),
        (["run", "missing.toml"], ["missing.toml"]),
        (["formats", "fixed33"], ["fixed33", "fixed2 to fixed32"]),
        (["formats", "flaot16"], ["flaot16", "float16"]),
        (["cost", "lenet", "fixd8"], ["fixd8", "fixed8"]),
        (["cost", "lenet", "fixed8/fixed8/fixed8"], ["fixed8/fixed8/fixed8"]),
        (["cost", "lenet", "float32/fixed8"], ["float32/fixed8"]),
        (["cost", "lenet", "pow2-5/fixed8"], ["pow2-5/fixed8", "characterize"]),
        (["cost", "lenett", "fixed8"], ["lenett", "lenet"]),
        (["cost", "lenet*0", "fixed8"], ["widened", "positive"]),
        (["cost", "lenet", "fixed8", "--input", "threebythree"], ["threebythree", "3x32x32"]),
        (["cost", "lenet", "fixed8", "--technology", "unobtainium"], ["unobtainium"]),
        (["cost", "missing.py:net", "fixed8"], ["missing.py"]),
        (["cost", "json:nosuchfunction", "fixed8"], ["nosuchfunction"]),
        (["report", "nowhere"], ["nowhere"]),
        (["rtl", "fixed8/float32", "--out", "x"], ["fixed8/float32"]),
        (["rtl", "fixed8"], ["--out"]),
        (["characterize", "--liberty", "missing.lib", "--out", "t.json", "--precision", "fixed4"], ["missing.lib"]),
        (["characterize", "--liberty", "missing.lib", "--out", "t.json", "--precision", "fixed99"], ["fixed99"]),
    ],
    ids=lambda value: "_".join(value)[:60] if isinstance(value, list) and value else None,
)
def test_a_senseless_command_line_is_refused(fewbits: Command, arguments: list[str], words: list[str]):
    refused(fewbits(*arguments), *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", ["study.toml"]),
        (STUDY + "\nworkerz = 3\n", ["workerz"]),
        (STUDY.replace("precisions", "precision"), ["precision", "precisions"]),
        (STUDY.replace("seeds = [0]", 'seeds = ["zero"]'), ["seeds", "zero"]),
        (STUDY.replace("seeds = [0]", "seeds = []"), ["seeds"]),
        (STUDY.replace("epochs = 1", "epochs = -1"), ["epochs", "-1"]),
        (STUDY + "\n[accelerator]\nbuffer_rows = 0\n", ["buffer_rows", "0"]),
    ],
    ids=["malformed", "unknown-key", "misspelt-key", "wrong-type", "empty-list", "negative-epochs", "no-rows"],
)
def test_a_bad_study_file_is_refused(fewbits: Command, tmp_path: Path, text: str, words: list[str]):
    refused(fewbits("run", study_file(tmp_path, text), "--out", "out"), *words)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"model": "resnet9000"}, "resnet9000"),
        ({"precision": "fixed0"}, "fixed0"),
        ({"recipe": "magic"}, "magic"),
        ({"data": "nowhere.npz"}, "nowhere.npz"),
        ({"data": "mnist"}, "mnist"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_study_of_unknown_things_is_refused(fewbits: Command, tmp_path: Path, fields: dict[str, str], word: str):
    refused(fewbits("run", study_file(tmp_path, **fields), "--out", "out"), word)


def digits_npz(path: Path, **changed: np.ndarray) -> Path:
    """A small data set in the .npz layout, with some arrays replaced."""
    generator = np.random.default_rng(0)
    arrays = {
        "x_train": generator.integers(0, 256, (100, 28, 28)).astype(np.uint8),
        "y_train": (np.arange(100) % 10).astype(np.uint8),
        "x_test": generator.integers(0, 256, (20, 28, 28)).astype(np.uint8),
        "y_test": (np.arange(20) % 10).astype(np.uint8),
    }
    np.savez(path, **(arrays | changed))
    return path


def truncated_npz(folder: Path) -> Path:
    path = digits_npz(folder / "cut.npz")
    path.write_bytes(path.read_bytes()[:3000])
    return path


def pickled_npz(folder: Path) -> Path:
    return digits_npz(folder / "pickled.npz", x_train=np.array([{"a": 1}], dtype=object))


def empty_npz(folder: Path) -> Path:
    shapes = {"x_train": (0, 28, 28), "x_test": (0, 28, 28), "y_train": (0,), "y_test": (0,)}
    return digits_npz(folder / "empty.npz", **{name: np.zeros(shape, np.uint8) for name, shape in shapes.items()})


def miscounted_npz(folder: Path) -> Path:
    return digits_npz(folder / "labels.npz", y_train=np.zeros(7, np.uint8))


def wide_npz(folder: Path) -> Path:
    return digits_npz(
        folder / "wide.npz", x_train=np.zeros((100, 9, 9), np.uint8), x_test=np.zeros((20, 9, 9), np.uint8)
    )


def idx_folder(folder: Path, magic: int = 0x803, keep: int | None = None) -> Path:
    """MNIST's four files, the training images wrong in their magic number or cut short."""
    target = folder / "idx"
    target.mkdir()
    for name, count in (("train", 50), ("t10k", 10)):
        images = (magic if name == "train" else 0x803).to_bytes(4, "big")
        images += b"".join(n.to_bytes(4, "big") for n in (count, 28, 28)) + bytes(count * 784)
        kept = images[:keep] if name == "train" else images
        (target / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(kept))
        labels = b"\x00\x00\x08\x01" + count.to_bytes(4, "big") + bytes(i % 10 for i in range(count))
        (target / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return target


def truncated_idx(folder: Path) -> Path:
    return idx_folder(folder, keep=5000)


def foreign_idx(folder: Path) -> Path:
    return idx_folder(folder, magic=0x1234)


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch owned",)


def hostile_cifar(folder: Path) -> Path:
    target = folder / "cifar-10-batches-py"
    target.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (target / name).write_bytes(pickle.dumps(_Hostile()))
    return target


@pytest.mark.parametrize(
    "make",
    [truncated_npz, pickled_npz, empty_npz, miscounted_npz, wide_npz, truncated_idx, foreign_idx, hostile_cifar],
    ids=lambda make: make.__name__,
)
def test_bad_data_is_refused(fewbits: Command, tmp_path: Path, make: Callable[[Path], Path]):
    path = make(tmp_path)
    refused(fewbits("run", study_file(tmp_path, data=str(path)), "--out", "out"))
    assert not (tmp_path / "owned").exists()


USER_MODEL = """
import torch
from torch import nn

def broken():
    raise RuntimeError("no weights here")

def number():
    return 7

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, 10, batch_first=True)

    def forward(self, images):
        return self.lstm(images.flatten(1, 2))[0][:, -1]

def recurrent():
    return Recurrent()

def normalized():
    return nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 4, 5, 4), nn.Flatten(), nn.Linear(144, 10))

def poisoned():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    with torch.no_grad():
        net[1].weight[0, 0] = float("nan")
    return net

def sane():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

def huge():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    with torch.no_grad():
        net[1].weight.mul_(1e38)
    return net
"""


@pytest.mark.parametrize(
    ("function", "word"), [("broken", "no weights here"), ("number", "module"), ("absent", "absent")]
)
def test_a_bad_user_model_is_refused(fewbits: Command, tmp_path: Path, function: str, word: str):
    (tmp_path / "mine.py").write_text(USER_MODEL)
    refused(fewbits("cost", f"mine.py:{function}", "fixed8", "--input", "1x28x28"), word)


@pytest.mark.parametrize(
    ("function", "word"), [("normalized", "BatchNorm"), ("recurrent", "LSTM"), ("poisoned", "nan")]
)
def test_a_network_that_cannot_be_lowered_is_refused_before_training(
    fewbits: Command, tmp_path: Path, function: str, word: str
):
    (tmp_path / "mine.py").write_text(USER_MODEL)
    data = digits_npz(tmp_path / "small.npz")
    study = study_file(tmp_path, model=f"mine.py:{function}", data=str(data))
    refused(fewbits("run", study, "--out", "out"), word)


@pytest.mark.slow
def test_a_run_that_diverges_fails_and_the_others_are_kept(fewbits: Command, tmp_path: Path):
    (tmp_path / "mine.py").write_text(USER_MODEL)
    data = digits_npz(tmp_path / "small.npz")
    study = study_file(tmp_path, data=str(data), model='mine.py:sane", "mine.py:huge', recipe="post-training")
    outcome = fewbits("run", study, "--out", "out", "--json")
    refused(outcome, "mine.py:huge", "diverged", status=1)
    assert [run["model"] for run in json.loads(outcome.out)["runs"]] == ["mine.py:sane"]


@pytest.mark.parametrize("command", ["run", "report"])
def test_a_corrupt_store_is_left_as_it_is(fewbits: Command, tmp_path: Path, command: str):
    (tmp_path / "out").mkdir()
    store = tmp_path / "out" / "study.sqlite"
    store.write_bytes(b"SQLite format 3\x00" + bytes(range(256)) * 20)
    before = store.read_bytes()
    arguments = ["run", str(study_file(tmp_path)), "--out", "out"] if command == "run" else ["report", "out"]
    refused(fewbits(*arguments), "study.sqlite")
    assert store.read_bytes() == before


def test_somebody_elses_database_is_left_as_it_is(fewbits: Command, tmp_path: Path):
    (tmp_path / "out").mkdir()
    with sqlite3.connect(tmp_path / "out" / "study.sqlite") as database:
        database.execute("create table songs (title text)")
    refused(fewbits("run", study_file(tmp_path), "--out", "out"), "study.sqlite")
    with sqlite3.connect(tmp_path / "out" / "study.sqlite") as database:
        assert database.execute("select count(*) from songs").fetchone() == (0,)


def test_an_output_folder_that_is_a_file_is_refused(fewbits: Command, tmp_path: Path):
    (tmp_path / "out").write_text("mine")
    refused(fewbits("run", study_file(tmp_path), "--out", "out"), "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_an_output_folder_that_cannot_be_written_is_refused(fewbits: Command, tmp_path: Path):
    refused(fewbits("run", study_file(tmp_path), "--out", "/proc/fewbits"), "/proc/fewbits")
    refused(fewbits("rtl", "fixed4", "--out", "/proc/fewbits"), "/proc/fewbits")


def test_a_full_disk_is_told(fewbits: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_folder: Path) -> tuple[Path, ...]:
        raise OSError(28, "No space left on device", "results.csv")

    monkeypatch.setattr(fewbits_report(), "write_report", full)
    refused(fewbits("report", "out"), "disk is full", "results.csv")


def fewbits_report() -> object:
    """The package that the command takes `write_report` from."""
    import fewbits.report

    return fewbits.report


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch):
    from fewbits import HardwareError
    from fewbits.hardware.rtl import design
    from fewbits.hardware.rtl.simulate import Simulator

    monkeypatch.setenv("PATH", "")
    with pytest.raises(HardwareError, match=r"g\+\+ was not found"):
        Simulator(design("fixed4"))


@pytest.mark.parametrize("text", ["{", "[]", '{"name": 3}'])
def test_a_corrupt_technology_table_is_refused(fewbits: Command, tmp_path: Path, text: str):
    (tmp_path / "table.json").write_text(text)
    refused(fewbits("cost", "lenet", "fixed8", "--technology", tmp_path / "table.json"), "table.json")


@pytest.mark.parametrize("text", ["", "library (x) {", "not liberty at all", "\x00\x01\x02"])
def test_a_broken_liberty_file_is_refused(fewbits: Command, tmp_path: Path, text: str):
    (tmp_path / "cells.lib").write_text(text)
    arguments = ("characterize", "--liberty", "cells.lib", "--out", "table.json", "--precision", "fixed4")
    refused(fewbits(*arguments), "cells.lib")
    assert not (tmp_path / "table.json").exists()


def test_an_unexpected_error_is_one_line_and_a_log(fewbits: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def explode(_folder: Path) -> tuple[Path, ...]:
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
    def interrupt(_folder: Path) -> tuple[Path, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(fewbits_report(), "write_report", interrupt)
    refused(fewbits("report", "out"), "same command", status=130)


def test_report_writing_keeps_the_old_file_on_failure(tmp_path: Path):
    (tmp_path / "results.csv").write_text("old")
    with pytest.raises(Exception, match="holds no study"):
        write_report(tmp_path)
    assert (tmp_path / "results.csv").read_text() == "old"


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
    def explode(_folder: Path) -> tuple[Path, ...]:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(fewbits_report(), "write_report", explode)
    monkeypatch.setenv("FEWBITS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        fewbits("report", "out")
