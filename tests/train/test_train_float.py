"""Claims about float training: it learns, it repeats exactly, it stops early, it fails clearly."""

import copy
import math

import pytest
import torch
from torch import nn

from fewbits import DataError, ModelError, parse_format
from fewbits.data import Dataset, Split
from fewbits.train import Progress, TrainSettings, evaluate, train_float

SETTINGS = TrainSettings(epochs=4, batch_size=32, learning_rate=0.1, optimizer="sgd")


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_training_learns(quadrants: Dataset, small_network: nn.Module):
    record = train_float(small_network, quadrants, SETTINGS)
    assert record.best_validation_accuracy_percent > 90
    assert evaluate(small_network, quadrants, quadrants.test).accuracy_percent > 90


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_equal_seeds_give_equal_weights(quadrants: Dataset, small_network: nn.Module, optimizer: str):
    settings = TrainSettings(epochs=2, optimizer=optimizer, learning_rate=0.01)  # type: ignore[arg-type]
    model = nn.Sequential(small_network, nn.Dropout(0.2))
    twin = copy.deepcopy(model)
    first = train_float(model, quadrants, settings, seed=5)
    torch.rand(7)  # other use of the global generator
    assert train_float(twin, quadrants, settings, seed=5) == first
    assert all(torch.equal(twin.state_dict()[name], value) for name, value in model.state_dict().items())


def test_other_seeds_give_other_weights(quadrants: Dataset, small_network: nn.Module):
    twin = copy.deepcopy(small_network)
    train_float(small_network, quadrants, TrainSettings(epochs=1), seed=0)
    train_float(twin, quadrants, TrainSettings(epochs=1), seed=1)
    assert not torch.equal(small_network[0].weight, twin[0].weight)


