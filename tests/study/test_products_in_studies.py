"""A study of approximate products: trained through the table, lowered with it, priced by its circuit, stored, told."""

from __future__ import annotations

import json

import pytest
from in_process import InProcessExecutor

import fewbits as fb
from fewbits import StudyError, data
from fewbits.formats import parse_precision
from fewbits.hardware.multipliers import product_table
from fewbits.report import write_report
from fewbits.study import read_results, run_study, stored_network
from fewbits.study.plan import make_plan
from fewbits.study.result import run_json

CUT = {"name": "cut", "precision": "fixed8", "product": "truncated-6"}
QUICK = {
    "technology": "ihp-sg13g2",
    "precisions": ["fixed8", CUT],
    "recipes": ["post-training", "fine-tune"],
    "float_training": {"epochs": 6},
    "fine_tune": {"epochs": 3},
}


@pytest.fixture(scope="module")
def outcome(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    return run_study(tiny(**QUICK), folder, executor=InProcessExecutor()), folder


def test_the_product_is_part_of_the_key_and_other_runs_keep_theirs(tiny):
    runs = make_plan(tiny(**QUICK)).runs
    usual = make_plan(tiny(**{**QUICK, "precisions": ["fixed8"]})).runs
    assert [run.key for run in runs[:2]] == [run.key for run in usual]
    assert len({run.training.key for run in runs}) == 4
    other = make_plan(tiny(**{**QUICK, "precisions": [{**CUT, "product": "truncated-4"}]})).runs
    assert not {run.key for run in other} & {run.key for run in runs}


@pytest.mark.slow
def test_a_stored_network_computes_with_the_table_and_its_accuracy_is_that_of_the_run(outcome, tiny):
    found, folder = outcome
    assert found.failed == ()
    dataset = data.load(tiny().data[0].name)
    table = product_table("truncated-6", parse_precision("fixed8"))
    for run in found.results[2:]:
        network = stored_network(folder, "cut", recipe=run.recipe).network
        assert all(layer.products.tables == (table,) for layer in network.layers)
        classes = network.predict(dataset.inputs(dataset.test.images))
        assert 100 * float((classes == dataset.test.labels).double().mean()) == pytest.approx(run.accuracy_percent)
        exact = network.with_products(dict.fromkeys((layer.name for layer in network.layers), None))
        images = dataset.inputs(dataset.test.images)
        assert (exact.run(images) != network.run(images)).any()


@pytest.mark.slow
def test_training_follows_the_table(outcome):
    for run in outcome[0].results[2:]:
        assert run.differing_images <= 2  # of 200: float32's sums and integers'


@pytest.mark.slow
def test_the_cost_is_that_of_the_circuit(outcome):
    found, folder = outcome
    exact, cut = found.results[0], found.results[2]
    network = stored_network(folder, "cut", recipe="post-training").network
    cost = fb.cost(network, multiplier="truncated-6")
    assert (cut.area_mm2, cut.assumed_energy_uj) == (cost.area_mm2, cost.energy_uj)
    assert cut.energy_uj != cut.assumed_energy_uj  # from the network's own operands
    assert cut.area_mm2 < exact.area_mm2
    assert cut.multiplier.startswith("truncated-6")


@pytest.mark.slow
def test_store_json_and_report_name_it(outcome):
    found, folder = outcome
    assert read_results(folder) == found.results
    assert run_json(found.results[2])["assignment"] == CUT
    json.dumps([run_json(run) for run in found.results])
    write_report(folder)
    assert "| cut |" in (folder / "results.md").read_text()
    assert "truncated-6" in (folder / "runs.csv").read_text()
    assert "truncated-6" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_assignments_are_costed_on_the_machine_that_the_study_says(tiny, tmp_path):
    names = list(fb.quantize(fb.models.build(tiny().models[0], 0), "fixed8").layers)
    mixed = {"name": "mixed", "precision": "fixed8", "layers": {names[0]: "fixed4"}}
    areas, keys = {}, {}
    for datapaths in ("one", "each", "composable"):
        spec = tiny(**{**QUICK, "precisions": [mixed], "recipes": ["post-training"], "datapaths": datapaths})
        found = run_study(spec, tmp_path / datapaths, executor=InProcessExecutor())
        assert found.failed == ()
        (run,) = found.results
        network = stored_network(tmp_path / datapaths, "mixed").network
        cost = fb.cost(network, datapaths=datapaths)
        assert (run.area_mm2, run.assignment) == (pytest.approx(cost.area_mm2), mixed)
        assert read_results(tmp_path / datapaths) == (run,)
        areas[datapaths], keys[datapaths] = run.area_mm2, run.key
    assert areas["each"] > areas["one"]
    assert len(set(keys.values())) == 3


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"product": "truncated-99"}, "'cut' on model .*truncated-99"),
        ({"product": "mitchel"}, "mitchel"),
        ({"product": "truncated-6", "layers": {"0": "fixed4"}}, "a product, which is one circuit's"),
        ({"product": "truncated-6", "precision": "fixed16"}, "'cut' on model"),
        ({"product": 6}, "product"),
    ],
)
def test_a_bad_product_is_one_line_before_any_training(tiny, changed, words):
    with pytest.raises(StudyError, match=words) as caught:
        make_plan(tiny(**{**QUICK, "precisions": [{**CUT, **changed}]}))
    assert "\n" not in str(caught.value)
