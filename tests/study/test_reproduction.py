"""The reproduction's stored results and the page made of them: nothing in it is written by hand but the words."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from fewbits.hardware import cost
from fewbits.report.accuracy_chart import accuracy_energy_chart
from fewbits.report.rows import Group
from fewbits.study import load_study
from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "docs" / "reproduction"


def script(name: str) -> ModuleType:
    """A script of the tree as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    return script("reproduction_tables")


def entry(precision: str, accuracy: float, seed: int = 0, **changed: object) -> dict[str, object]:
    """A stored run of LeNet on MNIST."""
    return {
        "model": "lenet",
        "data": "mnist",
        "precision": precision,
        "recipe": "float" if precision == "float32" else "fine-tune",
        "seed": seed,
        "accuracy_percent": accuracy,
        "fake_quantized_accuracy_percent": accuracy,
        "float_accuracy_percent": 99.0,
        "validation_accuracy_percent": 98.0,
        "differing_images": 0,
        "test_images": 10_000,
        "epochs": 4,
        "best_epoch": 3,
        "skipped": [],
        "notices": [],
        "versions": {},
        "training_key": f"{precision}-{seed}",
        "training_wall_time_s": 90.0,
    } | changed


def lines_of(tables: ModuleType, *entries: dict[str, object]) -> list[list[str]]:
    """The cells of the MNIST table made of these runs."""
    text = tables.sections(entries, lambda *_: "")["mnist"]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_published_accuracies_are_those_of_the_reference(shared: Path):
    reference = json.loads((shared / "reference" / "date2017.json").read_text())
    ours = json.loads((STORED / "published.json").read_text())
    assert ours == {name: reference[name] for name in ours}
    assert "accuracy_percent_and_energy_uJ" in ours


def test_a_line_puts_the_published_figures_beside_ours(tables: ModuleType):
    *_, fixed4 = lines_of(tables, entry("float32", 99.0), entry("fixed4", 98.5))
    assert fixed4[:7] == ["fixed4", "fine-tune", "0", "98.50", "95.76", "-0.50", "-3.44"]
    assert fixed4[10:] == ["92.9", "4", "3", "1.5"]  # saved as published: 1 - 4.31 / 60.74


def test_seeds_are_joined_with_their_spread(tables: ModuleType):
    runs = [entry(precision, accuracy, seed) for seed in (0, 1) for precision, accuracy in (("float32", 99.0 + seed),)]
    assert lines_of(tables, *runs)[-1][2:4] == ["0, 1", "99.50 ± 0.71"]


def test_both_recipes_stand_in_a_precisions_lines_and_best_says_what_it_stands_for(tables: ModuleType):
    runs = [
        entry(precision, accuracy + seed / 10, seed, recipe=recipe, stands_for=stands_for)
        for precision, accuracy, recipe, stands_for in (
            ("float32", 99.0, "float", ""),
            ("fixed8", 98.9, "fine-tune", ""),
            ("fixed8", 98.9, "best", "fine-tune"),
            ("fixed4", 98.0, "fine-tune", ""),
            ("ternary/fixed8", 98.0, "fine-tune", ""),
            ("ternary/fixed8", 98.5, "best", "distill"),
        )
        for seed in (0, 1, 2)
    ]
    assert [line[:4] for line in lines_of(tables, *runs)[2:]] == [
        ["float32", "float", "0, 1, 2", "99.10 ± 0.10"],
        ["fixed8", "fine-tune", "0, 1, 2", "99.00 ± 0.10"],
        ["fixed8", "best (= fine-tune)", "0, 1, 2", "99.00 ± 0.10"],
        ["fixed4", "fine-tune", "0, 1, 2", "98.10 ± 0.10"],
        ["ternary/fixed8", "fine-tune", "0, 1, 2", "98.10 ± 0.10"],
        ["ternary/fixed8", "best (= distill)", "0, 1, 2", "98.60 ± 0.10"],
    ]
    assert "twelfth: ternary/fixed8 by best (= distill) (98.60 %)" in tables.sections(runs, lambda *_: "")["mnist"]


def test_a_row_tells_the_epoch_that_was_kept_of_each_seed(tables: ModuleType):
    kept = {0: 4, 1: 0, 2: 3}
    runs = [entry("fixed8", 99.0, seed=seed) | {"best_epoch": epoch} for seed, epoch in kept.items()]
    head, _, *lines = lines_of(tables, entry("float32", 99.0), *runs)
    assert lines[1][head.index("kept")] == "4, start, 3"


def test_a_chart_has_one_point_for_a_network_of_two_recipes(tables: ModuleType):
    best = entry("fixed8", 98.9, recipe="best", stands_for="fine-tune")
    drawn: list[str] = []

    def draw(_: str, group: Group) -> str:
        drawn.append(accuracy_energy_chart(group, "chart").description)
        return ""

    tables.sections([entry("float32", 99.0), entry("fixed8", 98.9), best], draw)
    assert drawn[0].count("fixed8") == 1


def test_what_did_not_converge_as_published_says_so(tables: ModuleType):
    assert tables.published_figures("alex", "cifar10")["fixed4"] is None
    run = entry("fixed4", 78.0, model="alex", data="cifar10")
    assert "did not converge" in tables.sections([run], lambda *_: "")["cifar10"]


