"""The table [defects] of a study: checked before any training, measured in each run, kept, and resumed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from in_process import in_process  # noqa: F401 (a fixture)
from scipy import stats

import fewbits as fb
from fewbits import StudyError, data
from fewbits.hardware.defects import PLACES, DefectPlan, measure_defects
from fewbits.report import write_report
from fewbits.report.defects import PLACES as WORDS
from fewbits.study import DrawnAccuracies, StudyInterrupted, read_results, run_study, stored_network
from fewbits.study.defects import test_images as images_of
from fewbits.study.dry_run import dry_run
from fewbits.study.events import Notice, TaskMeasuring
from fewbits.study.plan import make_plan
from fewbits.study.result import run_json

MEMORY = {"where": "weights-memory", "rates": [0, 0.01, 0.2], "draws": 3, "images": 40}
NETS = {"where": "datapath", "counts": [0, 2], "draws": 2, "images": 8, "repair": "others"}
QUICK = {"float_training": {"epochs": 2}, "fine_tune": {"epochs": 1}}


@pytest.mark.parametrize("defects", [MEMORY, NETS])
def test_no_key_of_a_training_or_of_float32_follows_from_defects(tiny, defects):
    without, asked = (make_plan(tiny(precisions=["float32", "fixed8"], **more)) for more in ({}, {"defects": defects}))
    assert [run.training.key for run in without.runs] == [run.training.key for run in asked.runs]
    assert without.runs[0].key == asked.runs[0].key
    assert without.runs[1].key != asked.runs[1].key
    assert "defects" not in without.runs[1].definition


@pytest.mark.parametrize(
    "changed", [{"rates": [0, 0.02]}, {"draws": 4}, {"seed": 1}, {"images": 41}, {"retrain_epochs": 1}]
)
def test_each_key_makes_another_run_of_the_same_training(tiny, changed):
    one, other = (
        make_plan(tiny(precisions=["fixed8"], defects=table)).runs[0] for table in (MEMORY, {**MEMORY, **changed})
    )
    assert one.key != other.key
    assert one.training.key == other.training.key


BAD = [
    ({"wher": "datapath"}, r"unknown key 'defects\.wher'.*did you mean 'where'"),
    ({"where": "attic", "counts": [1]}, "key 'defects': .*neuron, datapath.*not in 'attic'"),
    ({"where": "datapath"}, "told by counts, one at least"),
    ({"where": "datapath", "counts": []}, "told by counts, one at least"),
    ({"where": "datapath", "counts": [1], "rates": [0.1]}, "told by counts"),
    ({"where": "datapath", "rates": [0.1]}, "told by counts"),
    ({"where": "weights-memory", "counts": [1]}, "told by rates"),
    ({"where": "datapath", "counts": [-1]}, "integer from 0, not -1"),
    ({"where": "datapath", "counts": [1.5]}, r"key 'defects\.counts\[0\]'"),
    ({"where": "datapath", "counts": [True]}, r"key 'defects\.counts\[0\]'"),
    ({"where": "datapath", "counts": [10**9]}, "'fixed8' on model"),
    ({"where": "datapath", "counts": [2, 2]}, "twice"),
    ({"where": "weights-memory", "rates": [1.5]}, "from 0 to 1, not 1.5"),
    ({"where": "weights-memory", "rates": [-0.1]}, "from 0 to 1"),
    ({"where": "weights-memory", "rates": [float("nan")]}, "from 0 to 1"),
    ({"where": "weights-memory", "rates": ["0.1"]}, r"key 'defects\.rates\[0\]'"),
    ({"where": "weights-memory", "rates": 0.1}, "it takes a list"),
    ({**MEMORY, "draws": 1}, "at least 2 draws"),
    ({**MEMORY, "seed": -1}, "a seed is an integer from 0"),
    ({**MEMORY, "retrain_epochs": 0}, "1 to 1000 epochs"),
    ({**MEMORY, "repair": "others"}, "leave out repair"),
    ({**NETS, "repair": "glue"}, "a repair is one of"),
    ({**MEMORY, "where": "inputs-memory", "retrain_epochs": 1}, "not of the inputs-memory"),
    ({**MEMORY, "images": 0}, "key 'defects.images'"),
    ({**MEMORY, "images": 201}, "more than the 200 of the test split"),
    ({**MEMORY, "voltages": "v.toml"}, "give rates or voltages"),
    ({"where": "weights-memory", "voltages": "none.toml"}, "cannot read the voltages"),
    ("weights-memory", r"it is a table: write it as \[defects\]"),
]


@pytest.mark.parametrize(("table", "words"), BAD)
def test_a_bad_table_is_one_line(tiny, table, words):
    with pytest.raises(StudyError, match=words) as caught:
        make_plan(tiny(precisions=["fixed8"], defects=table))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("precisions", "defects", "words"),
    [
        (["fixed8", "fp8-e4m3"], NETS, "'fp8-e4m3' on model .*neurons of integers"),
        (["float32"], MEMORY, "'float32'? are not measured|float32 are not measured"),
        ([{"name": "cut", "precision": "fixed8", "product": "truncated-6"}], NETS, "'cut' on model"),
    ],
)
def test_a_precision_that_defects_do_not_take_is_named_before_any_training(
    tiny, tmp_path, precisions, defects, words
):
    with pytest.raises(StudyError, match=words):
        dry_run(tiny(technology="ihp-sg13g2", precisions=precisions, defects=defects), tmp_path)


def test_a_machine_without_such_neurons_is_refused(tiny):
    with pytest.raises(StudyError, match=r"DianNao's neurons.*give a preset such as"):
        make_plan(tiny(technology="ihp-sg13g2", precisions=["fixed8"], accelerators=["systolic-16x16"], defects=NETS))


def test_the_dry_run_tells_what_is_measured(tiny, tmp_path):
    planned = dry_run(tiny(precisions=["float32", "fixed8"], defects=MEMORY), tmp_path)
    line = "defects: weights-memory, 3 rates x 3 draws, in each of 1 runs; not in the 1 of float32"
    assert line in list(planned.lines())


VOLTAGES = "source = 'a sheet'\nvoltages_v = [0.9, 0.6, 0.7]\nrates = [0, 0.2, 0.01]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "key 'source' is missing: a file of voltages needs source"),
        (VOLTAGES.replace("0.9, ", ""), "2 voltages_v and 3 rates"),
        (VOLTAGES.replace("0.01", "0.3"), "rises as the voltage falls"),
        (VOLTAGES.replace("0.9", "0.6"), "each voltage once"),
        (VOLTAGES.replace("0.9", "-0.9"), "voltages_v"),
        (VOLTAGES.replace("0.2", "1.2"), "rates"),
        (VOLTAGES + "\nrate = 1", "unknown key 'rate'"),
        ("voltages_v = [", "malformed TOML"),
    ],
)
def test_a_bad_file_of_voltages_is_one_line(tiny, workplace, text, words):
    (workplace / "bad.toml").write_text(text)
    with pytest.raises(StudyError, match=words) as caught:
        tiny(defects={"where": "weights-memory", "voltages": str(workplace / "bad.toml")})
    assert "\n" not in str(caught.value)


def test_a_study_keeps_what_a_file_of_voltages_held(tiny, workplace):
    (workplace / "v.toml").write_text(VOLTAGES)
    spec = tiny(defects={"where": "weights-memory", "voltages": str(workplace / "v.toml")})
    (workplace / "v.toml").unlink()
    again = tiny(**{"defects": spec.definition()["defects"]})
    assert again.definition() == spec.definition()
    assert make_plan(spec.model_copy(update={"precisions": spec.precisions[1:2]})).runs[0].defects.plan.rates == (
        *(0, 0.2, 0.01),
    )


def test_every_place_has_words():
    assert set(WORDS) == set(PLACES)


def test_the_interval_is_scipys():
    drawn = DrawnAccuracies((90.0, 95.0, 91.0, 97.5))
    low, high = stats.t.interval(0.95, 3, loc=drawn.mean_percent, scale=stats.sem(drawn.percent))
    assert drawn.interval_percent == pytest.approx((high - low) / 2)


@pytest.fixture(scope="module")
def outcome(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    events = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fewbits.study.engine.ProcessExecutor", InProcess)
        spec = tiny(precisions=["float32", "fixed8"], defects=MEMORY, **QUICK)
        return run_study(spec, folder, 1, observer=events.append), events, folder, spec
