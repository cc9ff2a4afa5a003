"""A study over several accelerators: each network is trained once, and every figure tells which machine it is of."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from fewbits.errors import StudyError
from fewbits.hardware import Accelerator, accelerator_named
from fewbits.report import group_runs
from fewbits.report.table import csv_text
from fewbits.study import load_study, read_results, run_study
from fewbits.study.events import TaskStarted
from fewbits.study.plan import make_plan
from fewbits.study.result import run_json
from fewbits.study.spec import parse_study
from fewbits.study.stored import stored_network

ARRAY = Path(__file__).parents[1] / "hardware_accelerators" / "array.toml"
MACHINES = ["diannao-16x16", "diannao-4x16"]


def test_every_machine_has_its_runs_and_no_training_is_repeated(tiny):
    plan = make_plan(tiny(accelerators=MACHINES, precisions=["float32", "fixed8"]))
    assert [(run.accelerator_name, run.training.precision) for run in plan.runs] == [
        *(("diannao-16x16", "float32"), ("diannao-16x16", "fixed8")),
        *(("diannao-4x16", "float32"), ("diannao-4x16", "fixed8")),
    ]
    assert [run.accelerator for run in plan.runs[::2]] == [Accelerator(), Accelerator(neurons=4)]
    assert len({run.key for run in plan.runs}) == 4
    assert len({run.training.key for run in plan.runs}) == 2
    assert len(plan.float_trainings) == 1


def test_one_machine_leaves_the_keys_of_runs_as_they_are(tiny):
    keys = [[run.key for run in make_plan(spec).runs] for spec in (tiny(), tiny(accelerators=["diannao-16x16"]))]
    assert keys[0] == keys[1]
    assert "accelerators" not in tiny().definition()


@pytest.fixture(scope="module")
def outcome(tiny, tmp_path_factory: pytest.TempPathFactory):
    """A study of two machines, what it started, and its folder."""
    folder, started = tmp_path_factory.mktemp("machines"), []
    spec = tiny(
        accelerators=MACHINES, precisions=["float32", "fixed8"], float_training={"epochs": 1}, fine_tune={"epochs": 1}
    )
    done = run_study(spec, folder, workers=2, observer=lambda event: started.append(event))
    assert done.failed == ()
    return done, [event for event in started if isinstance(event, TaskStarted)], folder


@pytest.mark.slow
def test_two_workers_train_each_network_once(outcome):
    _, started, _ = outcome
    assert sorted(event.epochs for event in started if event.epochs) == [1, 1]


@pytest.mark.slow
def test_accuracy_is_that_of_one_network_and_cost_that_of_each_machine(outcome):
    results = outcome[0].results
    assert [run.accelerator for run in results] == [*[MACHINES[0]] * 2, *[MACHINES[1]] * 2]
    assert [run.accuracy_percent for run in results[:2]] == [run.accuracy_percent for run in results[2:]]
    assert results[0].area_mm2 > results[2].area_mm2


@pytest.mark.slow
def test_a_second_start_finds_all_of_it_done(outcome, tiny):
    done, _, folder = outcome
    spec = tiny(
        accelerators=MACHINES, precisions=["float32", "fixed8"], float_training={"epochs": 1}, fine_tune={"epochs": 1}
    )
    again = []
    assert run_study(spec, folder, workers=1, observer=again.append).results == done.results
    assert not [event for event in again if isinstance(event, TaskStarted)]


@pytest.mark.slow
def test_json_and_csv_name_the_machine_only_where_there_are_several(outcome):
    results = outcome[0].results
    assert [run_json(run)["accelerator"] for run in results[::2]] == MACHINES
    read = list(csv.DictReader(io.StringIO(csv_text(group_runs(results)))))
    assert [row["accelerator"] for row in read[::2]] == MACHINES


@pytest.mark.slow
def test_a_network_of_such_a_study_is_chosen_by_its_machine(outcome):
    folder = outcome[2]
    with pytest.raises(StudyError, match="choose one by model, data, recipe, seed or accelerator"):
        stored_network(folder, "fixed8")
    assert stored_network(folder, "fixed8", accelerator="diannao-4x16").accelerator == Accelerator(neurons=4)


@pytest.mark.slow
def test_results_are_read_with_their_machines(outcome):
    assert read_results(outcome[2]) == outcome[0].results


@pytest.mark.parametrize(
    "lines", ['accelerators = ["my.toml"]', '[accelerator]\nfile = "my.toml"', '[accelerator]\npreset = "my.toml"']
)
def test_a_file_is_looked_for_beside_the_study_and_kept_with_it(tiny, tmp_path: Path, lines: str):
    shutil.copy(ARRAY, tmp_path / "my.toml")
    text = f'name = "a"\nmodels = ["lenet"]\ndata = ["digits"]\nprecisions = ["fixed8"]\n{lines}\n'
    (tmp_path / "study.toml").write_text(text)
    spec = load_study(tmp_path / "study.toml")
    (tmp_path / "my.toml").unlink()
    again = parse_study(json.loads(json.dumps(spec.definition())), "store")
    for read in (spec, again):
        section = read.accelerator if read.accelerators is None else read.accelerators[0]
        made = make_plan(tiny(accelerators=[{"name": "my", "definition": section.given()}])).runs[0].accelerator
        assert made == accelerator_named(ARRAY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accelerators": ["eyeris"]}, "key 'accelerators': there is no accelerator 'eyeris'"),
        ({"accelerators": ["none.toml"]}, "key 'accelerators': cannot read the accelerator 'none.toml'"),
        ({"accelerators": []}, "key 'accelerators'.*at least one entry"),
        ({"accelerators": MACHINES[:1] * 2}, "key 'accelerators'.*'diannao-16x16' is listed twice"),
        ({"accelerators": MACHINES, "accelerator": {"neurons": 4}}, r"has a table \[accelerator\] too"),
        ({"accelerators": [3]}, "key 'accelerators"),
        ({"accelerator": {"preset": "eyeriss", "file": "a.toml"}}, "give preset or file, not both"),
        ({"accelerator": {"file": "none.toml"}}, "key 'accelerator': cannot read the accelerator"),
        ({"accelerator": {"preset": "eyeriss", "neurons": 4}}, "key 'accelerator'.*'loops' has no 'neurons'"),
        (
            {"accelerators": [{"name": "a", "definition": {"dataflow": "loops"}}]},
            "key 'accelerators'.*'space' is missing",
        ),
    ],
)
def test_what_is_no_accelerator_is_refused_with_its_key(tiny, changes, message: str):
    with pytest.raises(StudyError, match=message):
        make_plan(tiny(**changes))


@pytest.mark.slow
def test_a_machine_without_floats_has_costs_and_says_why_no_energy_is_saved(tiny, tmp_path: Path):
    spec = tiny(name="integers", precisions=["fixed8"], accelerators=["systolic-ws-4x4", MACHINES[0]])
    done = run_study(spec, tmp_path / "out", 1)
    assert not done.failed
    integers, tile = done.results
    assert integers.energy_saving_percent is None
    assert tile.energy_saving_percent is not None
    assert any("no energy saved is told, since float32 has no cost on this machine" in one for one in integers.notices)
