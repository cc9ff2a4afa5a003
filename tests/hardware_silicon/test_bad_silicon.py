"""Bad input to the silicon part, by the command line: exit status 2 and one line, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_library import mappable_liberty  # pyright: ignore

from fewbits.cli import main

MODEL = """
from torch import nn

def wide():
    return nn.Sequential(nn.Conv2d(1, 1_000_000, 1), nn.ReLU(), nn.Conv2d(1_000_000, 2, 1))
"""


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str], *words: str) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err.splitlines()
    complaints = [line for line in said if line.startswith("fewbits:")]
    assert len(complaints) == 1
    assert "unexpected" not in complaints[0]
    for word in words:
        assert word in complaints[0]


def test_a_layer_of_a_million_channels_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    arguments = ["cost", f"{tmp_path / 'net.py'}:wide", "fixed8", "--input", "1x2x2"]
    refused(capsys, arguments, "layer '2' sums 1000000 products", "up to 16384")


def test_float_sums_have_no_such_bound(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    assert main(["cost", f"{tmp_path / 'net.py'}:wide", "float32", "--input", "1x2x2"]) == 0


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("1000000x2x2", ("1000000x2x2", "up to 65535")),
        ("0x2x2", ("0x2x2",)),
    ],
)
def test_an_impossible_image_is_refused(capsys: pytest.CaptureFixture[str], size: str, words: tuple[str, ...]) -> None:
    refused(capsys, ["cost", "lenet", "fixed8", "--input", size], *words)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("area : 6;", "area : 1e999;", "finite"),
        ("}\n", "", "ends inside a group"),
        ('time_unit : "1ps"', 'time_unit : "1V"', "time_unit must be like"),
        ("cell (inv)", "cell (inv) { } } cell (x)", "liberty"),
        ("ff (IQ, IQN)", "latch (IQ, IQN)", "no plain flip-flop"),
        ('function : "!A"', 'function : "!Z"', "'Z'"),
        ('function : "!A"', 'function : "!(A"', "expression"),
    ],
)
def test_a_broken_library_is_refused_before_synthesis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, word: str
) -> None:
    text = mappable_liberty()
    assert old in text
    path = tmp_path / "broken.lib"
    path.write_text(text.removesuffix("}\n") if not new else text.replace(old, new))
    out = tmp_path / "table.json"
    arguments = ["characterize", "--liberty", str(path), "--precision", "binary/fixed2", "--out", str(out)]
    refused(capsys, arguments, word, "broken.lib")
    assert not out.exists()


@pytest.mark.parametrize("node", ["0", "-65", "many"])
def test_a_senseless_node_is_refused(capsys: pytest.CaptureFixture[str], node: str) -> None:
    refused(capsys, ["cost", "lenet", "fixed8", "--node", node], "number" if node == "many" else node)
    refused(capsys, ["characterize", "--liberty", "x.lib", "--out", "t.json", "--node", node], "node")


def test_a_file_of_macros_without_a_clock_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library, macros = tmp_path / "cells.lib", tmp_path / "sram"
    library.write_text(mappable_liberty())
    macros.mkdir()
    (macros / "cells.lib").write_text(mappable_liberty())
    arguments = ["characterize", "--liberty", str(library), "--sram", str(macros), "--out", str(tmp_path / "t.json")]
    refused(capsys, [*arguments, "--precision", "binary/fixed2"], "an SRAM file has one")


def test_two_corners_of_one_library_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "slow.lib", tmp_path / "fast.lib"]
    for file, volts in zip(files, ("1.8", "2.2"), strict=True):
        file.write_text(mappable_liberty().replace("nom_voltage : 2.0", f"nom_voltage : {volts}"))
    options = [word for file in files for word in ("--liberty", str(file))]
    refused(capsys, ["characterize", *options, "--out", str(tmp_path / "t.json")], "1.8 V", "2.2 V", "one corner")
    assert not (tmp_path / "t.json").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", b"\x1f\x8b\x08" + bytes(40), b"PK\x03\x04\0", b"library () {}", b"{" * 9]
)
def test_what_is_no_library_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "odd.lib.gz"
    path.write_bytes(content)
    refused(capsys, ["characterize", "--liberty", str(path), "--out", str(tmp_path / "t.json")], "odd.lib.gz")
