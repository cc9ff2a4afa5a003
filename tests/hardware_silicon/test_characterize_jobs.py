"""Characterization on an executor: the table does not tell in which order its parts were made, or where."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_library import mappable_liberty  # pyright: ignore

from fewbits.errors import HardwareError
from fewbits.executors import Job, JobLost, Message, ProcessExecutor
from fewbits.executors.inline import InlineExecutor
from fewbits.hardware import load_technology
from fewbits.hardware.characterization import precisions
from fewbits.hardware.characterization.neuron_options import Neuron, neuron_options
from fewbits.hardware.characterization.precisions import Assumptions, MadeControl, MadeNeuron
from fewbits.hardware.characterization.technology_table import _with_precisions, characterize
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.technology import Technology

SHIPPED = load_technology()
NAMES = ("fixed4", "fixed8", "fixed16")
GIVEN = Assumptions(Conditions(0.1, 0.1), 250.0, 0.2)


class LastFirst(InlineExecutor):
    """Does what was submitted last first."""

    def submit(self, job: Job) -> None:
        super().submit(replace(job, priority=-job.priority + (1000 if "control" in job.key else 0)))


class LosesEachOnce(InlineExecutor):
    """Loses the worker of each job once."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.lost: set[str] = set()

    def messages(self) -> Sequence[Message]:
        *_, job = self._queue[0]
        if job.key in self.lost:
            return super().messages()
        self.lost.add(job.key)
        self.cancel(job.key)
        return [JobLost(job.key, "its worker was killed")]


@cache
def options(name: str) -> tuple[Neuron, ...]:
    return neuron_options(name, "booth", None, any_pipelining=False)


def fake_neuron(say: Any, library: bytes, tried: Sequence[Neuron], given: Assumptions) -> MadeNeuron:
    """The shipped table's figures, without synthesis."""
    say(f"{tried[0].precision}: synthesized")
    netlist: Any = SimpleNamespace(save=lambda path: (path.parent.mkdir(exist_ok=True), path.write_bytes(b"netlist")))
    return MadeNeuron(tried[0], replace(SHIPPED.datapaths[tried[0].precision], control=None), netlist)


def fake_control(say: Any, library: bytes, neuron: Neuron, there: str | None, given: Assumptions) -> MadeControl:
    sha256 = hashlib.sha256(neuron.precision.encode()).hexdigest()
    cost = None if there == sha256 else SHIPPED.datapaths[neuron.precision].control
    say(f"{neuron.precision}: control {'kept' if cost is None else 'synthesized'}")
    return MadeControl(neuron.precision, sha256, cost)


@pytest.fixture(autouse=True)
def no_synthesis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "nightly" not in request.keywords:
        monkeypatch.setattr(precisions, "make_neuron", fake_neuron)
        monkeypatch.setattr(precisions, "make_control", fake_control)


def made(out: Path, executor: Any = None, said: list[str] | None = None, names: Sequence[str] = NAMES) -> Technology:
    """The table of some precisions, onto an empty one."""
    empty = replace(SHIPPED, datapaths={}, provenance={"made_by": "a test"})
    library: Any = "a library"
    say = (said if said is not None else []).append
    return _with_precisions(empty, [options(name) for name in names], out, library, GIVEN, executor, say)


def test_the_table_does_not_tell_the_order_in_which_it_was_made(tmp_path: Path):
    made(tmp_path / "one.json")
    made(tmp_path / "other.json", LastFirst(lambda _: None))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()


def test_the_table_has_its_precisions_in_the_order_asked_for(tmp_path: Path):
    table = made(tmp_path / "table.json", LastFirst(lambda _: None))
    assert tuple(table.datapaths) == NAMES
    assert load_technology(tmp_path / "table.json") == table


def test_alone_a_precision_is_whole_before_the_next_begins(tmp_path: Path):
    said: list[str] = []
    made(tmp_path / "table.json", said=said)
    assert [line.partition(":")[0] for line in said] == [name for name in NAMES for _ in range(2)]


def test_a_lost_job_is_tried_again(tmp_path: Path):
    assert tuple(made(tmp_path / "table.json", LosesEachOnce()).datapaths) == NAMES


def test_a_failed_precision_is_named_and_the_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def failing(say: Any, library: bytes, tried: Sequence[Neuron], given: Assumptions) -> MadeNeuron:
        if tried[0].precision == "fixed8":
            raise HardwareError("yosys stopped with status 1")
        return fake_neuron(say, library, tried, given)

    monkeypatch.setattr(precisions, "make_neuron", failing)
    with pytest.raises(HardwareError, match=r"^fixed8: yosys stopped with status 1$"):
        made(tmp_path / "table.json")
    assert tuple(load_technology(tmp_path / "table.json").datapaths) == ("fixed4", "fixed16")


def test_ctrl_c_keeps_what_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(say: Any, library: bytes, tried: Sequence[Neuron], given: Assumptions) -> MadeNeuron:
        if tried[0].precision == "fixed8":
            raise KeyboardInterrupt
        return fake_neuron(say, library, tried, given)

    monkeypatch.setattr(precisions, "make_neuron", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "table.json")
    assert tuple(load_technology(tmp_path / "table.json").datapaths) == ("fixed4",)


@pytest.mark.nightly
def test_two_workers_make_the_table_of_one_byte_for_byte(tmp_path: Path):
    liberty = tmp_path / "tiny.lib"
    liberty.write_text(mappable_liberty())
    for name, executor in (("one", None), ("two", ProcessExecutor(2))):
        (tmp_path / name).mkdir()
        characterize(liberty, None, ["fixed2", "fixed3"], tmp_path / name / "table.json", executor=executor)
    files = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    }
    assert len(files["one"]) == 3
    assert files["two"] == files["one"]
