"""What is wrong in an accelerator's description is said in one line that names the key; nothing else comes out."""

from __future__ import annotations

import math
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.errors import HardwareError
from fewbits.hardware import Axis, LoopAccelerator, LoopMemory, accelerator_from, accelerator_named, cost
from fewbits.hardware.dataflow.loops.reading import read_loops

ARRAY = Path(__file__).with_name("array.toml")
GOOD: dict[str, Any] = tomllib.loads(ARRAY.read_text(encoding="utf-8"))
DELETED = object()

BAD: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "a loop unrolled twice": (
        ("space",),
        [
            {"name": "a", "size": 8, "loops": ["K", "C"], "unroll": {"K": 4}},
            {"name": "b", "size": 8, "loops": ["K"], "unroll": {"K": 4}},
        ],
        "key 'space[1].unroll.K': 'K' is unrolled twice, here and along 'a'",
    ),
    "a loop listed twice": (("space", 0, "loops"), ["C", "C"], "key 'space[0].loops': 'C' is listed twice"),
    "a flat axis whose loop runs elsewhere": (("space", 1, "loops"), ["K", "FX"], "key 'space[1].loops': 'FX' runs"),
    "a flat axis with factors": (("space", 1, "unroll"), {"K": 2}, "key 'space[1].unroll': a flat axis"),
    "no bandwidth": (("bandwidth",), 0, "key 'bandwidth': 0 was given; it must be greater than 0"),
    "NaN": (("bandwidth",), math.nan, "key 'bandwidth': nan was given; it must be a finite number"),
    "an endless clock": (("clock_mhz",), math.inf, "key 'clock_mhz': inf was given"),
    "an axis of 10^9": (("space", 0, "size"), 10**9, "key 'space[0].size': 1000000000 was given; it must be less"),
    "an array of 10^9": (("space", 0, "size"), 10**7, "key 'space[1].size': the axes make 160,000,000 multipliers"),
    "a memory of 10^9 KiB": (("memory", 1, "kib"), 1e9, "key 'memory[1].kib': 1000000000.0 was given"),
    "a size of 3,000 digits": (("memory", 0, "values"), 10**3000, "key 'memory[0].values': 1000"),
    "a negative size": (("space", 1, "size"), -4, "key 'space[1].size': -4 was given"),
    "an operand without a memory": (("memory", 3, "holds"), ["inputs"], "key 'memory': no memory holds the outputs"),
    "unrolled beyond the axis": (
        ("space", 1),
        {"name": "columns", "size": 16, "loops": ["K"], "unroll": {"K": 17}},
        "key 'space[1].unroll': a product of 17 is beyond the axis, whose size is 16",
    ),
    "a factor of a loop that is not the axis's": (
        ("space", 1),
        {"name": "columns", "size": 16, "loops": ["K"], "unroll": {"OX": 2}},
        "key 'space[1].unroll': 'OX' is none of the axis's loops",
    ),
    "an unknown axis of instances": (
        ("memory", 1, "instances"),
        "row",
        "key 'memory[1].instances': 'row' was given; allowed are array, element, rows, columns; did you mean 'rows'?",
    ),
    "an unknown key": (("memory", 1, "row_bit"), 4, "did you mean 'row_bits'?"),
    "an unknown table": (("memories",), [], "unknown key 'memories': allowed here are"),
    "two axes of one name": (("space", 1, "name"), "rows", "key 'space[1].name': 'rows' is the name of another"),
    "two memories of one name": (("memory", 2, "name"), "inputs", "key 'memory[2].name': 'inputs' is the name"),
    "an axis named as all elements": (("space", 0, "name"), "element", "key 'space[0].name': 'element' says"),
    "a loop that is none": (("space", 0, "loops"), ["Z"], "key 'space[0].loops[0]': 'Z' was given; allowed are 'B'"),
    "text for a number": (("space", 0, "size"), "16", "key 'space[0].size': '16' was given; it must be a valid int"),
    "a truth value for a number": (("memory", 1, "ports"), True, "key 'memory[1].ports': True was given"),
    "a number for a table": (("memory", 1), 7, "key 'memory[1]': 7 was given; it is a table"),
    "a table for a list": (("space",), {"name": "a"}, "key 'space': {'name': 'a'} was given; it takes a list"),
    "no array": (("space",), [], "key 'space': [] was given; it takes at least one entry"),
    "a missing array": (("space",), DELETED, "key 'space' is missing: an accelerator needs an array"),
    "two sizes of a memory": (("memory", 1, "values"), 64, "key 'memory[1].values': the size is given as kib too"),
    "no size of a memory": (("memory", 1, "kib"), DELETED, "key 'memory[1].kib' is missing: a memory needs its size"),
    "no width of a memory": (("memory", 1, "row_values"), DELETED, "key 'memory[1].row_bits' is missing"),
    "a row of more than the memory": (("memory", 0, "row_values"), 2, "key 'memory[0].row_values': a row of 2 values"),
    "a size in axes that are none": (
        ("memory", 1, "row_values"),
        "rows * lines",
        "key 'memory[1].row_values': 'rows * lines' was given; it takes",
    ),
    "an operand held twice": (("memory", 1, "holds"), ["inputs", "inputs"], "key 'memory[1].holds': 'inputs' is list"),
    "memories from the outermost": (("memory",), GOOD["memory"][::-1], "key 'memory[3].instances': 'registers' feeds"),
    "a sum along an axis that has none": (
        ("space", 1, "outputs"),
        "adder-tree",
        "key 'space[1].outputs': 'adder-tree'",
    ),
    "an unknown objective": (("objective",), "area", "key 'objective': 'area' was given; allowed are 'energy'"),
    "an energy below 0": (("memory", 1, "read_pj_per_bit"), -1.0, "key 'memory[1].read_pj_per_bit': -1.0 was given"),
    "stated energies without their width": (("stated",), {"product_pj": 1.0}, "key 'stated.bits' is missing"),
    "a source of two lines": (("source",), "a\nb", "key 'source': 'a\\nb' was given; it takes a line of text"),
    "an unknown dataflow": (("dataflow",), "loop", "there is no dataflow 'loop': choose one of "),
    "a dataflow that is no name": (("dataflow",), 3, "key 'dataflow': 3 was given"),
}


