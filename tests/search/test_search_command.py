"""`fewbits search` on the command line: bad requests are one line, a killed search goes on to the same digits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fewbits import models
from fewbits.cli import main
from fewbits.study import load_study

SMALL = ("--formats", "fixed8,fixed2", "--images", "20", "--weights", "lenet.pt")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with weights of LeNet that nobody trained."""
    monkeypatch.chdir(tmp_path)
    torch.save(models.build("lenet", 0).state_dict(), tmp_path / "lenet.pt")
    return tmp_path


def line_of(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a request that is refused."""
    assert main(["search", *arguments]) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("fewbits: ")
    assert "unexpected" not in lines[0]
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lenet",), "--data"),
        ((), "MODEL"),
        (("lenet", "--data", "digits", "--max-loss", "-1"), "a loss is points of accuracy from 0 to 100, not -1.0"),
        (("lenet", "--data", "digits", "--max-loss", "nan"), "a loss is points of accuracy"),
        (("lenet", "--data", "digits", "--formats", ""), "at least two precisions, not none"),
        (("lenet", "--data", "digits", "--formats", "fixed8"), "'fixed8' alone"),
        (("lenet", "--data", "digits", "--formats", "fixed8,"), "leave out empty ones"),
        (("lenet", "--data", "digits", "--formats", "fixed8,fixd4"), "unknown format 'fixd4'"),
        (("lenet", "--data", "digits", "--formats", "fixed8,fixed8/fp8-e4m3"), "two integer formats"),
        (("lenet", "--data", "digits", "--formats", "fixed8,pow2-3/binary"), "no cost on this machine"),
        (("lenet", "--data", "nowhere"), "nowhere"),
        (("lenex", "--data", "digits"), "did you mean 'lenet'"),
        (("convnet", "--data", "digits"), "takes images of"),
        (("lenet", "--data", "digits", "--evaluations", "3"), "give at least 16"),
        (("lenet", "--data", "digits", "--images", "401"), "has 400 validation images, not 401"),
        (("lenet", "--data", "digits", "--score", "best"), "unknown score 'best'"),
        (("lenet", "--data", "digits", "--objective", "power"), "unknown objective 'power'"),
        (("lenet", "--data", "digits", "--datapaths", "two"), "unknown datapaths 'two'"),
        (("lenet", "--data", "digits", "--refine", "ga"), "unknown refine 'ga'"),
        (("lenet", "--data", "digits", "--fine-tune", "-1"), "fine tune epochs"),
        (("lenet", "--data", "digits", "--seed", "-1"), "seed is an integer"),
        (("lenet", "--data", "digits", "--device", "gpu"), "unknown device"),
        (("lenet", "--data", "digits", "--weights", "nowhere.pt"), "nowhere.pt"),
        (("lenet", "--data", "digits", "--accelerator", "nowhere"), "nowhere"),
        (("lenet", "--data", "digits", "--technology", "nowhere"), "nowhere"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_a_request_that_cannot_be_met_is_one_line(
    folder: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
):
    assert words in line_of(capfd, *arguments)


def test_the_json_is_the_result_of_the_folder(folder: Path, capfd: pytest.CaptureFixture[str]):
    main(["search", "lenet", "--data", "digits", *SMALL, "--out", "out", "--max-loss", "100", "--json"])
    assert json.loads(capfd.readouterr().out) == json.loads((folder / "out" / "search.json").read_text())


def test_the_written_study_tests_the_chosen_assignment_beside_the_uniform_precisions(folder: Path):
    main(["search", "lenet", "--data", "digits", *SMALL, "--out", "out", "--max-loss", "100"])
    spec = load_study(str(folder / "out" / "study.toml"))
    chosen = json.loads((folder / "out" / "search.json").read_text())["chosen"]
    names = [one if isinstance(one, str) else one.name for one in spec.precisions]
    assert set(names) == {"float32", "fixed8", "fixed2", chosen}
    assert spec.recipes == ("post-training",)
    assert (spec.datapaths, spec.technology) == ("each", "ihp-sg13g2")  # what the search's costs are of


def test_a_search_without_an_answer_ends_with_1_and_says_what_to_do(folder: Path, capfd: pytest.CaptureFixture[str]):
    request = (
        "lenet",
        "--data",
        "digits",
        "--weights",
        "lenet.pt",
        "--images",
        "20",
        "--formats",
        "binary,fixed2/fixed2",
    )
    status = main(["search", *request, "--out", "out", "--max-loss", "0", "--json"])
    result = json.loads(capfd.readouterr().out)
    assert status == (0 if result["chosen"] else 1)
    assert (folder / "out" / "best.toml").exists() == bool(result["chosen"])


@pytest.mark.slow
def test_a_killed_search_goes_on_to_the_same_digits(folder: Path):
    command = [sys.executable, "-m", "fewbits", "search", "lenet", "--data", "digits", *SMALL, "--out", "killed"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder)
    journal, deadline = folder / "killed" / "search.journal", time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    arguments = ["search", "lenet", "--data", "digits", *SMALL]
    kept = journal.read_bytes()
    assert kept
    main([*arguments, "--out", "killed"])
    main([*arguments, "--out", "whole"])
    assert journal.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
    assert (folder / "killed" / "search.json").read_bytes() == (folder / "whole" / "search.json").read_bytes()