def test_the_global_generator_stays_as_it_was(quadrants: Dataset, small_network: nn.Module):
    before = torch.get_rng_state()
    train_float(small_network, quadrants, TrainSettings(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_weights_kept_are_those_of_the_best_epoch(quadrants: Dataset, small_network: nn.Module):
    kept: list[dict[str, torch.Tensor]] = []

    def keep(progress: Progress) -> None:
        if progress.validation_accuracy_percent is not None and progress.batch == progress.batches:
            kept.append(weights(small_network))

    record = train_float(
        small_network, quadrants, TrainSettings(epochs=4, learning_rate=0.3, optimizer="sgd"), progress=keep
    )
    ranks = [(-epoch.validation_accuracy_percent, epoch.validation_loss) for epoch in record.history]
    assert record.best_epoch == 1 + ranks.index(min(ranks))
    accuracy = evaluate(small_network, quadrants, quadrants.validation).accuracy_percent
    assert accuracy == record.best_validation_accuracy_percent


def test_patience_stops_training_early(quadrants: Dataset, small_network: nn.Module):
    record = train_float(
        small_network, quadrants, TrainSettings(epochs=40, learning_rate=0.1, optimizer="sgd", patience=2)
    )
    accuracies = [epoch.validation_accuracy_percent for epoch in record.history]
    assert record.stopped_early
    assert record.epochs_run < 40
    assert max(accuracies[-2:]) <= max(accuracies[:-2])


def test_neither_training_nor_the_early_stop_sees_the_test_split(quadrants: Dataset, small_network: nn.Module):
    twin = copy.deepcopy(small_network)
    other = Dataset(
        "quadrants",
        4,
        quadrants.train,
        quadrants.validation,
        Split(quadrants.test.images[:0], torch.zeros(0)),
        (0.0,),
        (1.0,),
    )
    first = train_float(small_network, quadrants, SETTINGS)
    assert train_float(twin, other, SETTINGS) == first


def test_progress_tells_every_batch_and_every_validation(quadrants: Dataset, small_network: nn.Module):
    told: list[Progress] = []
    train_float(small_network, quadrants, TrainSettings(epochs=2, batch_size=50), progress=told.append)
    assert [(p.epoch, p.batch) for p in told] == [(1, n) for n in (1, 2, 3, 4, 4)] + [(2, n) for n in (1, 2, 3, 4, 4)]
    assert {(p.phase, p.epochs, p.batches) for p in told} == {("float", 2, 4)}
    assert told[3].validation_accuracy_percent is None
    assert told[4].validation_accuracy_percent is not None


def test_batches_of_an_epoch_differ_by_one_image_at_most(quadrants: Dataset):
    sizes: list[int] = []

    class Counting(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                sizes.append(len(x))
            return super().forward(x)

    train_float(nn.Sequential(nn.Flatten(), Counting(64, 4)), quadrants, TrainSettings(epochs=1, batch_size=64))
    assert sizes == [50, 50, 50, 50]


def test_the_cosine_falls_from_the_learning_rate_to_zero():
    settings = TrainSettings(epochs=10, learning_rate=0.2, optimizer="sgd")
    rates = [settings.learning_rate_at(step, 5) for step in range(51)]
    assert rates[0] == 0.2
    assert rates[25] == pytest.approx(0.1)
    assert rates[50] == pytest.approx(0, abs=1e-15)
    assert rates == sorted(rates, reverse=True)


def test_the_step_schedule_multiplies_after_its_epochs():
    settings = TrainSettings(epochs=4, learning_rate=1.0, schedule="step", step_epochs=2, step_factor=0.1)
    assert [settings.learning_rate_at(step, 3) for step in (0, 5, 6, 11)] == pytest.approx([1, 1, 0.1, 0.1])


def test_divergence_is_named_with_epoch_and_learning_rate(quadrants: Dataset, small_network: nn.Module):
    with pytest.raises(ModelError, match=r"diverged in epoch 1: .* at learning rate .*give a smaller"):
        train_float(small_network, quadrants, TrainSettings(epochs=2, learning_rate=1e20, optimizer="sgd"))


def test_a_loss_that_is_infinite_only_in_validation_is_divergence(quadrants: Dataset):
    class FailsInEvaluation(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.flatten(1)) * (1 if self.training else math.nan)

    with pytest.raises(ModelError, match="diverged in epoch 1"):
        train_float(FailsInEvaluation(64, 4), quadrants, TrainSettings(epochs=1))


def test_an_empty_split_is_refused(quadrants: Dataset, small_network: nn.Module):
    empty = Split(quadrants.train.images[:0], quadrants.train.labels[:0])
    data = Dataset("none", 4, empty, quadrants.validation, quadrants.test, (0.0,), (1.0,))
    with pytest.raises(DataError, match="empty train split"):
        train_float(small_network, data)
    with pytest.raises(DataError, match="empty split"):
        evaluate(small_network, data, empty)


def test_a_model_without_parameters_is_refused(quadrants: Dataset):
    with pytest.raises(ModelError, match="no parameters to train"):
        train_float(nn.Flatten(), quadrants)


def test_a_definition_holds_what_differs_from_the_defaults():
    assert TrainSettings().definition() == {}
    assert TrainSettings(epochs=3, random_flip=True).definition() == {"epochs": 3, "random_flip": True}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", -1),
        ("epochs", 1.5),
        ("batch_size", True),
        ("learning_rate", 0),
        ("learning_rate", math.nan),
        ("momentum", 1.0),
        ("weight_decay", -1),
        ("optimizer", "lion"),
        ("schedule", "linear"),
        ("patience", 0),
        ("crop_padding", -1),
        ("crop_padding", True),
        ("step_factor", 2),
        ("calibration_method", "median"),
    ],
)
def test_a_setting_outside_its_range_is_refused(name: str, value: object):
    with pytest.raises(ModelError, match=f"{value!r}"):
        TrainSettings(**{name: value})  # type: ignore[arg-type]


def test_evaluation_counts_right_images_and_keeps_the_mode(quadrants: Dataset, small_network: nn.Module):
    small_network.train()
    small_network[1].eval()
    result = evaluate(small_network, quadrants, quadrants.test, batch_size=7)
    with torch.no_grad():
        expected = small_network(quadrants.inputs(quadrants.test)).argmax(1)
    assert torch.equal(result.predictions, expected)
    assert result.right == int((expected == quadrants.test.labels).sum())
    assert result.accuracy_percent == 100 * result.right / 60
    assert small_network.training
    assert not small_network[1].training


def test_a_network_that_views_its_activations_trains(quadrants: Dataset):
    class Viewing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.conv2 = nn.Conv2d(4, 4, 3)
            self.fc = nn.Linear(64, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.conv2(self.conv(x)).view(-1, 64))

    record = train_float(Viewing(), quadrants, TrainSettings(epochs=1))
    assert record.epochs_run == 1


def test_convolutions_train_channels_last(quadrants: Dataset):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 4))
    train_float(model, quadrants, TrainSettings(epochs=1))
    assert model[1].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("in_training", [True, False])
def test_a_nan_that_meets_a_number_format_is_divergence(quadrants: Dataset, in_training: bool):
    class Rounding(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores = super().forward(x.flatten(1))
            if self.training is in_training and scores.requires_grad is in_training:
                parse_format("fixed8").quantize(scores.detach() * math.nan)
            return scores

    with pytest.raises(ModelError, match="diverged in epoch 1"):
        train_float(Rounding(64, 4), quadrants, TrainSettings(epochs=1))