def changed(place: tuple[Any, ...], value: object) -> dict[str, Any]:
    """The good description with one value changed."""
    table = deepcopy(GOOD)
    *parents, key = place
    inside: Any = table
    for parent in parents:
        inside = inside[parent]
    if value is DELETED:
        del inside[key]
    else:
        inside[key] = value
    return table


def refused(table: dict[str, Any]) -> str:
    with pytest.raises(HardwareError) as error:
        accelerator_from({"dataflow": "loops", **table})
    return str(error.value)


def test_the_description_without_a_mistake_is_read():
    assert accelerator_from({"dataflow": "loops", **GOOD}) == accelerator_named(ARRAY)


@pytest.mark.parametrize("case", BAD)
def test_a_bad_description_is_refused_in_a_line_that_names_the_key(case: str):
    place, value, message = BAD[case]
    said = refused(changed(place, value))
    assert message in said
    assert said.isprintable()
    assert len(said) < 500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"space = [", "malformed TOML"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"clock_mhz = 1" + b"0" * 5000, "a number or date is out of range"),
        (b"a = " + b"[" * 5000, "nested too deep"),
        (b"#" * (1 << 20) + b"\n", "more than 1,048,576 bytes"),
        (b"", "key 'space' is missing"),
        (b'dataflow = "diannao"\nneuron = 4', "unknown key 'neuron': an accelerator of the dataflow 'diannao' has"),
        (b'dataflow = "diannao"\nneurons = 0', "neurons must be an integer of at least 1, not 0"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_a_hostile_file_is_refused_by_its_name(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "my.toml"
    path.write_bytes(content)
    with pytest.raises(HardwareError, match=r"my\.toml") as error:
        accelerator_named(path)
    assert message in str(error.value)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path):
    (tmp_path / "folder.toml").mkdir()
    for name in ("folder.toml", "none.toml"):
        with pytest.raises(HardwareError, match="cannot read the accelerator"):
            accelerator_named(tmp_path / name)


def test_what_python_gives_is_checked_alike():
    with pytest.raises(HardwareError, match=r"key 'space\[0\].size': '4' was given"):
        LoopAccelerator((Axis("a", "4", ("K",)),), (LoopMemory("m", ("weights",), kib=1, row_bits=8),))  # pyright: ignore
    with pytest.raises(HardwareError, match="key 'space': None was given"):
        LoopAccelerator(None, ())  # pyright: ignore


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["K", "rows", "inputs"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
PLACES: list[tuple[Any, ...]] = [
    *((key,) for key in (*GOOD, "bandwidth", "clock_mhz", "stated", "pass_cycles", "x")),
    *(("space", n, key) for n in range(2) for key in ("name", "size", "loops", "unroll", "flat", "outputs", "y")),
    *(
        ("memory", n, key)
        for n in range(4)
        for key in ("name", "holds", "kib", "values", "row_values", "instances", "z")
    ),
    *((table, n) for table in ("space", "memory") for n in range(2)),
]


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_nothing_but_a_hardware_error_comes_out_of_a_description(place: tuple[Any, ...], value: object):
    try:
        made = read_loops(changed(place, value))
    except HardwareError as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert accelerator_from(made.definition()) == made


@settings(max_examples=100, deadline=None)
@given(table=st.dictionaries(st.sampled_from([*GOOD, "name", "dataflow", "unverified"]), VALUES))
def test_nothing_but_a_hardware_error_comes_out_of_any_table(table: dict[str, Any]):
    with pytest.raises(HardwareError):
        accelerator_from({"dataflow": "loops", **table})


def test_a_memory_too_small_for_one_tile_of_a_layer_is_refused_with_layer_memory_and_key():
    table = deepcopy(GOOD)
    table["memory"][1]["kib"] = 0.032
    with pytest.raises(HardwareError, match=r"memory 'inputs' is too small for layer 'conv1': .* more kib") as error:
        cost("lenet", "fixed16", accelerator=accelerator_from({"dataflow": "loops", **table}))
    assert str(error.value).isprintable()


def test_a_row_wider_than_its_memory_is_refused_at_the_format_that_makes_it_so():
    table = deepcopy(GOOD)
    table["memory"][1]["kib"] = 0.005
    with pytest.raises(HardwareError, match="a row of memory 'inputs' has 256 bits, the memory 40: make row_bits"):
        cost("lenet", "fixed16", accelerator=accelerator_from({"dataflow": "loops", **table}))


@pytest.mark.parametrize("name", ["adder_tree", "multipliers", "rest", "control", "clock", "off-chip"])
def test_a_memory_with_the_name_of_another_part_of_figures_is_refused(name: str):
    table = deepcopy(GOOD)
    table["memory"][1]["name"] = name
    with pytest.raises(HardwareError, match=f"memory '{name}' has the name of another part of figures"):
        cost("lenet", "fixed8", accelerator=accelerator_from({"dataflow": "loops", **table}))
