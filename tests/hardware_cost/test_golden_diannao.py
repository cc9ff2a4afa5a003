"""`diannao-16x16` costs what it did before other machines could be described (commit 13fba45), to the last digit."""

from __future__ import annotations

import json

import pytest
from golden_costs import GOLDEN, NETWORKS, PRECISIONS, restricted

import fewbits as fb
from fewbits.formats import STUDY_PRECISIONS
from fewbits.report.costs import cost_json

KEPT = json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("accelerator", [None, "diannao-16x16"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_figures_are_those_of_the_commit_before(network: str, precision: str, accelerator: str | None):
    printed = json.loads(json.dumps(cost_json(fb.cost(network, precision, accelerator=accelerator))))
    found = restricted(printed, KEPT)
    del found["keys"], found["layer_keys"]
    assert found == KEPT["costs"][network][precision]


def test_golden_precisions_are_the_studys():
    assert set(PRECISIONS) == set(STUDY_PRECISIONS)
