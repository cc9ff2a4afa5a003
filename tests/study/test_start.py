"""A study starts from the user's own checkpoint: what is read, said, refused, and what it does to keys and digits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fewbits import ModelError, StudyError, data, models
from fewbits.study import StudySpec
from fewbits.study.networks import load_network, network_path
from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop
from fewbits.train import TrainSettings, evaluate, run_recipe, train_float


@pytest.fixture(scope="module")
def model(workplace) -> str:
    return f"{workplace / 'tiny.py'}:make"


@pytest.fixture(scope="module")
def trained(workplace, model, tmp_path_factory) -> Path:
    """A checkpoint that another program left: a trained network under Lightning's names."""
    network = models.build(model, 7)
    train_float(network, data.load(workplace / "quadrants.npz"), TrainSettings(epochs=15, learning_rate=0.01), seed=7)
    path = tmp_path_factory.mktemp("elsewhere") / "mine.ckpt"
    state = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"epoch": 6, "state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def untouched(tiny, trained) -> StudySpec:
    return tiny(
        start=str(trained), float_training={"epochs": 0}, precisions=["float32", "fixed8"], recipes=["post-training"]
    )


@pytest.fixture(scope="module")
def results(untouched, tmp_path_factory):
    workshop = Workshop(tmp_path_factory.mktemp("out"))
    return {run.training.precision: workshop.run(run) for run in make_plan(untouched).runs}


def test_without_epochs_the_float_network_is_the_users(results, workplace, model, trained):
    network = models.build(model, 0)
    models.load_weights(network, trained)
    dataset = data.load(workplace / "quadrants.npz")
    assert results["float32"].accuracy_percent == evaluate(network, dataset, dataset.test).accuracy_percent
    assert results["float32"].accuracy_percent > 60  # a fresh one has 25 %
    assert (results["float32"].epochs, results["float32"].history) == (0, ())


def test_every_run_tells_what_it_started_from_and_on_which_inputs(results):
    for result in results.values():
        (said,) = [notice for notice in result.notices if "started from" in notice]
        assert "started from 'mine.ckpt' (state read from its key 'state_dict'; prefix 'model.' " in said
        assert "studied untouched" in said
        assert (
            "% of the validation images before any training; inputs are value / 255: no mean or std is stated" in said
        )


def test_fine_tuning_without_epochs_is_post_training_and_says_so(tiny, untouched, results, tmp_path):
    spec = untouched.model_copy(
        update={"recipes": ("fine-tune",), "precisions": tiny(precisions=["fixed8"]).precisions}
    )
    spec = spec.model_copy(update={"fine_tune": tiny(fine_tune={"epochs": 0}).fine_tune})
    (run,) = make_plan(spec).runs
    result = Workshop(tmp_path).run(run)
    assert result.accuracy_percent == results["fixed8"].accuracy_percent
    assert (result.epochs, result.history) == (0, ())
    assert any(
        "fine-tune with 0 epochs: radix points are chosen and nothing is trained" in one for one in result.notices
    )


def test_with_epochs_training_begins_there_and_never_ends_worse(tiny, trained, tmp_path):
    spec = tiny(start=str(trained), float_training={"epochs": 2, "learning_rate": 1e-6}, precisions=["float32"])
    (run,) = make_plan(spec).runs
    result = Workshop(tmp_path).run(run)
    began = next(one for one in result.notices if "started from" in one)
    accuracy = float(began.partition("): ")[2].partition(" %")[0])
    assert abs(result.history[0].validation_accuracy_percent - accuracy) < 3  # a fresh network is far below
    assert result.validation_accuracy_percent >= accuracy - 0.005


def test_a_training_from_a_start_that_is_cut_off_goes_on_exactly(tiny, trained, tmp_path, figures):
    (run,) = make_plan(tiny(start=str(trained), float_training={"epochs": 4}, precisions=["float32"])).runs

    def cut_off(progress):
        if progress.epoch == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Workshop(tmp_path / "cut", cut_off).run(run)
    told = []
    cut = Workshop(tmp_path / "cut", lambda progress: told.append(progress.epoch)).run(run)
    whole = Workshop(tmp_path / "whole").run(run)
    assert figures([cut]) == figures([whole])
    assert set(told) == {3, 4}
    assert cut.notices == whole.notices


# Keys


def keys(spec: StudySpec) -> list[tuple[str, str]]:
    return [(run.key, run.float_training.key) for run in make_plan(spec).runs]


def test_the_content_of_the_file_defines_the_runs_and_its_name_does_not(tiny, trained, tmp_path):
    first = keys(tiny(start=str(trained)))
    state = torch.load(trained, weights_only=True)["state_dict"]
    plain = {name.removeprefix("model."): tensor for name, tensor in state.items()}
    torch.save(plain, tmp_path / "other.pth")
    assert keys(tiny(start=str(tmp_path / "other.pth"))) == first
    plain["0.bias"] = plain["0.bias"] + 1
    torch.save(plain, tmp_path / "other.pth")
    assert not {*keys(tiny(start=str(tmp_path / "other.pth")))} & {*first}


def test_a_start_that_is_what_the_seed_draws_is_still_another_training(tiny, model, tmp_path):
    torch.save(models.build(model, 0).state_dict(), tmp_path / "seed0.pth")
    assert not {*keys(tiny(start=str(tmp_path / "seed0.pth")))} & {*keys(tiny())}


