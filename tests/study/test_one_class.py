"""Data of one class gives 100 % to any network that answers it: runs and trainings say so."""

from __future__ import annotations

import numpy as np
import pytest

from fewbits import data, models
from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop
from fewbits.train import TrainSettings, train_float


@pytest.fixture
def ones(workplace, tmp_path):
    """A file of images of class 0 alone."""
    with np.load(workplace / "quadrants.npz") as file:
        parts = {name: file[name][:200] for name in file.files}
    parts |= {"y_train": np.zeros(200, np.int64), "y_test": np.zeros(200, np.int64)}
    np.savez(tmp_path / "ones.npz", **parts)
    return tmp_path / "ones.npz"


def test_a_run_on_one_class_says_that_its_accuracy_tells_nothing(tiny, ones, tmp_path):
    short = {"epochs": 1}
    for run in make_plan(tiny(data=[str(ones)], float_training=short, fine_tune=short)).runs[:2]:
        result = Workshop(tmp_path / "out").run(run)
        assert any("all 200 test images of 'ones.npz' are of class 0" in notice for notice in result.notices)


def test_a_training_on_one_class_says_so(workplace, ones):
    record = train_float(models.build(f"{workplace / 'tiny.py'}:make", 0), data.load(ones), TrainSettings(epochs=1))
    assert any("validation images of 'ones.npz' are of class 0" in notice for notice in record.notices)


def test_data_of_several_classes_brings_no_such_notice(tiny, tmp_path):
    run = make_plan(tiny(float_training={"epochs": 1}, precisions=["float32"])).runs[0]
    assert not any("are of class" in notice for notice in Workshop(tmp_path).run(run).notices)
