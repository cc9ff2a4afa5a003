"""Distillation and gradual lowering: what the float network knows, and what a wider network learned, helps few bits."""

import pytest
import torch
from digit_networks import trained_by
from torch import nn
from torch.nn import functional as F

from fewbits import parse_precision
from fewbits.data import Dataset
from fewbits.quantization import quantize
from fewbits.train import RecipeOptions, TrainSettings
from fewbits.train.distillation import distillation_loss
from fewbits.train.gradual import stages_above
from fewbits.train.recipe_run import RecipeRun


def run_of(network: nn.Module, data: Dataset, options: RecipeOptions) -> RecipeRun:
    q = quantize(network, "fixed8")
    return RecipeRun("distill", network, q, data, TrainSettings(), 0, options, (), True, None, None, "cpu")


def test_the_loss_of_the_teachers_own_answers_is_their_entropy(quadrants: Dataset, small_network: nn.Module):
    loss = distillation_loss(run_of(small_network, quadrants, RecipeOptions(temperature=2, distillation_weight=1)))
    inputs = quadrants.inputs(quadrants.train.images[:20])
    logits = small_network(inputs).detach()
    soft = F.softmax(logits / 2, dim=1)
    entropy = -(soft * soft.log()).sum(1).mean()
    torch.testing.assert_close(loss(inputs, logits, quadrants.train.labels[:20]), 4 * entropy)


def test_without_the_teachers_part_the_loss_is_cross_entropy(quadrants: Dataset, small_network: nn.Module):
    loss = distillation_loss(run_of(small_network, quadrants, RecipeOptions(distillation_weight=0)))
    inputs, labels = quadrants.inputs(quadrants.train.images[:20]), quadrants.train.labels[:20]
    logits = torch.randn(20, 4)
    torch.testing.assert_close(loss(inputs, logits, labels), F.cross_entropy(logits, labels))


@pytest.mark.slow
def test_a_taught_network_answers_more_like_its_teacher(digits: Dataset, trained_convnet: nn.Module):
    inputs = digits.inputs(digits.test)
    teacher = F.softmax(trained_convnet(inputs).detach() / 4, dim=1)
    options, distance = RecipeOptions(temperature=4.0, distillation_weight=0.9), {}
    for recipe in ("fine-tune", "distill"):
        q, _ = trained_by(recipe, trained_convnet, "fixed2", digits, options, epochs=2, batch_size=32)
        answers = F.log_softmax(q(inputs).detach() / 4, dim=1)
        distance[recipe] = F.kl_div(answers, teacher, reduction="batchmean").item()
    assert distance["distill"] < 0.85 * distance["fine-tune"]


@pytest.mark.parametrize(
    ("target", "stages"),
    [
        ("fixed4", ["fixed8", "fixed6"]),
        ("fixed2", ["fixed8", "fixed6", "fixed4"]),
        ("fixed8/fixed4", ["fixed8", "fixed8/fixed6"]),
        ("binary/fixed16", ["fixed8/fixed16", "fixed6/fixed16", "fixed4/fixed16", "fixed2/fixed16"]),
        ("fixed8", []),
        ("pow2-6/fixed16", []),
    ],
)
def test_the_descent_goes_down_by_two_bits(target: str, stages: list[str]):
    assert [stage.name for stage in stages_above(parse_precision(target))] == stages


@pytest.mark.slow
def test_a_gradual_descent_beats_a_jump(digits: Dataset, trained_convnet: nn.Module):
    accuracy = {
        recipe: trained_by(recipe, trained_convnet, "fixed2", digits, epochs=4, batch_size=32)[1]
        for recipe in ("fine-tune", "gradual")
    }
    assert accuracy["gradual"] > accuracy["fine-tune"]
