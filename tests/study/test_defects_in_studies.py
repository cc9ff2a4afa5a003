"""The table [defects] of a study: checked before any training, measured in each run, kept, and resumed."""

from __future__ import annotations

import html
import json
import shutil

import pytest
import torch
from in_process import InProcessExecutor
from scipy import stats

from fewbits import StudyError, data
from fewbits.hardware.defects import PLACES, DefectPlan, measure_defects
from fewbits.report import write_report
from fewbits.report.defects import PLACES as WORDS
from fewbits.study import DrawnAccuracies, StudyInterrupted, read_results, run_study, stored_network
from fewbits.study.defects import defect_task
from fewbits.study.defects import test_images as images_of
from fewbits.study.dry_run import dry_run
from fewbits.study.events import Measured, Notice, TaskMeasuring, TaskProgress, TaskStarted
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


@pytest.mark.parametrize("changed", [{"rates": [0, 0.02]}, {"draws": 4}, {"seed": 1}, {"images": 41}])
def test_each_key_makes_other_figures(tiny, changed):
    one, other = (defect_task(tiny(defects=table).defects) for table in (MEMORY, {**MEMORY, **changed}))
    assert one.definition() != other.definition()


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
    ({"where": "weights-memory", "voltages": "none.toml"}, "cannot read bit error rates"),
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
def test_a_precision_that_defects_do_not_take_is_named_before_any_training(tiny, tmp_path, precisions, defects, words):
    with pytest.raises(StudyError, match=words):
        dry_run(tiny(technology="ihp-sg13g2", precisions=precisions, defects=defects), tmp_path)


def test_a_machine_without_such_neurons_is_refused(tiny):
    with pytest.raises(StudyError, match=r"DianNao's neurons.*give a preset such as"):
        make_plan(tiny(technology="ihp-sg13g2", precisions=["fixed8"], accelerators=["systolic-ws"], defects=NETS))


def test_the_dry_run_tells_what_is_measured(tiny, tmp_path):
    planned = dry_run(tiny(precisions=["float32", "fixed8"], defects=MEMORY), tmp_path)
    line = "defects: weights-memory, 3 rates x 3 draws, in each of 1 runs; not in the 1 of float32"
    assert line in list(planned.lines())


VOLTAGES = "source = 'a sheet'\npoints = [[0.9, 0], [0.6, 0.2], [0.8, 0], [0.7, 0.01]]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "key 'defects.voltages': .*key 'source' is missing"),
        (VOLTAGES.replace("0.01", "0.3"), "falls from 0.3 at 0.7 V to 0.2 at 0.6 V"),
        (VOLTAGES.replace("0.9", "0.6"), "voltage 0.6 is twice"),
        (VOLTAGES.replace("0.9", "-0.9"), "a voltage is a number of volts"),
        (VOLTAGES.replace("0.2", "1.2"), "from 0 to 1, not 1.2"),
        (VOLTAGES + "\nrate = 1", "unknown key 'rate'"),
        ("points = [", "malformed TOML"),
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
        *(0, 0.01, 0.2),
    )


def test_every_place_has_words():
    assert set(WORDS) == set(PLACES)


def test_the_interval_is_scipys():
    drawn = DrawnAccuracies((90.0, 95.0, 91.0, 97.5))
    low, high = stats.t.interval(0.95, 3, loc=drawn.mean_percent, scale=stats.sem(drawn.percent))
    assert drawn.interval_percent == pytest.approx((high - low) / 2)


def study_run(spec, folder, observer=lambda event: None):
    return run_study(spec, folder, observer=observer, executor=InProcessExecutor())


@pytest.fixture(scope="module")
def outcome(tiny, tmp_path_factory):
    folder, events = tmp_path_factory.mktemp("memory"), []
    spec = tiny(precisions=["float32", "fixed8"], defects=MEMORY, **QUICK)
    return study_run(spec, folder, events.append), events, folder, spec


def test_a_run_keeps_what_one_call_measures_of_its_stored_network(outcome):
    found, _, folder, spec = outcome
    network = stored_network(folder, "fixed8").network
    dataset = data.load(spec.data[0].name)
    chosen = torch.arange(40) * 5
    images = dataset.inputs(dataset.test.images[chosen])
    plan = DefectPlan("weights-memory", rates=(0, 0.01, 0.2), draws=3)
    curve = measure_defects(network, images, dataset.test.labels[chosen], plan)
    kept = found.results[1].defects
    assert [row.faulty.percent for row in kept.rows] == [row.faulty.percent for row in curve.rows]
    assert (kept.exact_percent, kept.images, kept.notes) == (curve.exact_percent, 40, curve.notes)
    assert set(kept.rows[0].faulty.percent) == {kept.exact_percent}


def test_float32_is_measured_with_none_and_a_notice_says_so(outcome):
    found, events, _, _ = outcome
    assert found.results[0].defects is None
    assert any("not in the 1 of float32" in event.text for event in events if isinstance(event, Notice))


def test_progress_is_told(outcome):
    told = [event.measured for event in outcome[1] if isinstance(event, TaskMeasuring)]
    assert {one.of for one in told} == {9}
    assert [one.done for one in told] == list(range(1, 10))


