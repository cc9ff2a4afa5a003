"""`fewbits accelerators` and `cost --accelerator`: lists, drawings, TOML to start from, sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fewbits.cli import main
from fewbits.hardware import Accelerator, accelerator_named, cost, dataflow_of
from fewbits.hardware.dataflow.accelerator_files import PRESETS
from fewbits.hardware.dataflow.loops.drawing import drawing

ARRAY = Path(__file__).with_name("array.toml")


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_diannao_16x16_is_the_accelerator_of_today():
    assert accelerator_named("diannao-16x16").definition() == Accelerator().definition()
    assert accelerator_named("diannao-32x8") == Accelerator(neurons=32, synapses=8)


def test_a_name_with_sizes_gives_the_axes_in_their_order_and_rows_that_follow():
    made = accelerator_named("systolic-os-32x8")
    assert [axis.size for axis in made.space] == [32, 8]  # pyright: ignore
    assert made == accelerator_named("systolic-os-32x8")
    widths = {memory.name: memory.row_values for memory in made.memories}  # pyright: ignore
    assert widths["input buffer"] == 32
    assert widths["weight buffer"] == 8


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("diannao-16x16x16", "takes 2, neurons x synapses; 3 were given"),
        ("systolic-os-4x4x4", "the array has 2 axes"),
        ("systolic-os-0x4", "key 'space[0].size': 0 was given"),
        ("systolic-os-999999999x4", "key 'space[0].size': 999999999 was given"),
        ("sistolic-os", "did you mean 'systolic-os'?"),
        ("none.toml", "cannot read the accelerator 'none.toml': No such file"),
    ],
)
def test_a_name_that_is_none_is_refused_in_a_line(capsys: pytest.CaptureFixture[str], name: str, message: str):
    assert message in refused(capsys, "accelerators", name)


def test_the_list_has_every_preset_with_its_multipliers_and_marks_what_is_unverified(
    capsys: pytest.CaptureFixture[str],
):
    lines = answered(capsys, "accelerators").splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == list(PRESETS)
    assert "168" in next(line for line in lines if line.startswith("eyeriss"))
    assert "unverified" in next(line for line in lines if line.startswith("recognition-processor"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_drawing_tells_memories_loops_and_clock_in_lines_that_fit(capsys: pytest.CaptureFixture[str], name: str):
    drawn = answered(capsys, "accelerators", name)
    made = accelerator_named(name)
    described = dataflow_of(made).describe(made)
    assert described is not None
    assert f"{described.clock_mhz:g} MHz" in drawn
    for part in (*described.memories, *described.space):
        assert part.name in drawn
    assert max(map(len, drawn.splitlines())) <= 130


def test_the_box_of_the_drawing_is_closed():
    lines = list(drawing(accelerator_named(ARRAY), "array", "loops"))  # pyright: ignore
    box = [line for line in lines if line[:3] in ("  │", "  ┌", "  ├", "  └")]
    assert len({len(line) for line in box}) == 1


def test_the_toml_of_every_preset_is_read_as_the_same_accelerator(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "my.toml"
    for name in PRESETS:
        path.write_text(answered(capsys, "accelerators", name, "--toml"), encoding="utf-8")
        assert accelerator_named(path) == accelerator_named(name)


def test_json_of_one_and_of_all(capsys: pytest.CaptureFixture[str]):
    one = json.loads(answered(capsys, "accelerators", "eyeriss", "--json"))
    assert one["multipliers"] == 168
    assert [entry["name"] for entry in json.loads(answered(capsys, "accelerators", "--json"))] == list(PRESETS)


def test_a_terminal_of_plain_letters_gets_a_drawing_too():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "fewbits", "accelerators", "fpga15"]
    told = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert b"| x | x |" in told.stdout


def test_cost_compares_accelerators_with_a_column_and_names_them_in_json(capsys: pytest.CaptureFixture[str]):
    machines = ("--accelerator", "diannao-16x16", "--accelerator", str(ARRAY))
    rows = answered(capsys, "cost", "lenet", "fixed8", *machines).splitlines()
    assert rows[0].split()[:2] == ["precision", "accelerator"]
    assert [row.split()[1] for row in rows[1:3]] == ["diannao-16x16", str(ARRAY)]
    told = json.loads(answered(capsys, "cost", "lenet", "fixed8", "--json", *machines))
    assert [one.pop("accelerator") for one in told] == ["diannao-16x16", str(ARRAY)]
    assert told[:1] == json.loads(answered(capsys, "cost", "lenet", "fixed8", "--json"))


def test_the_library_costs_on_a_name_a_file_and_an_object():
    by_file, by_object = (cost("lenet", "fixed8", accelerator=one) for one in (str(ARRAY), accelerator_named(ARRAY)))
    assert by_file.cycles == by_object.cycles
    assert cost("lenet", "fixed8", accelerator="diannao-16x16").cycles == cost("lenet", "fixed8").cycles


def test_clock_bandwidth_and_sizes_of_the_command_line_come_before_the_accelerators(
    capsys: pytest.CaptureFixture[str],
):
    sized = ("--accelerator", "diannao-16x16", "--neurons", "8", "--clock", "100", "--bandwidth", "1.5", "--json")
    (told,) = json.loads(answered(capsys, "cost", "lenet", "fixed8", *sized))
    expected = cost("lenet", "fixed8", accelerator=Accelerator(neurons=8, clock_mhz=100, bandwidth=1.5))
    assert (told["cycles"], told["area_mm2"], told["clock_mhz"]) == (expected.cycles, expected.area_mm2, 100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--accelerator", "eyeriss", "--neurons", "8"),
            "--neurons: the accelerator 'eyeriss', of the dataflow 'loops'",
        ),
        (("--accelerator", "eyeriss", "--clock", "0"), "key 'clock_mhz': 0.0 was given"),
        (("--accelerator", "eyeriss", "--accelerator", "eyeriss"), "'eyeriss' is given twice"),
        (("--neurons", "0"), "neurons must be an integer of at least 1, not 0"),
    ],
)
def test_a_size_that_cannot_be_is_refused_in_a_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
):
    assert message in refused(capsys, "cost", "lenet", "fixed8", *arguments)


def test_layers_of_several_accelerators_are_told_apart(capsys: pytest.CaptureFixture[str]):
    machines = ("--accelerator", "diannao-16x16", "--accelerator", "diannao-8x16")
    told = answered(capsys, "cost", "lenet", "fixed8", "--layers", *machines)
    for machine in machines[1::2]:
        assert f"fixed8 on {machine} by layer, of one image" in told
