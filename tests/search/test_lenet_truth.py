"""The search against the truth about LeNet: all 256 assignments, evaluated once (`scripts/search_fronts.py truth`)."""

from __future__ import annotations

import importlib
import json
import random
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from fewbits.search import SearchSettings

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "scripts"))
fronts: Any = importlib.import_module("search_fronts")
sys.path.remove(str(CHECKOUT / "scripts"))

SEEDS = (0, 1, 2)


def searched(seed: int) -> Any:
    """A search of 20 evaluations over the stored table."""
    engine = fronts.stored_engine(fronts.TRUTH, seed, SearchSettings(evaluations=20))
    engine.run()
    return engine


@pytest.mark.parametrize("seed", SEEDS)
def test_the_search_reaches_98_percent_of_the_true_hypervolume_with_20_evaluations(seed: int):
    engine = searched(seed)
    assert len(engine.evaluations) <= 20
    assert fronts.share_of_truth(engine) >= 0.98


def test_random_search_reaches_less_with_as_many_evaluations():
    engine = searched(0)
    shares = [fronts.share_of_truth(fronts._ran(engine, fronts.evaluate_at_random, 20, seed)) for seed in SEEDS]
    assert mean(shares) < fronts.share_of_truth(engine)


def test_uniform_precisions_count_among_the_evaluations():
    methods = [one.method for one in searched(0).evaluations.values()]
    assert (methods.count("uniform"), methods.count("sensitivity"), len(methods)) == (4, 12, 20)


@pytest.mark.slow
def test_the_stored_table_is_what_evaluating_gives(tmp_path: Path):
    prepared = fronts._prepared("lenet", "digits", SearchSettings(), None, tmp_path)
    stored = json.loads(fronts.TRUTH.read_text())["networks"]["0"]
    if prepared.network.sha256 != stored["network"]:
        pytest.skip("this torch trains LeNet to other weights than those of the table")
    space = prepared.engine.space
    choices = list(fronts.all_choices(space))
    for number in random.Random(0).sample(range(len(choices)), 8):
        assert prepared.engine.outcome(choices[number]).right == stored["right"][number]