def test_the_store_gives_back_what_was_measured_and_json_prints_it(outcome):
    found, _, folder, _ = outcome
    assert read_results(folder) == found.results
    printed = json.loads(json.dumps(run_json(found.results[1])))["defects"]
    row = found.results[1].defects.rows[1]
    assert printed["rows"][1]["faulty"]["mean_percent"] == row.faulty.mean_percent
    assert "defects" not in run_json(found.results[0])


def test_the_report_has_sentence_tables_and_charts(outcome):
    folder = outcome[2]
    names = {path.name for path in write_report(folder)}
    assert {"defects.csv", "draws.csv", "defects-weights-memory.png", "defects-weights-memory.svg"} <= names
    assert "bit error rate of the weights' memory" in html.unescape((folder / "report.html").read_text())
    assert "bit error rate of the weights' memory" in (folder / "results.md").read_text()
    assert len((folder / "draws.csv").read_text().splitlines()) == 1 + 9
    assert len((folder / "defects.csv").read_text().splitlines()) == 1 + 3


def test_defects_added_to_a_study_take_the_stored_networks(tiny, tmp_path):
    spec = tiny(precisions=["fixed8"], **QUICK)
    study_run(spec, tmp_path)
    events = []
    asked = tiny(precisions=["fixed8"], defects=MEMORY, **QUICK)
    found = study_run(asked, tmp_path, events.append)
    assert not [event for event in events if isinstance(event, TaskProgress)]
    assert found.results[0].defects is not None
    assert any("since what [defects] asks for changed" in one.text for one in events if isinstance(one, Notice))
    again = []
    study_run(spec, tmp_path, again.append)
    assert not [event for event in again if isinstance(event, TaskStarted)]


class CutOff(InProcessExecutor):
    """Ends when so many accuracies are there."""

    def look(self, value):
        if isinstance(value, Measured) and value.done == 5:
            raise KeyboardInterrupt


def test_a_measurement_that_was_cut_off_goes_on_behind_the_last_amount(outcome, tmp_path):
    _, _, _, spec = outcome
    with pytest.raises(StudyInterrupted, match="the same command goes on"):
        run_study(spec, tmp_path, executor=CutOff())
    events = []
    found = study_run(spec, tmp_path, events.append)
    assert [event.measured.done for event in events if isinstance(event, TaskMeasuring)] == list(range(4, 10))
    assert [one.defects for one in found.results] == [one.defects for one in outcome[0].results]


def test_a_damaged_measurement_is_made_anew(outcome, tmp_path):
    shutil.copytree(outcome[2], tmp_path / "copy")
    for path in (tmp_path / "copy" / "defects").iterdir():
        path.write_bytes(path.read_bytes()[:-3] + b"abc")
    spec = outcome[3].model_copy(update={"recipes": ("fine-tune", "best")})
    found = study_run(spec, tmp_path / "copy")
    assert {one.defects for one in found.results[1:]} == {outcome[0].results[1].defects}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_a_digit(outcome, tmp_path, workers, figures):
    found = run_study(outcome[3], tmp_path, workers)
    assert figures(found.results) == figures(outcome[0].results)


@pytest.mark.slow
def test_stuck_nets_are_repaired_and_priced_and_a_memory_is_retrained(tiny, tmp_path):
    nets = tiny(technology="ihp-sg13g2", precisions=["fixed8"], defects=NETS, **QUICK)
    row = study_run(nets, tmp_path / "nets").results[0].defects.rows[1]
    assert row.repaired.percent == (row.repaired.percent[0],) * 2
    assert all(row.price.disabled_neurons)
    assert {"defects-datapath.png", "defects-datapath-repair.png"} <= {
        path.name for path in write_report(tmp_path / "nets")
    }
    memory = tiny(precisions=["fixed8"], defects={**MEMORY, "retrain_epochs": 1, "draws": 2}, **QUICK)
    kept = study_run(memory, tmp_path / "memory").results[0].defects
    assert all(row.retrained is not None for row in kept.rows)


@pytest.mark.slow
def test_a_file_of_voltages_makes_rows_of_voltages(tiny, workplace, tmp_path):
    (workplace / "v.toml").write_text(VOLTAGES)
    table = {"where": "weights-memory", "voltages": str(workplace / "v.toml"), "draws": 2, "images": 40}
    kept = study_run(tiny(precisions=["fixed8"], defects=table, **QUICK), tmp_path).results[0].defects
    assert [(row.voltage_v, row.amount) for row in kept.rows] == [
        *((0.9, 0), (0.8, 0), (0.7, 0.01), (0.6, 0.2)),
    ]
    assert "bit error rates by supply voltage: a sheet" in kept.notes
    assert "defects-weights-memory-voltage.png" in {path.name for path in write_report(tmp_path)}


def test_images_are_evenly_spaced_in_the_test_split(tiny):
    dataset = data.load(tiny().data[0].name)
    images, labels = images_of(dataset, 4)
    assert torch.equal(images, dataset.inputs(dataset.test.images[torch.tensor([0, 50, 100, 150])]))
    assert torch.equal(labels, dataset.test.labels[::50])
    assert len(images_of(dataset, None)[1]) == 200
