"""A study of a residual network with batch normalization: folded, lowered, costed, and its accuracies told."""

from __future__ import annotations

import pytest

from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop

RESIDUAL = """
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(32, 4)

    def forward(self, x):
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)) + x)
        return self.fc(F.avg_pool2d(x, 4).flatten(1))

def make():
    return Net()
"""


@pytest.fixture(scope="module")
def results(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("normalized")
    (folder / "net.py").write_text(RESIDUAL)
    plan = make_plan(
        tiny(
            models=[f"{folder / 'net.py'}:make"],
            precisions=["float32", "fixed8"],
            recipes=["fine-tune", "from-scratch"],
            float_training={"epochs": 1},
            fine_tune={"epochs": 1},
            from_scratch={"epochs": 1},
        )
    )
    workshop = Workshop(folder)
    return {(run.training.precision, run.training.recipe): workshop.run(run) for run in plan.runs}


def test_every_run_tells_the_accuracy_before_and_after_folding(results):
    for result in results.values():
        accuracy = f"{result.float_accuracy_percent:.2f} %"
        (folding,) = (notice for notice in result.notices if "float test accuracy" in notice)
        assert "2 of 2 batch normalizations folded" in folding
        assert f"{accuracy} before, {accuracy} after" in folding


def test_training_from_scratch_folds_afterwards(results):
    (notice,) = (one for one in results["fixed8", "from-scratch"].notices if "after training" in one)
    accuracy = results["fixed8", "from-scratch"].validation_accuracy_percent
    assert notice.endswith(f"{accuracy:.2f} % after")
    assert not any("after training" in one for one in results["fixed8", "fine-tune"].notices)


def test_nothing_is_left_float_and_no_image_differs(results):
    for (precision, _), result in results.items():
        assert result.skipped == ()
        assert result.differing_images == 0, precision


def test_the_addition_is_in_the_cost(results):
    assert results["fixed8", "fine-tune"].energy_uj_by_layer["add"] > 0
