"""The plan: which runs a study has, what their keys depend on, and what is refused before any training."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from fewbits import StudyError
from fewbits.study.plan import make_plan


@pytest.fixture(scope="session")
def plan(tiny):
    return make_plan(tiny())


def keys(plan):
    return [run.key for run in plan.runs]


def test_float32_is_one_run_a_seed_whatever_the_recipes(tiny):
    plan = make_plan(tiny(recipes=["fine-tune", "post-training"], seeds=[0, 1]))
    float_runs = [run for run in plan.runs if run.training.precision == "float32"]
    assert [(run.training.seed, run.training.recipe) for run in float_runs] == [(0, "float"), (1, "float")]
    assert len(plan.runs) == 2 + 2 * 2 * 2


def test_precisions_of_a_seed_share_their_float_network(plan):
    assert {run.float_training.key for run in plan.runs} == {plan.float_trainings[0].key}


def test_without_float32_the_float_network_is_trained_all_the_same(tiny):
    plan = make_plan(tiny(precisions=["fixed8"]))
    assert (len(plan.runs), len(plan.float_trainings)) == (1, 1)


def test_equal_studies_have_equal_keys(tiny, plan):
    assert keys(make_plan(tiny())) == keys(plan)


def test_the_name_and_the_order_of_precisions_are_no_part_of_a_key(tiny, plan):
    other = make_plan(tiny(name="other", precisions=["binary/fixed16", "fixed8", "float32"]))
    assert set(keys(other)) == set(keys(plan))


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [1]},
        {"float_training": {"epochs": 4}},
        {"accelerator": {"neurons": 8}},
        {"accelerator": {"bandwidth": 12.8}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_key_depends_on(tiny, plan, change):
    assert not set(keys(make_plan(tiny(**change)))) & set(keys(plan))


@pytest.mark.parametrize("change", [{"fine_tune": {"epochs": 2}}, {"calibration": {"images": 10}}])
def test_what_the_float_network_does_not_see_changes_the_other_keys_alone(tiny, plan, change):
    before, after = keys(plan), keys(make_plan(tiny(**change)))
    assert before[0] == after[0]
    assert not set(before[1:]) & set(after[1:])


def test_another_accelerator_repeats_no_training(tiny, plan):
    other = make_plan(tiny(accelerator={"clock_mhz": 100.0}))
    assert [run.training.key for run in other.runs] == [run.training.key for run in plan.runs]


def test_another_way_of_costing_repeats_no_training(tiny, plan, monkeypatch):
    monkeypatch.setattr("fewbits.study.tasks.FORMAT", 99)
    other = make_plan(tiny())
    assert [run.training.key for run in other.runs] == [run.training.key for run in plan.runs]
    assert not set(keys(other)) & set(keys(plan))


@pytest.mark.parametrize(("pooling", "trained_anew"), [("MaxPool2d", False), ("AvgPool2d", True)])
def test_another_rounding_between_layers_trains_anew_what_has_such_roundings(
    tiny, tmp_path, monkeypatch, pooling, trained_anew
):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef make():\n"
        f"    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.{pooling}(2), nn.Flatten(), nn.Linear(72, 4))\n"
    )
    study = tiny(models=[f"{tmp_path / 'net.py'}:make"], precisions=["float32", "fixed8"])
    before = [run.training.key for run in make_plan(study).runs]
    monkeypatch.setattr("fewbits.study.tasks.ROUNDING", 99)
    after = [run.training.key for run in make_plan(study).runs]
    assert (before[0] == after[0], before[1] != after[1]) == (True, trained_anew)


def test_keys_depend_on_the_images(tiny, plan, workplace, tmp_path):
    with np.load(workplace / "quadrants.npz") as arrays:
        parts = dict(arrays)
    parts["x_test"] = 255 - parts["x_test"]
    path = tmp_path / "quadrants.npz"
    np.savez(path, **parts)
    changed = make_plan(tiny(data=[str(path)]))
    shutil.copy(workplace / "quadrants.npz", path)
    assert not set(keys(changed)) & set(keys(make_plan(tiny(data=[str(path)]))))


def test_post_training_has_no_epochs(tiny):
    plan = make_plan(tiny(recipes=["post-training"]))
    assert plan.runs[1].training.epochs == 0


def test_file_names_are_readable_and_unique(plan):
    stems = [run.training.stem for run in plan.runs]
    assert len(set(stems)) == 3
    assert "fixed8" in stems[1]
    assert all("/" not in stem for stem in stems)


def test_the_plan_tells_what_it_rests_on(plan, tiny):
    (given,) = tiny().data
    assert plan.rests_on["data"][given.name]["images"] == {"train": 900, "validation": 100, "test": 200}
    assert plan.rests_on["technology"]["provenance"] == {"made by": "a test"}
    assert {"fewbits", "torch", "python"} <= set(plan.rests_on["versions"])


NO_LOGITS = "from torch import nn\ndef make(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))\n"
NO_IMAGE = "from torch import nn\ndef make(): return nn.Sequential(nn.Flatten(), nn.Linear(9, 4))\n"
NO_LOWERING = (
    "from torch import nn\n"
    "def make(): return nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 4))\n"
)

REFUSED = {
    "unknown precision": ({"precisions": ["fixd8"]}, "'precisions': unknown format 'fixd8'.*did you mean fixed8"),
    "mixed precision": ({"precisions": ["float32/fixed8"]}, "'precisions': 'float32/fixed8' mixes a float with"),
    "not characterized": ({"precisions": ["fixed12"]}, "'precisions': .*'fixed12'"),
    "named twice": ({"precisions": ["fixed8", "fixed8/fixed8"]}, "names a precision twice"),
    "unknown model": ({"models": ["lnet"]}, "'models': unknown model 'lnet'.*did you mean 'lenet'"),
    "image size": ({"models": ["lenet"]}, "'models': model 'lenet' takes images of 1 x 28 x 28"),
    "unknown data": ({"data": ["digts"]}, "'data': unknown data 'digts'.*did you mean 'digits'"),
    "unknown technology": ({"technology": "tsmc"}, "'technology': no technology 'tsmc'"),
    "accelerator": ({"accelerator": {"neurons": 0}}, "'accelerator': neurons must be an integer of at least 1, not 0"),
    "epochs": ({"fine_tune": {"epochs": -1}}, "'fine_tune': epochs must be"),
    "float epochs": ({"float_training": {"epochs": -1}}, "'float_training': epochs must be"),
    "calibration": ({"calibration": {"images": 0}}, "'calibration': calibration_images must be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_with_its_key(tiny, case):
    change, message = REFUSED[case]
    with pytest.raises(StudyError, match=f"^tiny.toml: key .*{message}") as error:
        make_plan(tiny(**change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (NO_IMAGE, "does not take the images of data .*1 x 8 x 8"),
        (NO_LOGITS, "returns \\(1, 2\\) for one image .*logits of shape \\(1, 4\\)"),
        (NO_LOWERING, "layer '0'.*BatchNorm2d"),
        ("def make(): return 3\n", "must return a torch.nn.Module"),
    ],
)
def test_a_model_that_cannot_run_is_refused_before_training(tiny, tmp_path, code, message):
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(StudyError, match=message):
        make_plan(tiny(models=[f"{tmp_path / 'bad.py'}:make"]))


def test_batch_normalization_without_a_convolution_is_refused_before_training(tiny, tmp_path):
    (tmp_path / "mlp.py").write_text(
        "from torch import nn\ndef make(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))\n"
    )
    with pytest.raises(StudyError, match=r"key 'float_training\.batch_normalization': model .*has no convolution"):
        make_plan(tiny(models=[f"{tmp_path / 'mlp.py'}:make"], float_training={"batch_normalization": True}))


def test_channels_that_cannot_be_divided_are_refused_before_any_training(tiny, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef make():\n    layers = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=4)\n"
        "    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 4))\n"
    )
    model = f"{tmp_path / 'net.py'}:make"
    with pytest.raises(StudyError, match=r"'recipes': 'runtime-configurable': model .*layer '1' does not take"):
        make_plan(tiny(models=[model], recipes=["runtime-configurable"]))
    assert make_plan(tiny(models=[model], recipes=["fine-tune"])).runs