def test_keys_of_studies_without_a_start_or_a_device_are_what_they_were(tiny):
    run = make_plan(tiny()).runs[1]
    assert not {"start", "device"} & run.definition.keys()
    assert keys(tiny(device="cpu")) == keys(tiny())


def test_a_file_that_changes_while_the_study_runs_is_refused(tiny, trained, tmp_path):
    path = tmp_path / "mine.ckpt"
    path.write_bytes(trained.read_bytes())
    (run,) = make_plan(tiny(start=str(path), float_training={"epochs": 0}, precisions=["float32"])).runs
    torch.save({"a": torch.ones(1)}, path)
    with pytest.raises(StudyError, match=r"'.*mine\.ckpt' changed while the study ran"):
        Workshop(tmp_path / "out").run(run)


def test_a_stored_network_needs_its_file_no_more(tiny, trained, tmp_path, figures):
    path = tmp_path / "mine.ckpt"
    path.write_bytes(trained.read_bytes())
    run = make_plan(tiny(start=str(path), float_training={"epochs": 0}, recipes=["post-training"])).runs[1]
    result = Workshop(tmp_path / "out").run(run)
    assert load_network(network_path(tmp_path / "out", run.float_training.stem), run.float_training.key) is not None
    path.unlink()
    assert figures([Workshop(tmp_path / "out").run(run)]) == figures([result])


# Several networks


def test_a_table_gives_each_network_its_own(tiny, trained, model):
    spec = tiny(models=[model, f"{model}*2"], start={model: str(trained)}, precisions=["float32"])
    starts = {run.training.model: run.training.start for run in make_plan(spec).runs}
    assert starts[model] is not None
    assert starts[f"{model}*2"] is None


REFUSED = {
    "several networks": ({"widen": [1, 2]}, "one file was given for 2 networks.*a table"),
    "not there": ({"start": "nowhere.pth"}, "'start': weights '.*nowhere.pth': that is not there"),
    "a list": ({"start": ["a.pth"]}, "'start': .*the path of a file of weights, or a table"),
    "an empty table": ({"start": {}}, "'start': .*the path of a file of weights, or a table"),
    "an empty name": ({"start": ""}, "'start': .*the path of a file of weights, or a table"),
    "a number": ({"start": 3}, "'start': .*the path of a file of weights, or a table"),
    "a table of numbers": ({"start": {"lenet": 3}}, "'start': .*the path of a file of weights, or a table"),
    "another network": ({"start": {"lenet": "a.pth"}}, "'start': no network 'lenet' in this study: it has"),
    "normalized anew": ({"float_training": {"batch_normalization": True}}, "leave one of the two out"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_start_is_refused_with_its_key(tiny, trained, case):
    changes, words = REFUSED[case]
    with pytest.raises(StudyError, match=words):
        make_plan(tiny(**({"start": str(trained)} | changes)))


def test_weights_of_another_network_are_refused_before_any_training(tiny, tmp_path):
    torch.save(models.build("lenet", 0).state_dict(), tmp_path / "lenet.pth")
    with pytest.raises(
        StudyError, match=r"key 'start': weights 'lenet\.pth' do not fit the network: missing '0\.weight'"
    ):
        make_plan(tiny(start=str(tmp_path / "lenet.pth")))


def test_an_untrained_float_network_is_refused(tiny):
    with pytest.raises(StudyError, match=r"key 'float_training': epochs = 0 leaves the float network of .* untrained"):
        make_plan(tiny(float_training={"epochs": 0}))


def test_an_untrained_network_from_scratch_is_refused(tiny):
    with pytest.raises(StudyError, match=r"'from_scratch\.epochs': from-scratch draws new weights, which 0 epochs"):
        make_plan(tiny(recipes=["from-scratch"], from_scratch={"epochs": 0}))


# The library's own


def test_float_training_of_no_epochs_changes_nothing(workplace, model):
    network = models.build(model, 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    record = train_float(network, data.load(workplace / "quadrants.npz"), TrainSettings(epochs=0))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert (record.history, record.best_epoch, record.stopped_early) == ((), 0, False)
    assert record.best_validation_accuracy_percent == record.start_validation_accuracy_percent


@pytest.mark.parametrize("recipe", ["fine-tune", "lsq", "pact", "distill", "gradual", "gradual-distill-lsq"])
def test_recipes_of_no_epochs_train_nothing(workplace, model, recipe):
    network, dataset = models.build(model, 0), data.load(workplace / "quadrants.npz")
    module, record = run_recipe(recipe, network, "fixed4", dataset, TrainSettings(epochs=0))
    layer = module.layers["0"].layer
    assert torch.equal(layer.weight, network.get_parameter("0.weight"))
    assert record.history == ()


def test_a_start_whose_loss_is_no_number_is_told_as_one(workplace, model):
    network = models.build(model, 0)
    with torch.no_grad():
        network.get_parameter("4.weight").fill_(3e38)
    with pytest.raises(ModelError, match="cannot start: the loss of the network that it was given is not finite"):
        train_float(network, data.load(workplace / "quadrants.npz"), TrainSettings(epochs=0))
