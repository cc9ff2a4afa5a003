"""Claims about batch normalization that is there only in float training."""

import copy
from pathlib import Path

import pytest
import torch
from digit_networks import small_convnet
from torch import nn

from fewbits import ModelError
from fewbits.data import Dataset
from fewbits.train import Progress, TrainSettings, evaluate, run_recipe, train_float

SETTINGS = TrainSettings(epochs=3, batch_size=32, learning_rate=0.01, batch_normalization=True)


def test_the_network_keeps_its_structure(quadrants: Dataset, small_network: nn.Module):
    shapes = {name: value.shape for name, value in small_network.state_dict().items()}
    train_float(small_network, quadrants, SETTINGS)
    assert {name: value.shape for name, value in small_network.state_dict().items()} == shapes
    assert [type(module) for module in small_network] == [nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Linear]


def test_folding_keeps_the_accuracy_and_says_so(quadrants: Dataset, small_network: nn.Module):
    record = train_float(small_network, quadrants, SETTINGS)
    accuracy = evaluate(small_network, quadrants, quadrants.validation).accuracy_percent
    assert record.best_validation_accuracy_percent == accuracy
    assert accuracy == pytest.approx(record.history[record.best_epoch - 1].validation_accuracy_percent)
    assert (
        f"1 convolution folded into weights and biases after float training, validation accuracy {accuracy:.2f} %"
        in (record.notices[-1])
    )


def test_the_folded_network_computes_what_the_normalized_one_did(quadrants: Dataset, small_network: nn.Module):
    """Against torch's own batch normalization, trained in the usual way."""
    usual = nn.Sequential(small_network[0], nn.BatchNorm2d(4), *small_network[1:])
    usual = copy.deepcopy(usual)
    train_float(small_network, quadrants, SETTINGS, seed=2)
    train_float(usual, quadrants, TrainSettings(**{**vars(SETTINGS), "batch_normalization": False}), seed=2)
    images = quadrants.inputs(quadrants.test)
    with torch.no_grad():
        torch.testing.assert_close(small_network.eval()(images), usual.eval()(images), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_digits_are_learned_faster_with_it(digits: Dataset):
    """Ioffe and Szegedy's claim, on real digits: after one epoch the loss is lower (three seeds)."""
    for seed in range(3):
        losses: dict[bool, float] = {}
        for normalized in (False, True):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                network = small_convnet()
            settings = TrainSettings(epochs=1, batch_size=32, batch_normalization=normalized)
            losses[normalized] = train_float(network, digits, settings, seed).history[-1].validation_loss
        assert losses[True] < losses[False]


def test_interrupted_training_resumes_exactly(quadrants: Dataset, small_network: nn.Module, tmp_path: Path):
    class StopTrainingError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if (progress.epoch, progress.batch) == (2, 3):
            raise StopTrainingError

    undisturbed, interrupted, resumed = (copy.deepcopy(small_network) for _ in range(3))
    train_float(undisturbed, quadrants, SETTINGS)
    with pytest.raises(StopTrainingError):
        train_float(interrupted, quadrants, SETTINGS, checkpoint_folder=tmp_path, progress=stop)
    assert interrupted(torch.zeros(1, 1, 8, 8)).shape == (1, 4)  # still the network that was given
    record = train_float(resumed, quadrants, SETTINGS, checkpoint_folder=tmp_path)
    assert record.resumed_epochs == 1
    for name, value in undisturbed.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value)


def test_a_convolution_that_is_used_twice_is_normalized_wherever_it_is_used(quadrants: Dataset):
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 1, 3, padding=1)
            self.same = self.first
            self.fc = nn.Linear(64, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.same(self.first(x).relu()).relu().flatten(1))

    network = Twice()
    record = train_float(network, quadrants, SETTINGS)
    before = record.history[record.best_epoch - 1].validation_accuracy_percent
    assert record.best_validation_accuracy_percent == pytest.approx(before)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), "has no convolution"),
        (nn.Sequential(nn.Conv2d(1, 4, 8), nn.BatchNorm2d(4), nn.Flatten()), "batch normalization of its own"),
        (nn.Sequential(nn.Conv2d(1, 4, 8, bias=False), nn.Flatten()), "convolution '0' has no bias"),
    ],
)
def test_a_network_that_cannot_be_normalized_is_refused(quadrants: Dataset, network: nn.Module, message: str):
    with pytest.raises(ModelError, match=message):
        train_float(network, quadrants, SETTINGS)


def test_a_recipe_refuses_it(quadrants: Dataset, small_network: nn.Module):
    with pytest.raises(ModelError, match="batch_normalization is for float training"):
        run_recipe("fine-tune", small_network, "fixed8", quadrants, SETTINGS)