def measured(precision: str, accuracy: float, uj: float, model: str = "lenet", **changed: object) -> dict[str, object]:
    """A stored run with the energy of its own operands, on the technology table of today."""
    assumed = cost(model, precision).energy_uj
    energy = {"uj": uj, "interval_uj": uj / 50, "activity": "Own operands", "assumed_activity_uj": assumed}
    return entry(precision, accuracy, model=model, measured_energy=energy | changed)


def energies_of(tables: ModuleType, *entries: dict[str, object]) -> list[tuple[str, str]]:
    """Energy and what it saves, line by line of the MNIST table."""
    head, _, *lines = lines_of(tables, *entries)
    return [(line[head.index("energy an image [µJ]")], line[head.index("saved [%]")]) for line in lines]


def test_measured_energies_stand_in_the_table_and_in_what_is_saved(tables: ModuleType):
    runs = [measured("float32", 99.0, 200.0), measured("fixed8", 98.9, 30.0)]
    assert energies_of(tables, *runs) == [("200", "0.0"), ("30", "85.0")]
    assert "rest on" not in tables.sections(runs, lambda *_: "")["mnist"]
    assert tables.activity_line(runs) == "Own operands. 95 % interval over images: at most ± 2.0 %."
    (_, fixed8) = tables.results_of(runs)
    assert fixed8.power_mw == pytest.approx(30.0 / (fixed8.cycles / fixed8.clock_mhz) * 1000)


@pytest.mark.parametrize(
    "other", [entry("fixed8", 98.9), measured("fixed8", 98.9, 30.0, assumed_activity_uj=1.0)], ids=["lacking", "stale"]
)
def test_a_network_with_one_energy_not_measured_today_has_all_at_the_assumed_activity(
    tables: ModuleType, other: dict[str, object]
):
    runs = [measured("float32", 99.0, 200.0), other]
    assumed = [f"{cost('lenet', precision).energy_uj:.4g}" for precision in ("float32", "fixed8")]
    assert [energy for energy, _ in energies_of(tables, *runs)] == assumed
    assert "Energies of this network rest on" in tables.sections(runs, lambda *_: "")["mnist"]


def test_networks_at_the_assumed_activity_are_in_no_comparison(tables: ModuleType):
    runs = [measured("float32", 99.0, 200.0), measured("fixed8", 98.9, 30.0)]
    runs += [measured("float32", 98.0, 90.0, "mlp"), entry("fixed4", 98.0, model="mlp")]
    section = tables.sections(runs, lambda *_: "")["mnist"]
    assert "**mlp on mnist**" in section
    assert "Pareto front over" not in section


def test_points_without_a_stored_run_are_named(tables: ModuleType):
    text = tables.missing([entry("float32", 99.0, seed) for seed in (0, 1, 2)])
    assert "lenet on mnist, float" not in text
    assert "- lenet on mnist, fine-tune, seeds 0, 1, 2: fixed32, fixed16, fixed8, fixed4, pow2-6/fixed16" in text


def test_the_page_is_what_the_stored_results_make(tables: ModuleType):
    assert (ROOT / "docs" / "reproduction.md").read_text() == tables.document(tables.show_chart)


def test_every_stored_run_is_a_point_of_its_study(tables: ModuleType):
    for study in tables.STUDIES:
        file = STORED / f"{study}.json"
        spec = load_study(STORED / f"{study}.toml")
        for run in json.loads(file.read_text())["runs"] if file.exists() else ():
            assert (run["model"] in spec.networks, run["precision"] in {one.name for one in spec.precisions}) == (
                True,
                True,
            )
            assert run["seed"] in spec.seeds


def test_a_stored_run_carries_its_networks_key_and_the_wall_time(tiny, tmp_path: Path):
    spec = tiny(precisions=["float32", "fixed8"], float_training={"epochs": 2}, fine_tune={"epochs": 1})
    store, workshop = script("store_reproduction"), Workshop(tmp_path)
    runs = make_plan(spec).runs
    results = {store.point_of(run): workshop.run(run) for run in runs}
    float32, fixed8 = store.entries(runs, results, tmp_path).values()
    assert fixed8["training_key"] == runs[1].training.key
    assert fixed8["float_training_key"] == float32["training_key"] == runs[0].training.key
    assert (fixed8["epochs"], fixed8["float_epochs"]) == (1, 2)
    assert fixed8["training_wall_time_s"] > 0
    other = make_plan(tiny(precisions=["float32", "fixed8"], fine_tune={"epochs": 3})).runs
    assert store.entries(other, results, tmp_path) == {}


def test_the_most_accurate_point_of_a_twelfth_of_the_energy_is_named(tables: ModuleType) -> None:
    runs = [entry("float32", 99.0), entry("fixed4", 98.0), entry("ternary/fixed8", 98.5), entry("fixed8", 98.9)]
    text = tables.sections(runs, lambda *_: "")["mnist"]
    assert "the energy of float32: a twelfth: ternary/fixed8 (98.50 %); a twentieth: nothing." in text


def test_of_several_networks_the_first_ones_float32_is_the_measure(tables: ModuleType) -> None:
    runs = [entry("float32", 99.0), entry("fixed8", 98.9)]
    runs += [entry("float32", 97.0) | {"model": "mlp"}, entry("fixed4", 96.0) | {"model": "mlp"}]
    text = tables.sections(runs, lambda *_: "")["mnist"]
    assert "the energy of lenet at float32: a twelfth: mlp at fixed4 (96.00 %); a twentieth: mlp at fixed4" in text
