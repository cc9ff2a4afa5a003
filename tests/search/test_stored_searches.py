"""What docs/search.md says of ResNet-20 is what the stored searches hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
MIXED: dict[str, Any] = json.loads((DOCS / "search" / "resnet20-mixed.json").read_text())
POINTS = {point["assignment"]: point for point in MIXED["points"]}


def within_a_point() -> list[dict[str, Any]]:
    """From the cheapest."""
    return [one for one in MIXED["points"] if one["accuracy_percent"] >= MIXED["float_percent"] - 1 - 1e-9]


def test_the_chosen_mix_is_the_cheapest_within_a_point_of_float():
    assert within_a_point()[0] == POINTS[MIXED["chosen"]]


def test_the_page_says_what_it_saves_against_the_best_uniform_precision():
    uniform = next(one for one in within_a_point() if " " not in one["assignment"])
    ratio = POINTS[MIXED["chosen"]]["energy_uj"] / uniform["energy_uj"]
    assert uniform["assignment"] == "fixed6"
    assert f"| {POINTS[MIXED['chosen']]['energy_uj']:.1f} | {ratio:.2f} |" in (DOCS / "search.md").read_text()


def test_every_stored_point_is_on_the_front_or_uniform():
    assert all(one["on_front"] or " " not in one["assignment"] for one in MIXED["points"])


COMPARED: dict[str, Any] = json.loads((DOCS / "search" / "resnet20-cifar10.json").read_text())


def test_the_page_shows_each_way_of_choosing_with_its_share():
    page = (DOCS / "search.md").read_text()
    for name, found in COMPARED["methods"].items():
        assert f"| {name.replace('nsga2', 'NSGA-II')} | {100 * found['share']:.2f} % |" in page


def test_the_search_finds_more_than_chance_and_evolution_at_as_many_evaluations():
    shares = {name: found["share"] for name, found in COMPARED["methods"].items()}
    assert len(shares) >= 4
    assert all(shares["search"] > share for name, share in shares.items() if name != "search")
