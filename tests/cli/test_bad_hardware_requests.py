"""Requests for hardware that is not to be had: `rtl`, `cost` and `characterize` say so in a line and lose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from refusal import Command, refused  # pyright: ignore

from fewbits.hardware.dataflow.diannao.export import verilog_export as export

USER_MODEL = """
import torch
from torch import nn

def coloured():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(2704, 10))

class Joined(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right, self.last = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3), nn.Linear(5408, 10)

    def forward(self, images):
        return self.last(torch.cat([self.left(images), self.right(images)], 1).flatten(1))

def joined():
    return Joined()

class Leaving(nn.Module):
    def forward(self, images):
        raise SystemExit(3)

def leaving():
    return Leaving()
"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--multiplier", "nonsense"], ["multiplier", "booth", "array", "operator", "nonsense"]),
        (["--product-bits", "0"], ["product_bits", "2 to 8", "not 0"]),
        (["--product-bits", "1"], ["product_bits", "2 to 8", "not 1"]),
        (["--product-bits", "999"], ["product_bits", "2 to 8", "not 999"]),
        (["--model", ""], ["unknown model ''"]),
        (["--model", "missing.py:net"], ["missing.py"]),
        (["--model", "mine.py:coloured"], ["layer '0'", "3 channels", "shape (1, 28, 28)"]),
        (["--model", "mine.py:joined"], ["Concatenation", "circuit"]),
        (["--data", "nowhere.npz"], ["nowhere.npz"]),
        (["--data", "text.npz"], ["text.npz"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_senseless_rtl_is_refused(fewbits: Command, tmp_path: Path, options: list[str], words: list[str]):
    (tmp_path / "mine.py").write_text(USER_MODEL)
    (tmp_path / "text.npz").write_text("not an archive")
    refused(fewbits("rtl", "fixed4", "--out", "rtl", *options), *words)
    assert not list(tmp_path.glob("rtl/*"))


def test_products_cut_too_short_for_the_bench_say_what_would_help(fewbits: Command):
    refused(fewbits("rtl", "binary/fixed16", "--out", "rtl", "--product-bits", "8"), "keep more product bits")


@pytest.mark.parametrize("name", ["README.md", "neuron.v"])
def test_a_file_that_no_export_wrote_is_kept(
    fewbits: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setattr(
        "fewbits.hardware.dataflow.diannao.export.accelerator.accelerator_files", lambda *_arguments: {"README.md": ""}
    )
    (tmp_path / name).write_text("mine")
    refused(fewbits("rtl", "fixed4", "--out", tmp_path), name, "another folder")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_an_export_may_be_written_anew(fewbits: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "fewbits.hardware.dataflow.diannao.export.accelerator.accelerator_files", lambda *_arguments: {"README.md": ""}
    )
    monkeypatch.setattr(export, "CHUNKS", 10)
    assert fewbits("rtl", "fixed4", "--out", "rtl").status == 0
    assert fewbits("rtl", "fixed2", "--out", "rtl").status == 0
    assert "Neuron fixed2" in (tmp_path / "rtl" / "README.md").read_text()


def test_a_file_in_place_of_the_rtl_folder_is_refused(fewbits: Command, tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    refused(fewbits("rtl", "fixed4", "--out", "file"), "file", "is a file: give a folder")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lenet", "fixed8", "--product-bits", "0"], ["product_bits", "2 to 16", "not 0"]),
        (["lenet", "fixed8", "--multiplier", "nonsense"], ["multiplier", "booth", "array", "operator", "nonsense"]),
        (["lenet", "fixed8", "--technology", ""], ["no technology ''"]),
        (["lenet", "fixed8", "--node", "0"], ["0 nm", "130 to 7"]),
        (["lenet", "fixed8", "--node", "-1"], ["-1 nm", "130 to 7"]),
        (["lenet", "fixed8", "--node", "nan"], ["nan nm", "130 to 7"]),
        (["lenet", "fixed8", "--node", "1e9"], ["1e+09 nm", "130 to 7"]),
        (["lenet*1e9", "fixed8", "--off-chip"], ["lenet*1e9", "too large", "smaller factor"]),
        (["lenet*1e300", "fixed8"], ["lenet*1e300", "too large", "smaller factor"]),
        (["mine.py:coloured", "fixed8"], ["input shape", "--input"]),
        (
            ["mine.py:coloured", "fixed8", "--input", "1x28x28"],
            ["layer '0'", "3 channels", "shape (1, 28, 28)"],
        ),
        (["mine.py:leaving", "fixed8", "--input", "1x28x28"], ["SystemExit"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_a_senseless_cost_is_refused(fewbits: Command, tmp_path: Path, arguments: list[str], words: list[str]):
    (tmp_path / "mine.py").write_text(USER_MODEL)
    refused(fewbits("cost", *arguments), *words)


LIBERTY_HEAD = """library (x) {
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW"; capacitive_load_unit (1, pf);
  nom_voltage : 1.2; nom_temperature : 25;
"""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["a liberty file is one group"]),
        (b"\x7fELF\x00\x01\x02", ["binary data"]),
        (b"library (x) {" + b"a (b) {" * 100_000, ["nested", "up to 100"]),
        (b"library (x) {" + b"a (b) {" * 5000 + b"}" * 5001, ["nested", "up to 100"]),
        (b"library (x) { a : " + b"(" * 100_000, ["ends inside a group"]),
        (LIBERTY_HEAD.encode() + b"cell (y) { area :", ["cells.lib"]),
        (LIBERTY_HEAD.encode() + b"}", ["no cell"]),
    ],
    ids=["empty", "binary", "deep", "deep-and-closed", "parentheses", "truncated", "no-cell"],
)
def test_a_hostile_liberty_file_is_refused(fewbits: Command, tmp_path: Path, content: bytes, words: list[str]):
    (tmp_path / "cells.lib").write_bytes(content)
    outcome = fewbits("characterize", "--liberty", "cells.lib", "--out", "table.json", "--precision", "fixed4")
    refused(outcome, "cells.lib", *words)
    assert [path.name for path in tmp_path.iterdir()] == ["cells.lib"]


def test_a_liberty_file_of_a_gigabyte_is_not_read(fewbits: Command, tmp_path: Path):
    with (tmp_path / "cells.lib").open("wb") as file:
        file.truncate(2**30)  # claimed, not stored
    outcome = fewbits("characterize", "--liberty", "cells.lib", "--out", "table.json", "--precision", "fixed4")
    refused(outcome, "cells.lib", "1073741824 bytes", "up to 268435456")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs the device /dev/zero")
def test_an_endless_liberty_file_is_not_read(fewbits: Command):
    outcome = fewbits("characterize", "--liberty", "/dev/zero", "--out", "table.json", "--precision", "fixed4")
    refused(outcome, "/dev/zero", "device")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "file/table.json"], ["file/table.json", "another --out"]),
        (["--out", "/proc/table.json"], ["/proc/table.json", "another --out"]),
        (["--out", "."], ["a folder"]),
        (["--out", "t.json", "--node", "inf"], ["node", "inf"]),
        (["--out", "t.json", "--node", "nan"], ["node"]),
        (["--out", "t.json", "--note", " "], ["note is one line"]),
        (["--out", "t.json", "--note", "two\nlines"], ["note is one line"]),
        (["--out", "t.json", "--product-bits", "99"], ["product_bits", "2 to 8"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_a_table_that_cannot_be_made_is_refused_before_synthesis(
    fewbits: Command, tmp_path: Path, options: list[str], words: list[str]
):
    (tmp_path / "file").write_text("mine")
    refused(fewbits("characterize", "--liberty", "missing.lib", "--precision", "fixed4", *options), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_is_no_table_is_not_overwritten(fewbits: Command, tmp_path: Path, shared: Path):
    (tmp_path / "notes.json").write_text("mine")
    liberty = next((shared / "pdk").rglob("sg13g2_stdcell_typ_*.lib"))
    outcome = fewbits("characterize", "--liberty", liberty, "--out", "notes.json", "--precision", "fixed4")
    assert (outcome.status, (tmp_path / "notes.json").read_text()) == (2, "mine")
    assert "notes.json is there and is no complete technology table" in outcome.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "0"], ["workers must be at least 1", "0"]),
        (["--engine", "slurm"], ["engine 'slurm' is unknown", "dask=ADDRESS"]),
        (["--engine", "dask="], ["engine 'dask=' is unknown"]),
        (["--engine", "dask", "--cluster", "none.toml"], ["none.toml", "No such file"]),
        (["--cluster", "none.toml"], ["--engine dask too"]),
        (["--engine", "dask=tcp://a:1", "--workers", "2"], ["--workers", "leave it out"]),
    ],
    ids=str,
)
def test_workers_that_cannot_be_had_are_refused(fewbits: Command, tmp_path: Path, options: list[str], words: list[str]):
    outcome = fewbits("characterize", "--liberty", "cells.lib", "--out", "table.json", *options)
    refused(outcome, *words)
    assert list(tmp_path.iterdir()) == []
