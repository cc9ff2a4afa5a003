"""Assignments: a precision for each layer, in a file, in a study, in a cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from typer.testing import CliRunner

import fewbits as fb
from fewbits.cli import app
from fewbits.errors import FewbitsError
from fewbits.formats import Assignment, parse_precision
from fewbits.models import build
from fewbits.study import run_study
from fewbits.study.plan import make_plan
from fewbits.study.spec import parse_study
from fewbits.study.stored import stored_network
from fewbits.train import RECIPES
from fewbits.train.recipes import prepare_recipe

MIXED = {"name": "mixed", "precision": "fixed4", "layers": {"conv1": "fixed8", "fc2": "ternary/fixed8"}}
NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
PRECISIONS = st.sampled_from(("fixed8", "fixed3", "pow2-6/fixed16", "binary", "fp8-e4m3"))


@given(name=NAMES.map("a {}".format), layers=st.dictionaries(NAMES, PRECISIONS, max_size=5), usual=PRECISIONS)
def test_a_written_file_is_read_back(name, layers, usual, tmp_path_factory):
    one = Assignment.from_definition({"name": name, "precision": usual, "layers": layers})
    path = tmp_path_factory.mktemp("written") / "one.toml"
    one.write(path)
    assert Assignment.read(path) == one


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "key 'name' is missing: an assignment needs name and precision"),
        ("name = 'x'", "key 'precision' is missing"),
        ("name = 'x'\nprecision = 'fixed99'", "key 'precision': .*fixed99"),
        ("name = 'x'\nprecision = 8", "key 'precision': 8 was given"),
        ("name = 'x'\nprecision = 'fixed8'\nlayers = ['conv1']", "key 'layers'"),
        ("name = 'x'\nprecision = 'fixed8'\nlayers = { conv1 = 8 }", r"key 'layers.conv1': 8 was given"),
        ("name = 'x'\nprecision = 'fixed8'\nlayers = { conv1 = 'fixd8' }", "layer 'conv1': .*fixd8"),
        ("name = 'x'\nprecision = 'fixed8'\nlayer = {}", "unknown key 'layer': .*did you mean 'layers'"),
        ("name = 'fixed4'\nprecision = 'fixed8'", "'fixed4' is a precision's name: give the assignment another"),
        ("name = 'x.toml'\nprecision = 'fixed8'", "does not end in .toml"),
        ('name = "a\\nb"\nprecision = "fixed8"', "no control characters"),
        ("name = ", "malformed TOML"),
        ("a = " + "[" * 10_000, "malformed TOML"),
        ("#" * (1 << 20) + "\n", "has more than 1,048,576 bytes"),
        (
            "name='x'\nprecision='fixed8'\n[layers]\n" + "\n".join(f"l{n}='fixed8'" for n in range(10_001)),
            "at most 10000 items",
        ),
    ],
)
def test_a_bad_file_is_one_line_of_what_to_do(text, words, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(fb.FormatError, match=words) as caught:
        Assignment.read(path)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_said(tmp_path):
    with pytest.raises(fb.FormatError, match=r"cannot read the assignment .*No such file"):
        Assignment.read(tmp_path / "none.toml")


def _study(**changes) -> dict:
    return {"name": "s", "models": ["lenet"], "data": ["digits"], "precisions": ["fixed8"]} | changes


def test_a_plain_precision_keeps_its_keys_beside_an_assignment(tmp_path):
    alone = make_plan(parse_study(_study(), "s.toml"))
    beside = make_plan(parse_study(_study(precisions=["fixed8", MIXED]), "s.toml"))
    assert alone.runs[0].key == beside.runs[0].key
    assert alone.runs[0].training.key == beside.runs[0].training.key
    assert [run.training.precision for run in beside.runs] == ["fixed8", "mixed"]


def test_other_layers_are_another_run():
    other = MIXED | {"layers": {"conv1": "fixed8"}}
    keys = [make_plan(parse_study(_study(precisions=[one]), "s.toml")).runs[0].key for one in (MIXED, other)]
    assert keys[0] != keys[1]


def test_a_study_keeps_what_an_assignments_file_held(tmp_path):
    Assignment.from_definition(MIXED).write(tmp_path / "best.toml")
    spec = parse_study(_study(precisions=["fixed8", "best.toml"]), "s.toml", tmp_path)
    (tmp_path / "best.toml").unlink()
    assert spec.definition()["precisions"] == ["fixed8", MIXED]
    assert parse_study(spec.definition(), "again").definition() == spec.definition()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "m", "precision": "fixed8", "layers": {"conv9": "fixed4"}}, "no layer 'conv9' to quantize"),
        ({"name": "m", "precision": "fixed8", "layers": {"conv1": "fixed99"}}, "layer 'conv1': .*fixed99"),
        ({"name": "m", "layers": {"conv1": "fixed4"}}, "needs the precision of the layers"),
        ({"name": "fixed4", "precision": "fixed8"}, "'fixed4' is a precision's name"),
        ({"name": "m", "precision": "fixed8", "layer": {}}, "unknown key"),
        ({"precision": "fixed8"}, "key 'precisions.*name' is missing"),
        (8, "key 'precisions"),
        ("none.toml", "cannot read the assignment"),
        ({"name": "m", "precision": "fixed8", "layers": {"conv1": "float32/fixed8"}}, "'m' on model 'lenet'"),
    ],
)
def test_a_bad_entry_is_refused_before_any_training(entry, words, tmp_path):
    with pytest.raises(fb.StudyError, match=words) as caught:
        make_plan(parse_study(_study(precisions=[entry]), "s.toml", tmp_path))
    assert "\n" not in str(caught.value)


def test_a_relu_of_signs_is_refused_before_any_training(tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef make(first, second):\n"
        "    layers = [nn.Conv2d(1, 4, 3), first, second, nn.Flatten(), nn.Linear(676, 10)]\n"
        "    return nn.Sequential(*layers)\n\n\n"
        "def behind():\n    return make(nn.MaxPool2d(2), nn.ReLU())\n\n\n"
        "def before():\n    return make(nn.ReLU(), nn.MaxPool2d(2))\n"
    )
    study = _study(precisions=["binary"], recipes=["post-training"])
    make_plan(parse_study(study | {"models": ["net.py:before"]}, "s.toml", tmp_path))
    with pytest.raises(fb.StudyError, match=r"'binary' on model 'net\.py:behind': '2' is a ReLU of values"):
        make_plan(parse_study(study | {"models": ["net.py:behind"]}, "s.toml", tmp_path))


def test_a_name_is_listed_once():
    with pytest.raises(fb.StudyError, match="listed twice"):
        parse_study(_study(precisions=[MIXED, MIXED]), "s.toml")


@pytest.mark.parametrize("recipe", [name for name, one in RECIPES.items() if not one.takes_layers])
def test_a_recipe_that_chooses_formats_itself_takes_no_layers(recipe):
    with pytest.raises(FewbitsError, match="chooses the layers' formats itself"):
        prepare_recipe(recipe, build("lenet", 0), "binary", {"conv1": "fixed8"})


def test_a_recipe_looks_at_the_precision_of_every_layer():
    with pytest.raises(fb.ModelError, match=r"lsq-free.*pow2-6/fixed16"):
        prepare_recipe("lsq-free", build("lenet", 0), "fixed8", {"conv1": "pow2-6/fixed16"})


@pytest.mark.parametrize("recipe", ["post-training", "fine-tune", "lsq", "pact", "distill"])
def test_a_trained_network_has_the_layers_formats(recipe, tmp_path):
    from fewbits import data
    from fewbits.train import TrainSettings, run_recipe

    class Small(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10))

    torch.manual_seed(0)
    digits = data.load("digits")
    layers = {"1": "fixed8", "3": "ternary/fixed4"}
    settings = TrainSettings(epochs=1, calibration_images=64)
    model, _ = run_recipe(recipe, Small(), "fixed4", digits, settings, layers=layers)
    network = fb.lower(model, digits.inputs(digits.train.images[:1]))
    found = {one.name: f"{one.weight_format.name}/{one.input_format.name}" for one in network.layers}
    assert found == {"1": "fixed8/fixed8", "3": "ternary/fixed4"}


def test_a_cost_takes_an_assignment():
    one = Assignment("mixed", parse_precision("fixed4"), {"conv1": parse_precision("fixed8")})
    cost = fb.cost("lenet", one)
    assert (cost.precision, set(cost.layer_datapaths.values())) == ("mixed", {"fixed8"})


def test_the_command_cost_takes_an_assignments_file(tmp_path):
    Assignment.from_definition(MIXED).write(tmp_path / "best.toml")
    done = CliRunner().invoke(app, ["cost", "lenet", "fixed8", str(tmp_path / "best.toml"), "--json"])
    assert [one["precision"] for one in json.loads(done.stdout)] == ["fixed8", "mixed"]


@pytest.mark.slow
def test_a_study_trains_tests_costs_and_stores_an_assignment(tiny, tmp_path):
    names = list(fb.quantize(build(tiny().models[0], 0), "fixed8").layers)
    entry = {"name": "mixed", "precision": "fixed8", "layers": {names[0]: "binary/fixed16"}}
    (float32, mixed) = run_study(tiny(precisions=["float32", entry]), tmp_path / "out", 1).results
    assert (mixed.precision, mixed.assignment) == ("mixed", entry)
    assert float32.assignment == {}
    network = stored_network(tmp_path / "out", "mixed").network
    assert network.layers[0].weight_format.name == "binary"
    done = CliRunner().invoke(app, ["report", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "mixed" in (Path(tmp_path) / "out" / "runs.csv").read_text()


def test_a_study_says_how_the_machine_is_built_and_other_studies_keep_their_keys():
    values = {"name": "s", "models": ["lenet"], "data": ["digits"], "precisions": ["fixed8", MIXED]}
    usual, one, each = (
        make_plan(parse_study(values | more, "here")) for more in ({}, {"datapaths": "one"}, {"datapaths": "each"})
    )
    assert [run.key for run in usual.runs] == [run.key for run in one.runs]
    assert not {run.key for run in usual.runs} & {run.key for run in each.runs}
    assert [run.training.key for run in usual.runs] == [run.training.key for run in each.runs]


def test_a_study_refuses_datapaths_that_there_are_not_and_precisions_that_they_do_not_compute():
    values = {"name": "s", "models": ["lenet"], "data": ["digits"], "precisions": ["float32", "fp8-e4m3"]}
    with pytest.raises(FewbitsError, match="key 'datapaths'"):
        parse_study(values | {"datapaths": "many"}, "here")
    with pytest.raises(FewbitsError, match=r"fp8-e4m3.*no layer has such"):
        make_plan(parse_study(values | {"datapaths": "composable"}, "here"))
