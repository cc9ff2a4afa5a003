"""A target clock: pipelining is chosen for it, and what misses it is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tiny_library import mappable_liberty  # pyright: ignore

from fewbits.cli import main
from fewbits.errors import HardwareError
from fewbits.formats import parse_precision
from fewbits.hardware import cost, load_technology
from fewbits.hardware.characterization import neuron_options
from fewbits.hardware.characterization.neuron_options import Neuron, clock_notes, synthesize_first
from fewbits.hardware.characterization.neuron_options import neuron_options as options_of
from fewbits.hardware.characterization.technology_table import characterize
from fewbits.hardware.costing.tiles import tile_of
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.datapath.interpolation import can_interpolate, interpolate
from fewbits.hardware.process.technology import Technology

STAGES = ("short", "standard", "long", "longest")


def test_integer_neurons_have_all_pipelinings_from_the_fewest_registers_on() -> None:
    options = options_of("fixed4", "booth", None, any_pipelining=True)
    assert tuple(one.design.pipelining.name for one in options) == STAGES
    assert [one.pipeline_stages for one in options] == sorted({one.pipeline_stages for one in options})
    assert {one.precision for one in options} == {"fixed4"}


@pytest.mark.parametrize(("precision", "any_pipelining"), [("fixed4", False), ("fp8-e4m3", True)])
def test_the_standard_pipelining_is_alone_by_default_and_in_floats(precision: str, any_pipelining: bool) -> None:
    (only,) = options_of(precision, "booth", None, any_pipelining=any_pipelining)
    assert only.design.pipelining.name == "standard"


@dataclass(frozen=True)
class FakeTiming:
    longest_path_ns: float

    @property
    def highest_clock_mhz(self) -> float:
        return 1000 / self.longest_path_ns


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], tuple[str, list[str]]]:
    """What is chosen for a clock where the options' paths take 4, 3, 2 and 1 ns, and what was synthesized."""
    options = options_of("binary/fixed2", "booth", None, any_pipelining=True)
    paths = {one.sha256: path for one, path in zip(options, (4.0, 3.0, 2.0, 1.0), strict=True)}
    tried: list[str] = []

    def synthesized(name: str, rtlil: str, *_: object, **__: object) -> tuple[None, FakeTiming]:
        neuron = next(one for one in options if one.rtlil == rtlil)
        tried.append(neuron.design.pipelining.name)
        return None, FakeTiming(paths[neuron.sha256])

    monkeypatch.setattr(neuron_options, "synthesize_for_clock", synthesized)

    def choose(mhz: float) -> tuple[str, list[str]]:
        neuron: Neuron = synthesize_first(options, None, None, mhz, print)[0]  # pyright: ignore
        return neuron.design.pipelining.name, tried

    return choose


@pytest.mark.parametrize(("mhz", "name"), [(250, "short"), (300, "standard"), (500, "long"), (1000, "longest")])
def test_the_first_pipelining_that_keeps_the_clock_is_chosen(
    chosen: Callable[[float], tuple[str, list[str]]], mhz: float, name: str
) -> None:
    assert chosen(mhz) == (name, list(STAGES[: STAGES.index(name) + 1]))


def test_the_fastest_is_chosen_where_none_keeps_the_clock(chosen: Callable[[float], tuple[str, list[str]]]) -> None:
    assert chosen(2000) == ("longest", list(STAGES))


def with_stages(stages: str, *names: str) -> Technology:
    """The shipped table, some datapaths of it with another pipelining."""
    table = load_technology()
    changed = {name: replace(table.datapaths[name], pipelining=stages) for name in names}
    return replace(table, datapaths={**table.datapaths, **changed})


def test_a_cost_has_the_cycles_of_the_tables_pipelining() -> None:
    cycles = [cost("lenet", "fixed8", technology=with_stages(stages, "fixed8")).cycles for stages in STAGES]
    assert cycles == sorted(set(cycles))
    assert cycles[1] == cost("lenet", "fixed8").cycles


def test_a_cost_is_at_the_clock_that_the_table_was_made_for() -> None:
    table = replace(load_technology(), target_clock_mhz=125.0)
    assert cost("lenet", "fixed8", technology=table).clock_mhz == 125
    assert cost("lenet", "fixed8", technology=table, accelerator=Accelerator(clock_mhz=100)).clock_mhz == 100


def test_only_datapaths_of_one_pipelining_are_interpolated() -> None:
    fixed9, names = parse_precision("fixed9"), [f"fixed{bits}" for bits in (2, 3, 4, 5, 6, 7, 8, 10)]
    table = with_stages("short", *names)
    assert interpolate(table, fixed9).pipelining == "short"
    assert tile_of(fixed9, table, Accelerator()).design.pipelining.name == "short"
    few = replace(table, datapaths={name: table.datapaths[name] for name in ("fixed8", "fixed12")})
    assert not can_interpolate(few, fixed9)


def test_what_misses_the_clock_is_noted_with_what_it_reaches() -> None:
    table = replace(load_technology(), target_clock_mhz=400.0)
    fixed8 = table.datapaths["fixed8"]
    assert fixed8.control is not None
    slow = replace(fixed8, meets_target=False, clock_mhz=310.0, pipelining="longest", path_end="accumulator",
                   control=replace(fixed8.control, clock_mhz=290.0))  # fmt: skip
    table = replace(table, datapaths={"fixed8": slow})
    assert clock_notes(table, ["fixed8"], asked=True) == [
        "fixed8 reaches 310 of 400 MHz, longest pipelining, its longest path ends in accumulator",
        "the control of fixed8 reaches 290 of 400 MHz",
    ]


def test_a_large_slack_at_the_default_clock_is_noted() -> None:
    table = load_technology()
    assert clock_notes(table, ["fixed8"], asked=False) == []
    fixed8 = table.datapaths["fixed8"]
    assert fixed8.control is not None
    fast = replace(fixed8, longest_path_ns=0.1, control=replace(fixed8.control, longest_path_ns=0.2))
    table = replace(table, datapaths={"fixed8": fast})
    (note,) = clock_notes(table, ["fixed8"], asked=False)
    assert note.startswith("the longest path of all is 0.2 ns, 5 % of the period of 250 MHz, the default clock")
    assert clock_notes(table, ["fixed8"], asked=True) == []


@pytest.mark.parametrize("mhz", ["0", "-1", "nan", "inf"])
def test_a_senseless_clock_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], mhz: str) -> None:
    arguments = ["characterize", "--liberty", "x.lib", "--out", str(tmp_path / "t.json"), f"--clock={mhz}"]
    assert main(arguments) == 2
    assert "clock_mhz must be a positive number" in capsys.readouterr().err


def test_a_clock_of_another_tables_pipelining_is_named() -> None:
    with pytest.raises(HardwareError, match="no pipelining 'odd': use short, standard"):
        cost("lenet", "fixed8", technology=with_stages("odd", "fixed8"))


@pytest.mark.nightly
def test_a_table_for_a_high_clock_has_more_registers(tmp_path: Path) -> None:
    path = tmp_path / "tiny.lib"
    path.write_text(mappable_liberty())
    out = tmp_path / "table.json"
    slow = characterize(path, None, ["fixed2"], out, clock_mhz=50).datapaths["fixed2"]
    assert (slow.meets_target, slow.pipelining) == (True, "short")
    fast = characterize(path, None, ["fixed2"], out, clock_mhz=3000)
    assert fast.datapaths["fixed2"].pipeline_stages > slow.pipeline_stages
    assert "of 3000 MHz" in fast.provenance["notes"]
    assert load_technology(out).target_clock_mhz == 3000
