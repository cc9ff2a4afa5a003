"""Studies that cannot be run, for their file, data, models or store: one clear line, nothing lost."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from refusal import Command, refused  # pyright: ignore

import fewbits as fewbits_package

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


def study_file(folder: Path, text: str = STUDY, **fields: str) -> Path:
    """A study's TOML file; fields not given are a sane default."""
    filled = {"model": "lenet", "data": "digits", "precision": "fixed8", "recipe": "post-training"} | fields
    path = folder / "study.toml"
    path.write_text(text.format(**filled))
    return path


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


def test_an_output_folder_that_cannot_be_made_is_refused(fewbits: Command, tmp_path: Path):
    refused(fewbits("run", study_file(tmp_path), "--out", "/proc/fewbits"), "/proc/fewbits")


def test_paths_in_a_study_begin_at_its_own_folder(fewbits: Command, tmp_path: Path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "net.py").write_text(USER_MODEL)
    digits_npz(folder / "small.npz")
    shipped = Path(fewbits_package.__file__).parent / "hardware" / "process" / "tables" / "ihp-sg13g2.json"
    (folder / "table.json").write_text(shipped.read_text())
    text = 'technology = "table.json"\n' + STUDY
    study = study_file(folder, text, model="net.py:sane", data="small.npz")
    outcome = fewbits("run", study.relative_to(tmp_path), "--out", "out", "--json")
    (run,) = json.loads(outcome.out)["runs"]
    assert (outcome.status, run["model"], run["data"]) == (0, "net.py:sane", "small.npz")


@pytest.mark.parametrize(
    ("changes", "where"),
    [({"data": "small.npz"}, "mine/small.npz"), ({"model": "net.py:sane"}, "mine/net.py")],
)
def test_a_file_that_lies_beside_the_caller_only_is_not_taken(
    fewbits: Command, tmp_path: Path, changes: dict[str, str], where: str
):
    (tmp_path / "mine").mkdir()
    digits_npz(tmp_path / "small.npz")
    (tmp_path / "net.py").write_text(USER_MODEL)
    study_file(tmp_path / "mine", **changes)
    refused(fewbits("run", "mine/study.toml", "--out", "out"), where)
