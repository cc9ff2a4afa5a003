"""Claims about training steps that multiply in bfloat16."""

import copy
from pathlib import Path

import pytest
import torch
from digit_networks import small_convnet
from torch import nn

from fewbits import calibrate, quantize
from fewbits.data import Dataset
from fewbits.errors import ModelError
from fewbits.formats import parse_format
from fewbits.train import Progress, TrainSettings, evaluate, train_float

MIXED = TrainSettings(epochs=2, batch_size=32, mixed_precision=True)

EXACT_FORMATS = ["fixed8", "fixed4", "pow2-6", "ternary", "binary"]
"""Formats whose values have at most eight significant bits, as bfloat16 has."""


def _watch(layer: nn.Module) -> set[tuple[bool, torch.dtype]]:
    """Whether it trained, and in which dtype its result came, of each call of a layer from now on."""
    seen: set[tuple[bool, torch.dtype]] = set()
    layer.register_forward_hook(lambda module, _, result: seen.add((module.training, result.dtype)))
    return seen


def test_steps_multiply_in_bfloat16_and_evaluation_in_float32(quadrants: Dataset, small_network: nn.Sequential):
    seen = _watch(small_network[0])
    train_float(small_network, quadrants, MIXED)
    assert seen == {(True, torch.bfloat16), (False, torch.float32)}
    assert {parameter.dtype for parameter in small_network.parameters()} == {torch.float32}


def test_without_the_setting_all_is_float32(quadrants: Dataset, small_network: nn.Sequential):
    seen = _watch(small_network[0])
    train_float(small_network, quadrants, TrainSettings(epochs=1))
    assert seen == {(True, torch.float32), (False, torch.float32)}


@pytest.mark.parametrize("name", EXACT_FORMATS)
def test_a_product_of_few_bits_is_exact(name: str):
    """Operands of at most eight significant bits are bfloat16 numbers: only the sum is rounded, once."""
    torch.manual_seed(0)
    number_format = parse_format(name)
    for fraction_bits in (-3, 0, 6):
        values = number_format.quantize(torch.randn(4096) * 2.0 ** (3 - fraction_bits), fraction_bits)
        assert torch.equal(values.bfloat16().float(), values)
    model = quantize(nn.Sequential(nn.Conv2d(3, 8, 3, bias=False)), f"{name}/fixed8")
    images = torch.rand(16, 3, 8, 8)
    calibrate(model, images)
    expected = model.train()(images)  # sums of integers: float32 holds them exactly
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(images)
    assert torch.equal(mixed, expected.bfloat16().float())


def test_rounding_to_formats_computes_in_float32(trained_convnet: nn.Sequential, digits: Dataset):
    model = quantize(copy.deepcopy(trained_convnet), "fixed16")
    images = digits.inputs(digits.train.images[:32])
    calibrate(model, images)
    seen = [_watch(module) for module in model.modules() if type(module).__name__ == "QuantizedLayer"]
    with torch.autocast("cpu", torch.bfloat16):
        model.train()(images)
    assert len(seen) >= 3
    assert set().union(*seen) == {(True, torch.float32)}


@pytest.mark.slow
def test_the_digits_are_learned_as_well(digits: Dataset):
    """Kalamkar et al.'s claim (arXiv:1905.12322), on real digits: as accurate as float32, in three orders."""
    accuracies: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(3):
        for mixed, reached in accuracies.items():
            settings = TrainSettings(epochs=3, batch_size=32, mixed_precision=mixed)
            network = small_convnet()
            train_float(network, digits, settings, seed)
            reached.append(evaluate(network, digits, digits.test).accuracy_percent)
    assert abs(sum(accuracies[True]) - sum(accuracies[False])) / 3 < 1.5  # points


def test_interrupted_training_resumes_exactly(quadrants: Dataset, small_network: nn.Sequential, tmp_path: Path):
    class StopTrainingError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if (progress.epoch, progress.batch) == (2, 3):
            raise StopTrainingError

    undisturbed, interrupted, resumed = (copy.deepcopy(small_network) for _ in range(3))
    train_float(undisturbed, quadrants, MIXED)
    with pytest.raises(StopTrainingError):
        train_float(interrupted, quadrants, MIXED, checkpoint_folder=tmp_path, progress=stop)
    assert train_float(resumed, quadrants, MIXED, checkpoint_folder=tmp_path).resumed_epochs == 1
    for name, value in undisturbed.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value)


def test_a_checkpoint_of_float32_training_is_another_run(
    quadrants: Dataset, small_network: nn.Sequential, tmp_path: Path
):
    start = copy.deepcopy(small_network)
    train_float(small_network, quadrants, TrainSettings(epochs=2, batch_size=32), checkpoint_folder=tmp_path)
    with pytest.raises(ModelError, match="belongs to another run"):
        train_float(start, quadrants, MIXED, checkpoint_folder=tmp_path)
